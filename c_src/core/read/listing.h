// Walks over a snapshot that skip what they do not want.
#pragma once

#include <string_view>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/reader.h"
#include "hyper_lmdb/result.h"
#include "read/view.h"

namespace hyper_lmdb {

/// Whether any canonical path lies below a group. The group's path is canonical.
/// Errors: work_limit after `most_lookups`.
Result<bool> has_children(const View& view, std::string_view group, std::uint64_t most_lookups);

/// Names of the immediate children, sorted, each once. Seeks past each child's subtree.
Result<void> list_children(const View& view, std::string_view group, const Page& page,
                           FunctionRef<bool(std::string_view)> on_name);

/// Keys with a value or a link that begin with a prefix.
Result<void> list_keys(const View& view, std::string_view prefix, const Page& page,
                       FunctionRef<bool(std::string_view)> on_key);

}  // namespace hyper_lmdb
