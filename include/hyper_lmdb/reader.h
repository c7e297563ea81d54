// What can be read: of a store as it is now, or of a snapshot of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

struct StoreImpl;
class OpenSnapshot;

/// What is at a path.
enum class PathType : std::uint8_t {
  not_found,
  simple,     ///< a value
  composite,  ///< a group: it has descendants or a mark; it may hold a value too
};

inline constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

/// What one call may do, all its keys together. One that would do more answers work_limit instead,
/// and is made again where there is more time.
struct Effort {
  std::uint64_t lookups = kNoLimit;         ///< of records, on the way of paths
  std::uint64_t value_bytes = kNoLimit;     ///< of the values found
  std::uint64_t inflated_bytes = kNoLimit;  ///< of those that were compressed
  std::uint64_t sorting = kNoLimit;         ///< of buffered keys, for a range
  /// Whether the call may wait: for the disk, and for another read through the same snapshot. One
  /// that may not answers work_limit while many pages of the store are not in memory, and as soon
  /// as it finds that it was kept waiting.
  bool may_wait = true;
  /// How long one that may wait does so for other reads: for a slot that they have, then it is
  /// busy; or through the same snapshot, then it answers work_limit.
  std::uint64_t turn_ms = kNoLimit;
};

/// A turn in the line of those who wait for a snapshot: to be handed in again, as it is, each time.
/// Who has not asked for a second keeps nobody else waiting.
struct SnapshotTurn {
  std::uint64_t number = 0;  ///< 0 for who has none yet
  std::uint64_t ahead = 0;   ///< how many are before this one
};

/// A part of a listing.
struct Page {
  std::uint64_t limit = kNoLimit;               ///< names at most
  std::optional<std::string_view> cursor = {};  ///< go on after this name; it need not exist
  bool reverse = false;                         ///< from the last to the first; not for list_prefix
};

/// The keys in byte order that match all of what is given.
struct Range {
  std::string_view prefix = {};
  std::optional<std::string_view> from = {};   ///< inclusive, in reverse too
  std::optional<std::string_view> to = {};     ///< exclusive, in reverse too
  std::optional<std::string_view> after = {};  ///< go on behind this key; it need not exist
  bool reverse = false;                        ///< from the last to the first
  bool keys_only = false;                      ///< leave the values out: they are empty
  std::uint64_t limit = kNoLimit;              ///< entries at most
};

/// All that is at a key.
struct Entry {
  std::string_view key;
  bool marked = false;                          ///< as a group
  std::optional<std::string_view> value = {};   ///< empty where only keys are asked for
  std::optional<std::string_view> target = {};  ///< of a link, which a value excludes
};

/// Each call sees one moment: of a store the one of the call, of a snapshot its own.
///
/// Thread-safety: every function may be called from any thread at any time.
/// Errors common to all: closed; busy where other reads have all slots for longer than the effort
/// allows to wait; of a snapshot also snapshot_expired, and work_limit where another
/// thread reads through it for longer than the effort allows to wait, or where the effort allows no
/// wait and much was written since the snapshot was taken.
class Reader {
 public:
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Of the longest key that is not key_too_large, closed or not: 511 with LMDB 0.9, from 1.0 on a
  /// little under half of the store's pages, as LMDB was built.
  std::size_t max_key_bytes() const noexcept;

  /// Calls `on_value` with the bytes at `key`, valid inside the callback only, and returns true;
  /// false where no value is there. Never waits for a writer; may touch the disk.
  /// Errors: bad_key, key_too_large, readers_full, checksum_mismatch, corrupted, unknown_format,
  /// work_limit; value_too_large for a compressed value over max_value_bytes.
  Result<bool> get(std::string_view key, FunctionRef<void(std::string_view)> on_value,
                   const Effort& effort = {}) const;

  /// Whether a value is at `key`. Errors as `get`, but for the value's own.
  Result<bool> exists(std::string_view key, const Effort& effort = {}) const;

