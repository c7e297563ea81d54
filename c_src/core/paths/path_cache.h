// Resolutions remembered: the ones used last, with a time to live, and exact.
//
// What makes way is the least recently used, approximately: a hit moves an entry to the front only
// if it has fallen behind by a quarter of its shard. The order of eviction is LRU within that: what
// makes way has not been used since three quarters of the shard were.
//
// An entry says where a path leads once its links are followed, at which version of the store that
// was found out, and on which keys it depends: every key that was asked for a link, whether one was
// there or not. A change of the link at a key (made, replaced, removed) records its version in the
// key's slot, before the change can be seen. An entry serves a view of version v if it was computed
// at or before v and none of its slots has changed since it was computed: it ends at the first
// change of a key it passed through.
//
// An entry of a directory also says whether keys lie below the directory itself, not below the
// place it leads to: where none does, no value there comes before what its paths lead to. A key
// that appears records its version in the slot of each of its parents, as a change of a link does.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "os/lazy_array.h"
#include "paths/path_entries.h"
#include "paths/path_resolver.h"
#include "paths/slot_versions.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread, those that record a version by the
/// holder of the store's write lock. Each shard has a lock, never held over anything that waits.
/// The time is the caller's: milliseconds of a clock that does not go back.
class PathCache {
 public:
  struct Limits {
    std::uint64_t entries = 10'000;  ///< 0 turns the cache off
    std::uint64_t ttl_ms = 300'000;  ///< 0 turns the cache off
    std::uint64_t bytes = 8ULL << 20;
  };
  struct Stats {
    std::uint64_t hits = 0, misses = 0, evictions = 0, entries = 0;
  };

  /// What is asked about a path.
  struct Key {
    std::string_view path;
    std::uint64_t hash;
    bool own_link = false;
  };

  /// What lies below a directory itself.
  enum class Below : std::uint8_t {
    nothing,   ///< no key
    unknown,   ///< perhaps some
    find_out,  ///< the same, and nobody has looked for a while
  };
  /// Where a path leads.
  struct Resolution {
    PathText end;
    Resolved resolved = Resolved::path;
    unsigned steps = 0;  ///< links followed on the way
    Below below = Below::unknown;
  };

  /// How a path was read the last time: where to look first, never knowledge.
  enum class Hint : std::uint8_t { itself, own_link, through_parents };

  PathCache(const Limits& limits, std::uint64_t seed);

  bool enabled() const noexcept { return limits_.entries != 0 && limits_.ttl_ms != 0; }

  /// Where the path leads once the shortest of its prefixes that is a link is followed first.
  Key key_of(std::string_view path) const noexcept;
  /// Where a path that is a link leads once its own link is followed first.
  static Key own_link(Key key) noexcept;

  /// What is known for a view of `version`. On a hit `*found` is set, and the slots it depends on
  /// are added to `*slots` unless that is null.
  bool find(const Key& key, std::uint64_t version, std::uint64_t now_ms, Resolution* found,
            Slots* slots);

  /// Remembers what a view of `version` found. `slots` may hold repeats.
  void insert(const Key& key, std::uint64_t version, std::uint64_t now_ms,
              const Resolution& resolution, Slots slots);

  /// Whether a key may have appeared below a directory after `version`.
  bool may_have_appeared(const Key& directory, std::uint64_t version) const noexcept;
  /// A view of `version` looked for a key below a directory.
  void looked_below(const Key& directory, std::uint64_t version, std::uint64_t now_ms,
                    bool nothing);

  Hint hint(std::string_view path) const noexcept {
    const auto* const hints = hints_.get();
    if (hints == nullptr) return Hint::itself;
    return static_cast<Hint>(hints[hash_of(path) % kHints].load(std::memory_order_relaxed));
  }
  void set_hint(std::string_view path, Hint hint);

  /// The slot a key's link changes are recorded in.
  std::uint32_t slot_of(std::string_view key) const noexcept;

  /// The link at `key` changes in `version`. Called before that version can be seen.
  void link_changes(std::string_view key, std::uint64_t version) noexcept;
  /// Any link may have changed in `version`. Called before an answer for that version is looked up.
  void all_change(std::uint64_t version) noexcept;

  /// `key`, which held nothing, holds something in `version`. Called before that can be seen.
  void appears(std::string_view key, std::uint64_t version) noexcept;
  /// Any key may have appeared in `version` or before, as above.
  void any_appeared(std::uint64_t version) noexcept { appeared_.record_all(version); }

  Stats stats() const;

 private:
  static constexpr std::size_t kHints = 1U << 16;

  struct alignas(64) Shard {
    mutable std::mutex mutex;
    PathEntries entries;
    Stats stats;

    /// Null where it is not known.
    PathEntry* find(const Key& key) const noexcept;
  };
  enum class Freshness { fresh, ended, newer };

  Shard& shard_of(std::uint64_t hash) noexcept;
  Freshness freshness(PathEntry& entry, std::uint64_t version) const noexcept;
  Below below(const PathEntry& entry, std::uint64_t version, std::uint64_t now_ms) const noexcept;
  std::uint64_t hash_of(std::string_view text) const noexcept;

  const Limits limits_;
  const std::uint64_t seed_;
  const std::size_t shard_count_;
  const std::uint64_t most_entries_;  // of a shard
  std::vector<std::unique_ptr<Shard>> shards_;
  SlotVersions link_changes_;
  std::atomic<std::uint64_t> last_change_{0};  // of any link
  SlotVersions appeared_;                      // below the key of the slot
  LazyArray<std::uint8_t, kHints> hints_;
};

}  // namespace hyper_lmdb
