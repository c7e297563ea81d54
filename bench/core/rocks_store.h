// RocksDB with its default options: a write-ahead log, and a memtable of 64 MiB like the library's
// write buffer.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "dataset.h"

namespace hyper_lmdb::bench {

class RocksStore {
 public:
  enum class Mode {
    async,  ///< WriteOptions.sync = false: the log is written, not flushed
    sync,   ///< WriteOptions.sync = true
  };

  /// `sync_every` other than zero starts a thread that flushes the log that often while there are
  /// writes.
  RocksStore(const std::string& directory, Mode mode, std::chrono::milliseconds sync_every);
  ~RocksStore();
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  void put(std::string_view key, std::string_view value) {
    check(db_->Put(write_, slice(key), slice(value)), "Put");
    dirty_.store(true, std::memory_order_relaxed);
  }

  template <typename Entries>
  void batch_write(const Entries& entries) {
    rocksdb::WriteBatch batch;
    for (const auto& entry : entries) batch.Put(slice(entry.key), slice(entry.value));
    check(db_->Write(write_, &batch), "Write");
    dirty_.store(true, std::memory_order_relaxed);
  }

  /// Flushes the memtable and waits until nothing runs in the background.
  void settle();
  /// Throws where it does not hold `data`.
  void verify(const Dataset& data) const;

 private:
  static rocksdb::Slice slice(std::string_view bytes) noexcept {
    return {bytes.data(), bytes.size()};
  }
  static void check(const rocksdb::Status& status, const char* operation) {
    if (!status.ok()) throw std::runtime_error(std::string(operation) + ": " + status.ToString());
  }
  void sync_until_stopped(std::chrono::milliseconds every);

  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_;
  std::atomic<bool> dirty_{false};
  std::atomic<bool> stopping_{false};
  std::thread syncer_;
};

}  // namespace hyper_lmdb::bench
