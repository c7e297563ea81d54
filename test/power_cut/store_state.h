// A store as the test opens it, and all that it holds as one number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hyper_lmdb/store.h"

namespace hyper_lmdb::power {

std::optional<Durability> mode_named(std::string_view name);
const char* name_of(Durability mode);

Options options_for(const std::string& directory, Durability mode, std::uint64_t buffer_bytes);

/// Walks all of the store. The same as Model::state of what it should hold. Errors: as the calls'.
Result<std::uint64_t> state_of(const Store& store);

}  // namespace hyper_lmdb::power
