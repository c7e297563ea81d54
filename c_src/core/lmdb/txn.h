// Transactions and cursors that end with their scope.
#pragma once

#include <lmdb.h>

#include <string_view>
#include <utility>

#include "hyper_lmdb/result.h"
#include "lmdb/tsan_lmdb.h"
#include "os/errors.h"

namespace hyper_lmdb {

inline MDB_val to_val(std::string_view bytes) noexcept {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}
inline std::string_view to_view(const MDB_val& value) noexcept {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

/// The store's one tree. It tells LMDB how keys compare, so every environment begins with it.
inline Result<MDB_dbi> open_main_tree(MDB_txn* txn) noexcept {
  MDB_dbi dbi = 0;
  if (const int rc = mdb_dbi_open(txn, nullptr, 0, &dbi); rc != 0) {
    return from_lmdb(rc, "mdb_dbi_open");
  }
  return dbi;
}

/// A write transaction; aborted unless committed. Begins and ends on one thread.
class WriteTxn {
 public:
  static Result<WriteTxn> begin(MDB_env* env) noexcept {
    MDB_txn* txn = nullptr;
    if (const int rc = mdb_txn_begin(env, nullptr, 0, &txn); rc != 0) {
      return from_lmdb(rc, "mdb_txn_begin");
    }
    pages_entered(env);
    return WriteTxn(txn);
  }
  WriteTxn(WriteTxn&& other) noexcept : txn_(std::exchange(other.txn_, nullptr)) {}
  WriteTxn& operator=(WriteTxn&&) = delete;
  ~WriteTxn() { abort(); }

  MDB_txn* get() const noexcept { return txn_; }
  void abort() noexcept {
    if (txn_ == nullptr) return;
    pages_left(mdb_txn_env(txn_));
    mdb_txn_abort(std::exchange(txn_, nullptr));
  }
  Result<void> commit() noexcept {
    pages_left(mdb_txn_env(txn_));
    // Ended either way: LMDB frees the transaction even where the commit fails.
    if (const int rc = mdb_txn_commit(std::exchange(txn_, nullptr)); rc != 0) {
      return from_lmdb(rc, "mdb_txn_commit");
    }
    return {};
  }

 private:
  explicit WriteTxn(MDB_txn* txn) noexcept : txn_(txn) {}
  MDB_txn* txn_;
};

/// A read transaction of its own, outside the pool.
class ReadTxn {
 public:
  static Result<ReadTxn> begin(MDB_env* env) noexcept {
    MDB_txn* txn = nullptr;
    if (const int rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn); rc != 0) {
      return from_lmdb(rc, "mdb_txn_begin");
    }
    return ReadTxn(txn);
  }
  ReadTxn(ReadTxn&& other) noexcept : txn_(std::exchange(other.txn_, nullptr)) {}
  ReadTxn& operator=(ReadTxn&&) = delete;
  ~ReadTxn() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  MDB_txn* get() const noexcept { return txn_; }

 private:
  explicit ReadTxn(MDB_txn* txn) noexcept : txn_(txn) {}
  MDB_txn* txn_;
};

/// A cursor; in a write transaction it must go before the transaction ends, in a read transaction
/// before the next use of its slot.
class Cursor {
 public:
  static Result<Cursor> open(MDB_txn* txn, MDB_dbi dbi) noexcept {
    MDB_cursor* cursor = nullptr;
    if (const int rc = mdb_cursor_open(txn, dbi, &cursor); rc != 0) {
      return from_lmdb(rc, "mdb_cursor_open");
    }
    return Cursor(cursor);
  }
  Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor() {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
  }
  MDB_cursor* get() const noexcept { return cursor_; }

 private:
  explicit Cursor(MDB_cursor* cursor) noexcept : cursor_(cursor) {}
  MDB_cursor* cursor_;
};

}  // namespace hyper_lmdb
