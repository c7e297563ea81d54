#include "read/view.h"

#include <utility>

#include "buffer/pending_batch.h"
#include "lmdb/version.h"
#include "os/errors.h"
#include "read/read_call.h"

namespace hyper_lmdb {

Result<Bytes> find_in(MDB_txn* txn, MDB_dbi dbi, std::string_view key) noexcept {
  MDB_val wanted = to_val(key);
  MDB_val found{};
  const int rc = mdb_get(txn, dbi, &wanted, &found);
  if (rc == MDB_NOTFOUND) return Bytes();
  if (rc != 0) return from_lmdb(rc, "mdb_get");
  return Bytes(to_view(found));
}

namespace {

Bytes bytes_of(const WriteBuffer::Outcome& outcome) noexcept {
  return outcome.removed ? Bytes() : Bytes(outcome.record);
}

}  // namespace

std::size_t View::max_key_bytes() const noexcept {
  return hyper_lmdb::max_key_bytes(mdb_txn_env(txn_));
}

Result<Bytes> View::find(std::string_view key) const {
  if (pending_batch_ != nullptr) {
    if (const auto decided = pending_batch_->find(key)) return bytes_of(*decided);
  }
  const WriteBuffer* hashed_by = nullptr;
  std::uint64_t hash = 0;
  for (const WriteBuffer* buffer : {active_, frozen_}) {
    if (buffer == nullptr) continue;
    if (hashed_by == nullptr || hashed_by->hash_seed() != buffer->hash_seed()) {
      hash = buffer->hash_of(key);
      hashed_by = buffer;
    }
    if (const auto held = buffer->find(key, hash, version_)) return bytes_of(*held);
  }
  if (reading_ != nullptr && reading_->over()) return ReadCall::work_limit();
  return find_in(txn_, dbi_, key);
}

Result<bool> View::tree_has(std::string_view prefix) const {
  if (reading_ != nullptr && reading_->over()) return ReadCall::work_limit();
  auto cursor = Cursor::open(txn_, dbi_);
  if (!cursor) return cursor.error();
  MDB_val key = to_val(prefix);
  const int rc = mdb_cursor_get(cursor.value().get(), &key, nullptr, MDB_SET_RANGE);
  if (rc == MDB_NOTFOUND) return false;
  if (rc != 0) return from_lmdb(rc, "mdb_cursor_get");
  return to_view(key).starts_with(prefix);
}

Result<ViewCursor> ViewCursor::open(const View& view, std::uint64_t most_unsorted,
                                    Removed removed) {
  auto tree = Cursor::open(view.txn(), view.dbi());
  if (!tree) return tree.error();
  ViewCursor cursor(std::move(tree).value(), removed, view.reading());
  const WriteBuffer* const buffers[] = {view.active(), view.frozen()};
  for (std::size_t i = 0; i < 2; ++i) {
    if (buffers[i] == nullptr) continue;
    auto order = buffers[i]->order(most_unsorted);
    if (order == nullptr) return Error{.code = Code::work_limit, .operation = "order"};
    const auto later =
        removed == Removed::shown ? BufferCursor::Later::shown : BufferCursor::Later::hidden;
    cursor.layers_[i].emplace(Layer{BufferCursor(std::move(order), view.version(), later)});
    cursor.layered_ = true;
  }
  return cursor;
}

Result<bool> ViewCursor::move_tree(MDB_cursor_op op, std::string_view key) {
  if (reading_ != nullptr && reading_->over()) return ReadCall::work_limit();
  tree_key_ = to_val(key);
  const int rc = mdb_cursor_get(tree_.get(), &tree_key_, &tree_bytes_, op);
  if (rc != 0 && rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
  tree_valid_ = rc == 0;
  if (!layered_ && tree_valid_) {
    key_ = to_view(tree_key_);
    bytes_ = to_view(tree_bytes_);
  }
  return tree_valid_;
}

Result<bool> ViewCursor::seek(std::string_view key) {
  direction_ = Direction::forward;
  auto moved = key.empty() ? move_tree(MDB_FIRST, {}) : move_tree(MDB_SET_RANGE, key);
  if (!layered_ || !moved) return moved;
  for (auto& layer : layers_) {
    if (layer) layer->valid = layer->cursor.seek(key);
  }
  return settle(Direction::forward);
}

Result<bool> ViewCursor::seek_before(std::string_view key) {
  direction_ = Direction::backward;
  if (key.empty()) return false;
  auto moved = move_tree(MDB_SET_RANGE, key);
  if (moved) moved = move_tree(moved.value() ? MDB_PREV : MDB_LAST, {});
  if (!layered_ || !moved) return moved;
  for (auto& layer : layers_) {
    if (layer) layer->valid = layer->cursor.seek_before(key);
  }
  return settle(Direction::backward);
}

Result<bool> ViewCursor::last() {
  direction_ = Direction::backward;
  auto moved = move_tree(MDB_LAST, {});
  if (!layered_ || !moved) return moved;
  for (auto& layer : layers_) {
    if (layer) layer->valid = layer->cursor.last();
  }
  return settle(Direction::backward);
}

Result<bool> ViewCursor::next() {
  if (!layered_) return move_tree(MDB_NEXT, {});
  if (direction_ == Direction::backward) {
    // The layers stand at or before the key; from here on they stand at or after it.
    if (auto there = seek(key_); !there || !there.value()) return there;
  }
  return step(Direction::forward);
}

Result<bool> ViewCursor::previous() {
  if (!layered_) return move_tree(MDB_PREV, {});
  if (direction_ == Direction::forward) return seek_before(key_);
  return step(Direction::backward);
}

/// Every layer that stands on the cursor's key moves on.
Result<void> ViewCursor::leave(Direction direction) {
  const bool forward = direction == Direction::forward;
  for (auto& layer : layers_) {
    if (!layer || !layer->valid || layer->cursor.key() != key_) continue;
    layer->valid = forward ? layer->cursor.next() : layer->cursor.previous();
  }
  if (tree_valid_ && to_view(tree_key_) == key_) {
    if (auto moved = move_tree(forward ? MDB_NEXT : MDB_PREV, {}); !moved) return moved.error();
  }
  return {};
}

Result<bool> ViewCursor::step(Direction direction) {
  if (auto left = leave(direction); !left) return left.error();
  return settle(direction);
}

/// The nearest key of all layers; the newest layer in which the view sees it tells what it holds. A
/// removed key hides what is below it.
Result<bool> ViewCursor::settle(Direction direction) {
  for (;;) {
    bool found = false;
    bool told = false;  // what the key holds
    const auto is_nearer = [&](std::string_view key) {
      if (!found) return true;
      if (key == key_) return !told;
      return direction == Direction::forward ? key < key_ : key > key_;
    };
    removed_ = false;
    for (const auto& layer : layers_) {
      if (!layer || !layer->valid || !is_nearer(layer->cursor.key())) continue;
      found = true;
      key_ = layer->cursor.key();
      told = layer->cursor.seen();
      const WriteBuffer::Outcome outcome =
          told ? layer->cursor.outcome() : WriteBuffer::Outcome{.removed = true};
      bytes_ = outcome.record;
      removed_ = outcome.removed;
    }
    if (tree_valid_ && is_nearer(to_view(tree_key_))) {
      key_ = to_view(tree_key_);
      bytes_ = to_view(tree_bytes_);
      removed_ = false;
      found = true;
    }
    if (!found || !removed_ || shows_removed_) return found;
    if (auto left = leave(direction); !left) return left.error();
  }
}

}  // namespace hyper_lmdb