  /// Calls `on_target` with the target of the link at `key`, valid inside the callback only, and
  /// returns true; false where no link is there. Errors as `exists`, and checksum_mismatch.
  Result<bool> read_link(std::string_view key, FunctionRef<void(std::string_view)> on_target,
                         const Effort& effort = {}) const;

  /// What one key of `read_many` holds.
  using Lookup = Result<std::optional<std::string_view>>;

  /// Looks all keys up in one snapshot and calls `on_result` once a key, in input order; a false
  /// from it ends the walk early. A wrong key is its own result. Errors: readers_full, work_limit.
  Result<void> read_many(std::span<const std::string_view> keys,
                         FunctionRef<bool(std::size_t, const Lookup&)> on_result,
                         const Effort& effort = {}) const;

  /// Brings the pages of the keys and of what they hold into memory, one key after the other, until
  /// `most` is over; returns how many keys are done, one at least where any is given. Keys that are
  /// not there, or that no key can be, cost what it takes to see that. Blocks; of the effort only
  /// `turn_ms` counts. Errors: readers_full.
  Result<std::size_t> prefetch(std::span<const std::string_view> keys,
                               std::chrono::milliseconds most, const Effort& effort = {}) const;

  // Paths: in any form, brought to the canonical one; links are followed (doc/functions.md). A path
  // that leads nowhere is absent. Errors: key_too_large, bad_key for the reserved key,
  // readers_full, corrupted, unknown_format, work_limit.

  /// As `get`, at the end of a path. The root holds no value.
  Result<bool> read(std::string_view path, FunctionRef<void(std::string_view)> on_value,
                    const Effort& effort = {}) const;
  /// As `read_many` of keys: all in one snapshot, each exactly as `read` answers it.
  Result<void> read_many_paths(std::span<const std::string_view> paths,
                               FunctionRef<bool(std::size_t, const Lookup&)> on_result,
                               const Effort& effort = {}) const;
  Result<PathType> type(std::string_view path, const Effort& effort = {}) const;
  /// Calls `on_key` with the key a path leads to, valid inside the callback, and returns true;
  /// false where nothing is there.
  Result<bool> resolve(std::string_view path, FunctionRef<void(std::string_view)> on_key,
                       const Effort& effort = {}) const;
  /// Calls `on_name` with the names of the immediate children of a group, in byte order, each once;
  /// a false from it ends the walk. Returns false where no group is. The root always is one.
  /// Skips what lies below each child; may take long all the same. Of the effort only `turn_ms`
  /// counts, here and in `list_prefix`.
  Result<bool> list(std::string_view path, const Page& page,
                    FunctionRef<bool(std::string_view)> on_name, const Effort& effort = {}) const;
  /// Calls `on_key` with every key that begins with `prefix` (bytes as they are) and holds a value
  /// or a link, in byte order.
  Result<void> list_prefix(std::string_view prefix, const Page& page,
                           FunctionRef<bool(std::string_view)> on_key,
                           const Effort& effort = {}) const;

  /// Calls `on_entry` with the keys of a range that hold a value, and their values, in order. Ends
  /// early where it answers false, which is before that entry, and where the effort is used up:
  /// a part may have no entry at all. The effort counts every record on the way. Returns the key
  /// to go on `after`, in any snapshot; nothing where the range ends.
  /// Errors: as `get`; work_limit where the effort is not enough for anything.
  Result<std::optional<std::string>> range(
      const Range& range, FunctionRef<bool(std::string_view, std::string_view)> on_entry,
      const Effort& effort = {}) const;

  /// As `range`, with the keys that hold anything: links and marks of groups too.
  Result<std::optional<std::string>> records(const Range& range,
                                             FunctionRef<bool(const Entry&)> on_entry,
                                             const Effort& effort = {}) const;

 protected:
  Reader(StoreImpl* impl, OpenSnapshot* snapshot) noexcept : impl_(impl), snapshot_(snapshot) {}
  ~Reader() = default;

  StoreImpl* impl_;
  OpenSnapshot* snapshot_;  // null where the store itself is read
};

}  // namespace hyper_lmdb
