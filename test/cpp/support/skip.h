// What a test says where it, or a part of it, cannot run: the test command counts these lines and
// shows them at its end.
#pragma once

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "support/child.h"

namespace hyper_lmdb::test {

/// How often the program has said so; a case during which it did counts as skipped, not as passed.
inline int skips_told = 0;

inline void skip(const std::string& reason) {
  const std::string name = Catch::getResultCapture().getCurrentTestName();
  std::printf("\n*** SKIPPED: %s: %s\n", name.c_str(), reason.c_str());
  std::fflush(stdout);
  ++skips_told;
}

/// For a child that ends with kSkipped where it cannot do its part.
inline void require_done_or_skipped(const std::string& ended, const char* reason) {
  if (ended == "exit " + std::to_string(kSkipped)) return skip(reason);
  CHECK(ended == "exit 0");
}

}  // namespace hyper_lmdb::test
