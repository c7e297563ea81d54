// Resolutions remembered: least recently used, with a time to live, and exact.
//
// An entry says where a path leads once its links are followed, at which version of the store that
// was found out, and on which keys it depends: every key that was asked for a link, whether one was
// there or not. A change of the link at a key (made, replaced, removed) records its version in a
// slot chosen by the key's hash, before the change can be seen. An entry serves a view of version v
// if it was computed at or before v and none of its slots has changed since it was computed: it
// ends at the first change of a key it passed through. Two keys that share a slot cost a needless
// miss, never a stale answer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "resolve.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread. Each shard has a lock, never held
/// over anything that waits; the slots are atomic. The time is the caller's: milliseconds of a
/// clock that does not go back.
class PathCache {
 public:
  using Slots = std::vector<std::uint32_t>;

  struct Limits {
    std::uint64_t entries = 10'000;  ///< 0 turns the cache off
    std::uint64_t ttl_ms = 300'000;  ///< 0 turns the cache off
    std::uint64_t bytes = 8ULL << 20;
  };
  struct Stats {
    std::uint64_t hits = 0, misses = 0, evictions = 0, entries = 0;
  };

  PathCache(const Limits& limits, std::uint64_t seed);

  bool enabled() const noexcept { return limits_.entries != 0 && limits_.ttl_ms != 0; }

  /// Where a path leads.
  struct Resolution {
    PathText end;
    Resolved resolved = Resolved::path;
    unsigned steps = 0;  ///< links followed on the way
  };

  /// Where `path` leads for a view of `version`. On a hit `*found` is set, and the slots it depends
  /// on are added to `*slots` unless that is null.
  bool find(std::string_view path, std::uint64_t version, std::uint64_t now_ms, Resolution* found,
            Slots* slots);

  /// Remembers what a view of `version` found. `slots` may hold repeats.
  void insert(std::string_view path, std::uint64_t version, std::uint64_t now_ms,
              const Resolution& resolution, Slots slots);

  /// The slot a key's link changes are recorded in.
  std::uint32_t slot_of(std::string_view key) const noexcept;

  /// The link at `key` changes in `version`. Called before that version can be seen.
  void link_changes(std::string_view key, std::uint64_t version) noexcept;
  /// Any link may have changed in `version`. Called before an answer for that version is looked up.
  void all_change(std::uint64_t version) noexcept;

  Stats stats() const;

 private:
  struct Entry {
    std::string path;
    std::string end;
    Resolved resolved;
    unsigned steps;
    std::uint64_t computed_at;   // version
    std::uint64_t validated_at;  // no slot of this entry changed up to this version
    std::uint64_t expires_ms;
    Slots slots;
    std::size_t bytes() const noexcept;
  };
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(std::string_view text) const noexcept;
  };
  using Order = std::list<Entry>;  // most recently used first
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    Order order;
    std::unordered_map<std::string_view, Order::iterator, Hash> entries;
    std::size_t bytes = 0;
    Stats stats;

    explicit Shard(std::uint64_t seed) : entries(0, Hash{seed}) {}
    void erase(Order::iterator entry);
  };
  enum class Freshness { fresh, ended, newer };

  Shard& shard_of(std::string_view path) noexcept;
  Freshness freshness(Entry& entry, std::uint64_t version) const noexcept;
  std::atomic<std::uint64_t>* changes() const noexcept;

  const Limits limits_;
  const std::uint64_t seed_;
  std::vector<std::unique_ptr<Shard>> shards_;
  // Last version in which a link of the slot changed. Made when the first link changes: a store
  // without links does not pay for it.
  mutable std::once_flag changes_made_;
  mutable std::unique_ptr<std::atomic<std::uint64_t>[]> changes_;
  mutable std::atomic<std::atomic<std::uint64_t>*> changes_ready_{nullptr};
  std::atomic<std::uint64_t> last_change_{0};
  std::atomic<std::uint64_t> all_changed_at_{0};
};

}  // namespace hyper_lmdb
