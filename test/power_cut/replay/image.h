// A directory as it may be found after a power cut.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "content.h"
#include "disk.h"

namespace hyper_lmdb::power {

struct ImageFile {
  std::string name;
  Content content;
};
using Image = std::vector<ImageFile>;

/// What of the pending writes and names has arrived.
struct Choice {
  enum class Kind { none, all, alone, missing, random };
  Kind kind = Kind::none;
  std::uint64_t target = 0;       // of alone and missing: the pending write or name
  bool names_arrived = false;     // of alone and missing, where the target is a write
  std::uint64_t size_seed = 0;    // which of the sizes a file had
  std::uint64_t random_seed = 0;  // of random
};

/// A kind by chance and, for alone and missing, a target by chance; none where nothing is pending.
Choice choose(const Disk& disk, std::mt19937_64& random);
std::string describe(const Choice& choice);

Image build(const Disk& disk, const Choice& choice);
std::uint64_t fingerprint(const Image& image);
/// Makes the directory hold that and nothing else.
void store(const Image& image, const std::string& directory);

}  // namespace hyper_lmdb::power
