// One consistent picture of the store for a reader: the write buffers, then what LMDB has below
// them.
#pragma once

#include <lmdb.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "buffer/write_buffer.h"
#include "hyper_lmdb/result.h"
#include "lmdb/txn.h"

namespace hyper_lmdb {

/// Stored bytes, where there are any.
using Bytes = std::optional<std::string_view>;

/// What a key holds in one transaction of LMDB.
Result<Bytes> find_in(MDB_txn* txn, MDB_dbi dbi, std::string_view key) noexcept;

/// A key's outcome in a write that is being decided, before anything of it is in a buffer.
class PendingBatch;
class ReadCall;

/// Thread-safety: none; lives within one call, on the transaction's thread. Everything it hands out
/// is valid as long as the lease or transaction it was made from.
class View {
 public:
  /// LMDB alone.
  View(MDB_txn* txn, MDB_dbi dbi, std::uint64_t version) noexcept
      : txn_(txn), dbi_(dbi), version_(version) {}
  /// BufferSet, newest first, either may be null; then LMDB.
  View(MDB_txn* txn, MDB_dbi dbi, std::uint64_t version, const WriteBuffer* active,
       const WriteBuffer* frozen) noexcept
      : txn_(txn),
        dbi_(dbi),
        version_(version),
        active_(holding(active)),
        frozen_(holding(frozen)) {}

  /// The same at another version.
  View at(std::uint64_t version) const noexcept {
    View other = *this;
    other.version_ = version;
    return other;
  }
  /// With what a batch has decided so far above it all.
  View over(const PendingBatch* pending_batch) const noexcept {
    View above = *this;
    above.pending_batch_ = pending_batch;
    return above;
  }

  /// For a call that may not wait for the disk.
  View under(ReadCall* reading) const noexcept {
    View watched = *this;
    watched.reading_ = reading;
    return watched;
  }

  /// The record at a key, as it is stored. Errors: as LMDB; work_limit where the reading is over.
  Result<Bytes> find(std::string_view key) const;
  /// Whether LMDB has a key that begins with `prefix`, whatever the buffers say. Errors: as above.
  Result<bool> tree_has(std::string_view prefix) const;

  /// The longest key the store takes.
  std::size_t max_key_bytes() const noexcept;
  MDB_txn* txn() const noexcept { return txn_; }
  MDB_dbi dbi() const noexcept { return dbi_; }
  std::uint64_t version() const noexcept { return version_; }
  /// LMDB has everything up to this version, and perhaps some of what came later.
  std::uint64_t tree_version() const noexcept {
    const WriteBuffer* const oldest = frozen_ != nullptr ? frozen_ : active_;
    return oldest != nullptr ? oldest->first_version() - 1 : version_;
  }
  const WriteBuffer* active() const noexcept { return active_; }
  const WriteBuffer* frozen() const noexcept { return frozen_; }
  ReadCall* reading() const noexcept { return reading_; }

 private:
  static const WriteBuffer* holding(const WriteBuffer* buffer) noexcept {
    return buffer != nullptr && !buffer->empty() ? buffer : nullptr;
  }

  MDB_txn* txn_;
  MDB_dbi dbi_;
  std::uint64_t version_;
  const PendingBatch* pending_batch_ = nullptr;
  const WriteBuffer* active_ = nullptr;
  const WriteBuffer* frozen_ = nullptr;
  ReadCall* reading_ = nullptr;
};

/// Walks the records of a view in key order, both ways. The view's pending_batch is not looked at.
class ViewCursor {
 public:
  /// Whether the cursor stops at a key that a buffer says is removed, or has but for later views.
  /// Where it passes them by, one move may take as long as there are such keys.
  enum class Removed { hidden, shown };

  /// Where more than `most_unsorted` buffered keys would have to be sorted first: work_limit.
  static Result<ViewCursor> open(const View& view, std::uint64_t most_unsorted,
                                 Removed removed = Removed::hidden);

  // Each moves to a record and answers true, or false where there is none; then the cursor is
  // nowhere, and `seek` and its like are the way back. Errors: as LMDB; work_limit where the view's
  // reading is over.
  Result<bool> seek(std::string_view key);         ///< the first key >= `key`
  Result<bool> seek_before(std::string_view key);  ///< the last key < `key`
  Result<bool> first() { return seek({}); }
  Result<bool> last();
  Result<bool> next();
  Result<bool> previous();

  /// Of the record it stands on, until the next move.
  std::string_view key() const noexcept { return key_; }
  std::string_view bytes() const noexcept { return bytes_; }
  bool removed() const noexcept { return removed_; }

 private:
  enum class Direction { forward, backward };
  struct Layer {  // a buffer
    BufferCursor cursor;
    bool valid = false;
  };

  ViewCursor(Cursor tree, Removed removed, ReadCall* reading) noexcept
      : tree_(std::move(tree)), shows_removed_(removed == Removed::shown), reading_(reading) {}
  Result<bool> move_tree(MDB_cursor_op op, std::string_view key);
  Result<bool> settle(Direction direction);
  Result<bool> step(Direction direction);
  Result<void> leave(Direction direction);

  Cursor tree_;
  bool shows_removed_;
  ReadCall* reading_;
  bool tree_valid_ = false;
  MDB_val tree_key_{};
  MDB_val tree_bytes_{};
  std::optional<Layer> layers_[2];  // active, frozen
  bool layered_ = false;
  Direction direction_ = Direction::forward;
  std::string_view key_;
  std::string_view bytes_;
  bool removed_ = false;
};

}  // namespace hyper_lmdb
