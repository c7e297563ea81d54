// Random overwrites for a while with durability `async`, beside raw LMDB; then a killed process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataset.h"
#include "figure.h"

namespace hyper_lmdb::bench {

struct Sustained {
  double seconds = 60;
  std::uint32_t keys = 1'000'000;
  std::uint64_t journal_bytes = 64ULL << 20;  ///< that the killed process leaves
};

/// Best run before anything else: the memory it reports is that of the whole process.
std::vector<Figure> sustained(const TempDir& dir, const Sustained& settings);

/// What the process does that is to be killed: opens the store, writes until there is that much
/// journal, and ends without closing. It is this program, started with `kFillAndDie`.
inline constexpr const char* kFillAndDie = "--fill-and-die";
[[noreturn]] void fill_and_die(const std::string& directory, const Sustained& settings);

}  // namespace hyper_lmdb::bench
