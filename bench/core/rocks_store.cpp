#include "rocks_store.h"

#include <cstdint>
#include <cstdlib>
#include <iostream>

namespace hyper_lmdb::bench {

RocksStore::RocksStore(const std::string& directory, Mode mode,
                       std::chrono::milliseconds sync_every) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  check(rocksdb::DB::Open(options, directory, &db), "open RocksDB");
  db_.reset(db);
  write_.sync = mode == Mode::sync;
  if (sync_every.count() > 0) {
    syncer_ = std::thread([this, sync_every] { sync_until_stopped(sync_every); });
  }
}

RocksStore::~RocksStore() {
  stopping_ = true;
  if (syncer_.joinable()) syncer_.join();
}

void RocksStore::sync_until_stopped(std::chrono::milliseconds every) {
  while (!stopping_) {
    std::this_thread::sleep_for(every);
    if (!dirty_.exchange(false)) continue;
    const rocksdb::Status synced = db_->SyncWAL();
    if (!synced.ok()) {
      std::cerr << "SyncWAL: " << synced.ToString() << '\n';
      std::abort();
    }
  }
}

void RocksStore::settle() {
  check(db_->Flush(rocksdb::FlushOptions()), "Flush");
  const auto busy = [&] {
    for (const char* what : {"rocksdb.num-running-flushes", "rocksdb.num-running-compactions",
                             "rocksdb.mem-table-flush-pending", "rocksdb.compaction-pending"}) {
      std::uint64_t count = 0;
      if (db_->GetIntProperty(what, &count) && count != 0) return true;
    }
    return false;
  };
  while (busy()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void RocksStore::verify(const Dataset& data) const {
  std::string found;
  for (std::size_t i = 0; i < data.keys(); ++i) {
    const Entry entry = data.entry(i);
    check(db_->Get(rocksdb::ReadOptions(), slice(entry.key), &found), "Get");
    if (found != entry.value) throw std::runtime_error("RocksDB does not hold the same");
  }
}

}  // namespace hyper_lmdb::bench
