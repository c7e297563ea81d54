// Paths in one snapshot: where a read looks, where a write goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/path.h"
#include "format/record.h"
#include "paths/links.h"
#include "paths/path_cache.h"
#include "paths/path_resolver.h"
#include "read/view.h"

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
    PathText key;  ///< where the path leads, unless that is nowhere
    Bytes bytes;   ///< the record there; no link
  };
  /// The path is canonical and no longer than a key of the store; `*found` is as it was made.
  /// Errors: corrupted, unknown_format, checksum_mismatch of a link, work_limit.
  Result<void> locate(std::string_view path, Found* found);

  std::uint64_t lookups_left() const noexcept { return lookups_left_; }

  /// The key a write to the path goes to.
  Result<Resolved> locate_for_write(std::string_view path, PathText* key);

 private:
  Resolved add_name(std::string_view path, const PathCache::Resolution& parents,
                    PathText* key) const;
  Result<Record> look_at(Found* found);
  Result<Bytes> look_up(std::string_view key);
  Result<std::optional<std::string_view>> link_at(std::string_view key);
  Result<void> look_below(std::string_view path);
  Result<void> follow(std::string_view path, PathCache::Resolution* at, Slots* slots);
  Result<void> follow_link(const Found& link, std::string_view target, unsigned steps,
                           PathCache::Resolution* at, Slots* slots);
  Result<void> through_own_link(std::string_view path, std::string_view target, Found* found);
  Result<void> through_parents(std::string_view path, const PathCache::Resolution& parents,
                               Found* found);
  Result<void> end_at(const PathCache::Resolution& at, Found* found);
  bool known(const PathCache::Key& key, PathCache::Resolution* at, Slots* slots);
  void remember(const PathCache::Key& key, const PathCache::Resolution& at, const Slots& slots);
  PathCache& cache() noexcept { return links_->cache(); }
  std::uint64_t now_ms() noexcept;

  View store_;
  Links* links_;
  Links::View view_;
  Clock clock_;
  std::uint64_t lookups_left_;
  std::optional<std::uint64_t> now_ms_;  // once the clock was read
};

}  // namespace hyper_lmdb
