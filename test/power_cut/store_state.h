// A store as the test opens it, and all that it holds as numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hyper_lmdb/store.h"
#include "model.h"

namespace hyper_lmdb::power {

std::optional<Durability> mode_named(std::string_view name);
const char* name_of(Durability mode);

Options options_for(const std::string& directory, Durability mode, std::uint64_t buffer_bytes);

/// Walks all of the store. The same as Model::state of what it should hold. Errors: as the calls';
/// internal where a key is nobody's or the store counts its links wrongly.
Result<State> state_of(const Store& store);

}  // namespace hyper_lmdb::power
