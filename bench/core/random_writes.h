// An endless row of random overwrites that takes no memory to speak of and no time to make.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "dataset.h"

namespace hyper_lmdb::bench {

class RandomWrites {
 public:
  explicit RandomWrites(std::uint32_t keys, std::uint64_t seed = Dataset::kSeed)
      : keys_(keys), random_(seed) {
    pool_.resize(kPoolBytes + Dataset::kValueBytes);
    for (char& byte : pool_) byte = static_cast<char>(random_());
  }

  PackedKey key() { return key_of(static_cast<std::uint32_t>(random_() % keys_)); }
  static PackedKey key_of(std::uint32_t number) { return PackedKey(std::to_string(number)); }
  std::string_view value() { return {pool_.data() + random_() % kPoolBytes, Dataset::kValueBytes}; }

 private:
  static constexpr std::size_t kPoolBytes = 1 << 20;
  std::uint32_t keys_;
  std::mt19937_64 random_;
  std::string pool_;
};

}  // namespace hyper_lmdb::bench
