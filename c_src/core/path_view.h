// Paths in one snapshot: where a read looks, where a write goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "links.h"
#include "path.h"
#include "path_cache.h"
#include "resolve.h"
#include "value.h"
#include "view.h"

namespace hyper_lmdb {

/// Milliseconds of a clock that does not go back.
using Clock = std::uint64_t (*)();
std::uint64_t steady_ms() noexcept;

/// Thread-safety: none; lives within one call, on the transaction's thread.
class PathView {
 public:
  /// More look-ups than `most_lookups` end a call with work_limit.
  PathView(const View& store, Links* links, const Links::View& view, Clock clock,
           std::uint64_t most_lookups) noexcept
      : store_(store), links_(links), view_(view), clock_(clock), lookups_left_(most_lookups) {}

  /// What a read of a path finds.
  struct Found {
    Resolved resolved = Resolved::path;
    PathText key;  ///< where the path leads
    Bytes bytes;   ///< the record there; no link
  };
  /// The path is canonical and at most kMaxKeyBytes long. Errors: corrupted, unknown_format,
  /// work_limit.
  Result<Found> locate(std::string_view path);

  std::uint64_t lookups_left() const noexcept { return lookups_left_; }

  /// The key a write to the path goes to.
  Result<Resolved> locate_for_write(std::string_view path, PathText* key);

 private:
  static Found dead_end();
  Result<Record> look_at(Found* found);
  Result<Bytes> look_up(std::string_view key);
  Result<std::optional<std::string_view>> link_at(std::string_view key);
  Result<Resolved> follow(std::string_view path, PathText* end);
  Result<Resolved> through_parents(std::string_view path, PathText* key);
  Resolved arrive(const PathCache::Resolution& at, PathText* end) noexcept;

  View store_;
  Links* links_;
  Links::View view_;
  Clock clock_;
  std::uint64_t lookups_left_;
  unsigned steps_ = 0;  // links followed for the path under way
};

}  // namespace hyper_lmdb
