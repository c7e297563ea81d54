// The form of a path: segments joined with `/`, no empty ones; the root is empty.
#pragma once

#include <string>
#include <string_view>

namespace hyper_lmdb {

/// Whether a path is in canonical form: no empty segment, so no `/` at an end and no two together.
bool is_canonical_path(std::string_view path) noexcept;

/// The canonical form: every empty segment dropped.
std::string canonical_path(std::string_view path);

}  // namespace hyper_lmdb
