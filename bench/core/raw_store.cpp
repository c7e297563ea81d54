#include "raw_store.h"

#include <cstdint>
#include <cstdlib>
#include <iostream>

namespace hyper_lmdb::bench {

namespace {

// The library's default capacities: a writable map extends the file (sparse) to its full size.
constexpr std::uint64_t kMapAsyncBytes = 10ULL << 30;
constexpr std::uint64_t kSyncBytes = 1ULL << 40;

MDB_env* open_env(const std::string& directory, RawStore::Mode mode) {
  MDB_env* env = nullptr;
  check_lmdb(mdb_env_create(&env), "mdb_env_create");
  try {
    const bool map_async = mode == RawStore::Mode::map_async;
    const unsigned flags = map_async ? MDB_WRITEMAP | MDB_NOSYNC | MDB_NOTLS : MDB_NOTLS;
    check_lmdb(mdb_env_set_mapsize(env, map_async ? kMapAsyncBytes : kSyncBytes),
               "mdb_env_set_mapsize");
    check_lmdb(mdb_env_open(env, directory.c_str(), flags, 0600), "mdb_env_open");
  } catch (...) {
    mdb_env_close(env);
    throw;
  }
  return env;
}

MDB_dbi open_main_database(MDB_env* env) {
  MDB_txn* txn = nullptr;
  check_lmdb(mdb_txn_begin(env, nullptr, 0, &txn), "mdb_txn_begin");
  MDB_dbi dbi = 0;
  const int opened = mdb_dbi_open(txn, nullptr, 0, &dbi);
  const int committed = mdb_txn_commit(txn);
  check_lmdb(opened, "mdb_dbi_open");
  check_lmdb(committed, "mdb_txn_commit");
  return dbi;
}

}  // namespace

RawStore::RawStore(const std::string& directory, Mode mode, std::chrono::milliseconds sync_every)
    : env_(open_env(directory, mode)) {
  try {
    dbi_ = open_main_database(env_);
    if (sync_every.count() > 0) {
      syncer_ = std::thread([this, sync_every] { sync_until_stopped(sync_every); });
    }
  } catch (...) {
    mdb_env_close(env_);
    throw;
  }
}

RawStore::~RawStore() {
  if (syncer_.joinable()) {
    {
      const std::lock_guard guard(lock_);
      stopping_ = true;
    }
    stop_asked_.notify_one();
    syncer_.join();
  }
  mdb_env_close(env_);
}

void RawStore::sync_until_stopped(std::chrono::milliseconds every) {
  std::unique_lock guard(lock_);
  while (!stop_asked_.wait_for(guard, every, [this] { return stopping_; })) {
    guard.unlock();
    const int code = mdb_env_sync(env_, 1);
    if (code != MDB_SUCCESS) {
      std::cerr << "raw mdb_env_sync: " << mdb_strerror(code) << '\n';
      std::abort();
    }
    guard.lock();
  }
}

}  // namespace hyper_lmdb::bench
