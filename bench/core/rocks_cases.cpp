// The cases beside RocksDB, with its write-ahead log: the same data, the same promise.
#include <chrono>
#include <string>
#include <thread>

#include "core_cases.h"
#include "rocks_store.h"
#include "steps.h"

namespace hyper_lmdb::bench {

namespace {

constexpr std::chrono::milliseconds kFlushEvery{100};  // the library's default in async

std::shared_ptr<RocksStore> loaded(const std::string& directory, RocksStore::Mode mode,
                                   std::chrono::milliseconds sync_every, const Dataset& data) {
  auto store = std::make_shared<RocksStore>(directory, mode, sync_every);
  load(*store, data);
  store->verify(data);
  return store;
}

}  // namespace

bool add_rocks_cases(Stores& s, const TempDir& dir, std::vector<Case>& cases) {
  const Dataset& d = s.data;
  const std::chrono::milliseconds never{0};
  const auto unsynced = loaded(dir.make("rocks_async"), RocksStore::Mode::async, never, d);
  const auto flushed = loaded(dir.make("rocks_flushed"), RocksStore::Mode::async, kFlushEvery, d);
  const auto synced = loaded(dir.make("rocks_sync"), RocksStore::Mode::sync, never, d);

  const auto add = [&](const char* name, const char* title, const Pace& pace, int threads,
                       std::size_t ops, const std::shared_ptr<RocksStore>& rocks, CoreStore& core) {
    Case made{.name = name,
              .title = title,
              .pace = &pace,
              .threads = threads,
              .ops = static_cast<int>(ops),
              .other = "rocksdb",
              .before = [rocks, &core, &d] {
                rocks->settle();
                core.settle(d.entry(0));
              }};
    if (ops == 1) {
      made.beside = body(plain_put(*rocks, d));
      made.core = body(core_put(core, d));
    } else {
      made.beside = body(plain_batch(*rocks, d));
      made.core = body(core_batch(core, d));
    }
    cases.push_back(std::move(made));
  };
  add("rocks_put_async_1", "put, async", kAsyncWrites, 1, 1, unsynced, s.core_async);
  add("rocks_put_async_flushed", "put, async; RocksDB's log synced each 100 ms too", kAsyncWrites,
      1, 1, flushed, s.core_async);
  add("rocks_put_async_64", "put, async, 64 threads", kAsyncWrites, 64, 1, unsynced, s.core_async);
  add("rocks_batch_async", "batch_write of 100, async, per put", kAsyncWrites, 1, kBatch, unsynced,
      s.core_async);
  add("rocks_put_sync_1", "put, sync", kSyncWrites, 1, 1, synced, s.core_sync);
  add("rocks_put_sync_64", "put, sync, 64 threads", kSyncWrites, 64, 1, synced, s.core_sync);
  add("rocks_batch_sync", "batch_write of 100, sync, per put", kSyncWrites, 1, kBatch, synced,
      s.core_sync);
  return true;
}

}  // namespace hyper_lmdb::bench
