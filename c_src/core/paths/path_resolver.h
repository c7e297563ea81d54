// How links are followed: pure rules over a look-up function.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/path.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// Links followed at most in one resolution; a path that needs more is taken for a cycle.
inline constexpr unsigned kMostSteps = 4096;

/// Where a resolution ended.
enum class Resolved : std::uint8_t {
  path,  ///< at a path of which no prefix is a link
  dead,  ///< nowhere: a cycle, or a link that outgrew the longest key
};

/// The target of the link at a key, or nothing where no link is there. The view is read before the
/// next call.
using LinkAt = FunctionRef<Result<std::optional<std::string_view>>(std::string_view key)>;

/// Replaces the shortest prefix of `*path` that is a link (the whole path counts as one) by its
/// target, until none is. Values are not looked at. The first `checked` bytes are known to be a
/// prefix without a link. A path of more than `most_bytes` is dead. Errors: those of `link_at`.
Result<Resolved> follow_links(PathText* path, std::size_t checked, unsigned* steps_left,
                              std::size_t most_bytes, LinkAt link_at);

}  // namespace hyper_lmdb
