// Hashes of keys, which nobody outside may foresee: who can chooses keys that share one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hyper_lmdb {

/// A seed that nobody can guess. Thread-safe.
std::uint64_t random_seed() noexcept;

/// For the tables of the standard library; seeded once in a process.
struct KeyHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const noexcept;
};

}  // namespace hyper_lmdb
