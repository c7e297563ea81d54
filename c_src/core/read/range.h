// Walks over the values of a range of keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/reader.h"
#include "hyper_lmdb/result.h"
#include "read/view.h"

namespace hyper_lmdb {

/// What keys a range may hold: from `low` on, and below `high` where there is one.
struct KeyBounds {
  std::string low;
  std::optional<std::string> high;

  bool hold(std::string_view key) const noexcept { return key >= low && (!high || key < *high); }
};
KeyBounds bounds_of(const Range& range, std::size_t max_key_bytes);

/// Which keys a walk stops at: those with a value, or all.
enum class Walked { values, records };

/// Calls `on_record` with such keys, in the range's order, and what is stored there. Where it
/// answers false the walk ends before that key. Looks at `effort.lookups` records at most,
/// removed ones too. Errors: as `on_record`; work_limit where sorting buffered keys is too much.
/// Returns the key behind which to go on, nothing where the range has no more.
Result<std::optional<std::string>> walk_range(
    const View& view, const Range& range, Walked walked, const Effort& effort,
    FunctionRef<Result<bool>(std::string_view key, std::string_view bytes)> on_record);

}  // namespace hyper_lmdb
