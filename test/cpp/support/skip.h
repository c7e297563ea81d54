// What a test says where it, or a part of it, cannot run: the test command counts these lines and
// shows them at its end.
#pragma once

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

namespace hyper_lmdb::test {

/// How often the program has said so; a case during which it did counts as skipped, not as passed.
inline int skips_told = 0;

inline void skip(const std::string& reason) {
  const std::string name = Catch::getResultCapture().getCurrentTestName();
  std::printf("\n*** SKIPPED: %s: %s\n", name.c_str(), reason.c_str());
  std::fflush(stdout);
  ++skips_told;
}

}  // namespace hyper_lmdb::test
