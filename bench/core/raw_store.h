// LMDB used directly, as an expert would for the same work: the floor that the library is held to.
#pragma once

#include <lmdb.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace hyper_lmdb::bench {

inline void check_lmdb(int code, const char* operation) {
  if (code != MDB_SUCCESS) {
    throw std::runtime_error(std::string(operation) + ": " + mdb_strerror(code));
  }
}

inline MDB_val to_val(std::string_view bytes) noexcept {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

inline std::string_view to_view(const MDB_val& value) noexcept {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

class RawStore {
 public:
  enum class Mode {
    map_async,  ///< MDB_WRITEMAP | MDB_NOSYNC | MDB_NOTLS
    sync,       ///< MDB_NOTLS; every commit is synced, LMDB's default
  };

  /// `sync_every` other than zero starts a thread that calls mdb_env_sync that often.
  RawStore(const std::string& directory, Mode mode,
           std::chrono::milliseconds sync_every = std::chrono::milliseconds::zero());
  ~RawStore();
  RawStore(const RawStore&) = delete;
  RawStore& operator=(const RawStore&) = delete;

  void put(std::string_view key, std::string_view value) {
    WriteTxn txn(env_);
    txn.put(dbi_, key, value);
    txn.commit();
  }

  /// One transaction for all entries, put in the order given.
  template <typename Entries>
  void batch_write(const Entries& entries) {
    WriteTxn txn(env_);
    for (const auto& entry : entries) txn.put(dbi_, entry.key, entry.value);
    txn.commit();
  }

  /// A read transaction that is kept and renewed; one a thread.
  class Reader {
   public:
    explicit Reader(const RawStore& store) : dbi_(store.dbi_) {
      check_lmdb(mdb_txn_begin(store.env_, nullptr, MDB_RDONLY, &txn_), "mdb_txn_begin");
      mdb_txn_reset(txn_);
    }
    ~Reader() { mdb_txn_abort(txn_); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// Renews, looks the key up, hands the bytes to `on_value` and resets.
    template <typename OnValue>
    bool get(std::string_view key, OnValue&& on_value) {
      renew();
      const bool found = look_up(key, on_value);
      mdb_txn_reset(txn_);
      return found;
    }

    bool exists(std::string_view key) {
      return get(key, [](std::string_view) {});
    }

    /// All keys in one transaction; returns how many were found.
    template <typename Keys, typename OnValue>
    std::size_t read_many(const Keys& keys, OnValue&& on_value) {
      renew();
      std::size_t found = 0;
      for (const auto& key : keys) found += look_up(key, on_value) ? 1 : 0;
      mdb_txn_reset(txn_);
      return found;
    }

    /// All entries in key order, by one cursor in one transaction; returns how many.
    template <typename OnEntry>
    std::size_t fold(OnEntry&& on_entry) {
      renew();
      MDB_cursor* cursor = nullptr;
      check_lmdb(mdb_cursor_open(txn_, dbi_, &cursor), "mdb_cursor_open");
      MDB_val key;
      MDB_val data;
      std::size_t entries = 0;
      int code = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);
      for (; code == MDB_SUCCESS; code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
        on_entry(to_view(key), to_view(data));
        ++entries;
      }
      mdb_cursor_close(cursor);
      mdb_txn_reset(txn_);
      if (code != MDB_NOTFOUND) check_lmdb(code, "mdb_cursor_get");
      return entries;
    }

   private:
    void renew() { check_lmdb(mdb_txn_renew(txn_), "mdb_txn_renew"); }

    template <typename OnValue>
    bool look_up(std::string_view key, OnValue& on_value) {
      MDB_val wanted = to_val(key);
      MDB_val data;
      const int code = mdb_get(txn_, dbi_, &wanted, &data);
      if (code == MDB_NOTFOUND) return false;
      check_lmdb(code, "mdb_get");
      on_value(to_view(data));
      return true;
    }

    MDB_txn* txn_ = nullptr;
    MDB_dbi dbi_;
  };

 private:
  class WriteTxn {
   public:
    explicit WriteTxn(MDB_env* env) {
      check_lmdb(mdb_txn_begin(env, nullptr, 0, &txn_), "mdb_txn_begin");
    }
    ~WriteTxn() {
      if (txn_ != nullptr) mdb_txn_abort(txn_);
    }
    WriteTxn(const WriteTxn&) = delete;
    WriteTxn& operator=(const WriteTxn&) = delete;

    void put(MDB_dbi dbi, std::string_view key, std::string_view value) {
      MDB_val k = to_val(key);
      MDB_val v = to_val(value);
      check_lmdb(mdb_put(txn_, dbi, &k, &v, 0), "mdb_put");
    }
    void commit() {
      MDB_txn* txn = txn_;
      txn_ = nullptr;  // freed by LMDB whether the commit succeeds or not
      check_lmdb(mdb_txn_commit(txn), "mdb_txn_commit");
    }

   private:
    MDB_txn* txn_ = nullptr;
  };

  void sync_until_stopped(std::chrono::milliseconds every);

  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  std::mutex lock_;
  std::condition_variable stop_asked_;
  bool stopping_ = false;
  std::thread syncer_;
};

}  // namespace hyper_lmdb::bench
