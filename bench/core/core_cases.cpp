#include "core_cases.h"

#include <chrono>
#include <stdexcept>
#include <string>

#include "steps.h"

namespace hyper_lmdb::bench {

namespace {

constexpr std::chrono::milliseconds kFlushEvery{1000};  // the library's default in map_async

/// A ratio of two stores says something only while they hold the same. Of many keys every so many
/// are looked at.
void verify(const RawStore& raw, const Store& core, const Dataset& data) {
  constexpr std::size_t kLooks = 100'000;
  RawStore::Reader reader(raw);
  for (std::size_t i = 0; i < data.keys(); i += 1 + data.keys() / (kLooks + 1)) {
    const Entry entry = data.entry(i);
    bool same = false;
    const auto compare = [&](std::string_view value) { same = value == entry.value; };
    if (!reader.get(entry.key, compare) || !same) {
      throw std::runtime_error("raw LMDB does not hold key " + std::string(entry.key));
    }
    same = false;
    if (failure(core.get(entry.key, compare)) != nullptr || !same) {
      throw std::runtime_error("the core does not hold key " + std::string(entry.key));
    }
  }
}

Case make_case(const std::string& name, const std::string& title, const Pace& pace, int threads,
               std::size_t ops, auto raw, auto core) {
  return {.name = name,
          .title = title,
          .pace = &pace,
          .threads = threads,
          .ops = static_cast<int>(ops),
          .beside = body(raw),
          .core = body(core)};
}

}  // namespace

Stores::Stores(const TempDir& dir, std::size_t keys)
    : data(keys),
      raw_map(dir.make("raw_map"), RawStore::Mode::map_async),
      raw_map_flushed(dir.make("raw_map_flushed"), RawStore::Mode::map_async, kFlushEvery),
      raw_sync(dir.make("raw_sync"), RawStore::Mode::sync),
      core_map(dir.make("core_map"), Durability::map_async),
      core_async(dir.make("core_async"), Durability::async),
      core_sync(dir.make("core_sync"), Durability::sync) {
  for (RawStore* store : {&raw_map, &raw_map_flushed, &raw_sync}) load(*store, data);
  for (CoreStore* store : {&core_map, &core_async, &core_sync}) {
    load(*store, data);
    verify(raw_map, store->store(), data);
  }
  verify(raw_sync, core_sync.store(), data);
}

SizedStores::SizedStores(const TempDir& dir, const std::string& name, std::size_t keys,
                         std::size_t value_bytes)
    : data(keys, value_bytes),
      raw(dir.make("raw_" + name), RawStore::Mode::map_async),
      core(dir.make("core_" + name), Durability::async) {
  load(raw, data);
  load(core, data);
  verify(raw, core.store(), data);
}

std::vector<Case> make_cases(Stores& s) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, const char* title, const Pace& pace, int threads,
                       std::size_t ops, auto raw, auto core) {
    cases.push_back(make_case(name, title, pace, threads, ops, raw, core));
  };
  const Dataset& d = s.data;
  add("get_1", "get", kReads, 1, 1, raw_get(s.raw_map, d), core_get(s.core_map, d));
  add("get_2", "get, 2 threads", kReads, 2, 1, raw_get(s.raw_map, d), core_get(s.core_map, d));
  add("get_async", "get, async, nothing buffered", kReads, 1, 1, raw_get(s.raw_map, d),
      core_get(s.core_async, d));
  add("exists", "exists", kReads, 1, 1, raw_exists(s.raw_map, d), core_exists(s.core_map, d));
  add("read_many", "read_many of 100, per key", kReads, 1, kBatch, raw_read_many(s.raw_map, d),
      core_read_many(s.core_map, d));
  add("put_map_1", "put, map_async", kMapWrites, 1, 1, plain_put(s.raw_map, d),
      core_put(s.core_map, d));
  add("put_map_flushed", "put, map_async; raw flushed each second too", kMapWrites, 1, 1,
      plain_put(s.raw_map_flushed, d), core_put(s.core_map, d));
  add("put_map_64", "put, map_async, 64 threads", kMapWrites, 64, 1, plain_put(s.raw_map, d),
      core_put(s.core_map, d));
  add("batch_map", "batch_write of 100, map_async, per put", kMapWrites, 1, kBatch,
      plain_batch(s.raw_map, d), core_batch(s.core_map, d));
  add("batch_map_flushed", "batch_write, map_async; raw flushed each second too", kMapWrites, 1,
      kBatch, plain_batch(s.raw_map_flushed, d), core_batch(s.core_map, d));
  const std::size_t first_async = cases.size();
  add("put_async_1", "put, async; raw with map_async's flags", kAsyncWrites, 1, 1,
      plain_put(s.raw_map, d), core_put(s.core_async, d));
  add("batch_async", "batch_write of 100, async, per put; raw as above", kAsyncWrites, 1, kBatch,
      plain_batch(s.raw_map, d), core_batch(s.core_async, d));
  const std::size_t first_sync = cases.size();
  add("put_sync_1", "put, sync", kSyncWrites, 1, 1, plain_put(s.raw_sync, d),
      core_put(s.core_sync, d));
  add("put_sync_64", "put, sync, 64 threads", kSyncWrites, 64, 1, plain_put(s.raw_sync, d),
      core_put(s.core_sync, d));
  add("batch_sync", "batch_write of 100, sync, per put", kSyncWrites, 1, kBatch,
      plain_batch(s.raw_sync, d), core_batch(s.core_sync, d));
  // What is applied to LMDB in the background must not slow what is measured next.
  for (std::size_t i = first_async; i < cases.size(); ++i) {
    CoreStore* store = i < first_sync ? &s.core_async : &s.core_sync;
    cases[i].before = [store, &d] { store->settle(d.entry(0)); };
  }
  return cases;
}

void add_size_cases(SizedStores& few, SizedStores& many, SizedStores& large,
                    std::vector<Case>& cases) {
  const auto add = [&](const char* name, const char* title, SizedStores& s) {
    cases.push_back(
        make_case(name, title, kLongReads, 1, 1, raw_get(s.raw, s.data), core_get(s.core, s.data)));
  };
  add("size_get_100k", "get, async, 10^5 keys", few);
  add("size_get_10m", "get, async, 10^7 keys", many);
  add("size_get_256k", "get of 256 KiB, async", large);
}

std::vector<Case> make_cell_cases(SizedStores& s) {
  std::vector<Case> cases;
  const Dataset& d = s.data;
  cases.push_back(make_case("get", "get", kReads, 1, 1, raw_get(s.raw, d), core_get(s.core, d)));
  cases.push_back(make_case("read_many", "read_many of 100, per key", kReads, 1, kBatch,
                            raw_read_many(s.raw, d), core_read_many(s.core, d)));
  return cases;
}

}  // namespace hyper_lmdb::bench
