// The entries of one shard of the path cache: a hash table, and the order in which they were used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "paths/path_resolver.h"
#include "paths/slot_versions.h"

namespace hyper_lmdb {

struct PathEntry {
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t hash;
  std::string text;  // the path, then where it leads
  std::uint32_t path_bytes;
  unsigned steps;
  Resolved resolved;
  bool own_link;
  std::uint64_t computed_at;   // version
  std::uint64_t validated_at;  // no slot of this entry changed up to this version
  std::uint64_t expires_ms;
  std::uint64_t bare_at = kNever;  // the version at which no key lay below
  std::uint64_t look_below_ms = 0;
  Slots slots;

  std::string_view path() const noexcept { return std::string_view(text).substr(0, path_bytes); }
  std::string_view end() const noexcept { return std::string_view(text).substr(path_bytes); }
  /// With what it takes in a table.
  std::size_t bytes() const noexcept;

  // The table's own.
  PathEntry* next = nullptr;  // in its bucket
  PathEntry* newer = nullptr;
  PathEntry* older = nullptr;
  std::uint64_t moved_at = 0;
};

/// Thread-safety: none.
class PathEntries {
 public:
  PathEntries() = default;
  PathEntries(const PathEntries&) = delete;
  PathEntries& operator=(const PathEntries&) = delete;
  ~PathEntries() { clear(); }

  /// Null where there is none.
  PathEntry* find(std::uint64_t hash) const noexcept;
  /// The order of use is kept to within a quarter of the entries: one that fewer others were moved
  /// in front of stays where it is.
  void used(PathEntry* entry) noexcept;
  /// As the one used last; there is none with its hash. Throws std::bad_alloc.
  void add(std::unique_ptr<PathEntry> entry);
  void remove(PathEntry* entry) noexcept;
  void clear() noexcept;

  PathEntry* least_recently_used() const noexcept { return oldest_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  PathEntry*& bucket_of(std::uint64_t hash) noexcept {
    return buckets_[hash & (buckets_.size() - 1)];
  }
  void grow();
  void to_front(PathEntry* entry) noexcept;
  void out_of_order(PathEntry* entry) noexcept;

  std::vector<PathEntry*> buckets_;  // a power of two of them, or none yet
  PathEntry* newest_ = nullptr;
  PathEntry* oldest_ = nullptr;
  std::uint64_t moves_ = 0;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace hyper_lmdb
