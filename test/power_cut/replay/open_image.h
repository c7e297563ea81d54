// Opens one image through the library, as its owner would after the power is back.
#pragma once

#include <string>

#include "hyper_lmdb/options.h"
#include "worker.h"

namespace hyper_lmdb::power {

/// Opens, walks, writes on, closes, opens again and walks again.
Outcome open_image(const std::string& directory, Durability mode);

}  // namespace hyper_lmdb::power
