// Images whose recovery is to be cut off too.
#pragma once

#include <cstdint>
#include <string>

#include "cuts.h"

namespace hyper_lmdb::power {

/// Chooses `count` images that have records in a journal, spread over the recording, and stores
/// each below `directory`: NUMBER/store, the same again as NUMBER/initial, and in NUMBER/bounds the
/// mode to open it in and the first and the last states that may be found.
void select_images(const Cuts& cuts, std::uint64_t count, const std::string& directory);

}  // namespace hyper_lmdb::power
