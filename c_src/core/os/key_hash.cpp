#define XXH_INLINE_ALL
#include "os/key_hash.h"

#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#include <chrono>

namespace hyper_lmdb {

std::uint64_t random_seed() noexcept {
  std::uint64_t seed = 0;
  // Without randomness the clock has to do: the seed keeps out guesses, not an attacker with time.
  if (::getentropy(&seed, sizeof seed) != 0) {
    seed = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return seed;
}

std::size_t KeyHash::operator()(std::string_view key) const noexcept {
  static const std::uint64_t seed = random_seed();
  return XXH3_64bits_withSeed(key.data(), key.size(), seed);
}

}  // namespace hyper_lmdb
