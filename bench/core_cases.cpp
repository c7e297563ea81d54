#include "core_cases.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace hyper_lmdb::bench {

namespace {

constexpr std::size_t kBatch = 100;
constexpr std::size_t kLoadBatch = 1000;
constexpr std::chrono::milliseconds kFlushEvery{1000};  // the library's default in map_async

/// Where a value is copied to; both sides copy with the same code.
struct Buffer {
  std::array<char, 4096> bytes;
  void copy(std::string_view value) {
    std::memcpy(bytes.data(), value.data(), std::min(value.size(), bytes.size()));
    benchmark::DoNotOptimize(bytes);
  }
};

// A step runs one iteration and returns nullptr or what went wrong.
constexpr const char* kMissing = "a key that was stored was not found";

const char* failure(const Result<void>& result) {
  return result.ok() ? nullptr : name_of(result.error().code);
}
const char* failure(const Result<bool>& result) {
  if (!result.ok()) return name_of(result.error().code);
  return result.value() ? nullptr : kMissing;
}

/// The body of a benchmark whose threads each run the step that `make(thread)` gives them.
template <typename Make>
Body body(Make make) {
  return [make](benchmark::State& state) {
    try {
      auto step = make(state.thread_index());
      for (auto _ : state) {
        if (const char* failed = step()) {
          state.SkipWithError(failed);
          break;
        }
      }
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  };
}

auto raw_get(const RawStore& store, const Dataset& data) {
  return [&](int thread) {
    return [reader = std::make_unique<RawStore::Reader>(store), walk = Walk(data, thread),
            buffer = Buffer{}]() mutable -> const char* {
      const bool found =
          reader->get(walk.key().view(), [&](std::string_view value) { buffer.copy(value); });
      return found ? nullptr : kMissing;
    };
  };
}

auto core_get(const Store& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread), buffer = Buffer{}]() mutable {
      return failure(
          store.get(walk.key().view(), [&](std::string_view value) { buffer.copy(value); }));
    };
  };
}

auto raw_exists(const RawStore& store, const Dataset& data) {
  return [&](int thread) {
    return [reader = std::make_unique<RawStore::Reader>(store),
            walk = Walk(data, thread)]() mutable -> const char* {
      return reader->exists(walk.key().view()) ? nullptr : kMissing;
    };
  };
}

auto core_exists(const Store& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread)]() mutable {
      return failure(store.exists(walk.key().view()));
    };
  };
}

using Keys = std::array<std::string_view, kBatch>;

void fill(Keys& keys, Walk& walk) {
  for (std::string_view& key : keys) key = walk.key().view();
}

auto raw_read_many(const RawStore& store, const Dataset& data) {
  return [&](int thread) {
    return [reader = std::make_unique<RawStore::Reader>(store), walk = Walk(data, thread),
            buffer = Buffer{}, keys = Keys{}]() mutable -> const char* {
      fill(keys, walk);
      const std::size_t found =
          reader->read_many(keys, [&](std::string_view value) { buffer.copy(value); });
      return found == keys.size() ? nullptr : kMissing;
    };
  };
}

auto core_read_many(const Store& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread), buffer = Buffer{}, keys = Keys{}]() mutable {
      fill(keys, walk);
      const char* missing = nullptr;
      const auto read = store.read_many(keys, [&](std::size_t, const Store::Lookup& found) {
        if (!found.ok()) {
          missing = name_of(found.error().code);
        } else if (!found.value()) {
          missing = kMissing;
        } else {
          buffer.copy(*found.value());
        }
        return missing == nullptr;
      });
      return missing != nullptr ? missing : failure(read);
    };
  };
}

auto raw_put(RawStore& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread)]() mutable -> const char* {
      const Entry entry = walk.entry();
      store.put(entry.key, entry.value);
      return nullptr;
    };
  };
}

auto core_put(Store& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread)]() mutable {
      const Entry entry = walk.entry();
      return failure(store.put(entry.key, entry.value));
    };
  };
}

auto raw_batch(RawStore& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread),
            entries = std::array<Entry, kBatch>{}]() mutable -> const char* {
      for (Entry& entry : entries) entry = walk.entry();
      store.batch_write(entries);
      return nullptr;
    };
  };
}

auto core_batch(Store& store, const Dataset& data) {
  return [&](int thread) {
    return [&store, walk = Walk(data, thread), ops = std::array<Op, kBatch>{}]() mutable {
      for (Op& op : ops) {
        const Entry entry = walk.entry();
        op = {OpKind::put, entry.key, entry.value};
      }
      return failure(store.batch_write(ops));
    };
  };
}

std::shared_ptr<Store> open_core(const std::string& directory, Durability durability) {
  Options options;
  options.directory = directory;
  options.durability = durability;
  auto opened = Store::open(options);
  if (!opened.ok()) {
    throw std::runtime_error("open " + directory + ": " + name_of(opened.error().code));
  }
  return opened.value();
}

void load(RawStore& store, const Dataset& data) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < data.keys();) {
    entries.clear();
    for (; i < data.keys() && entries.size() < kLoadBatch; ++i) entries.push_back(data.entry(i));
    store.batch_write(entries);
  }
}

void load(Store& store, const Dataset& data) {
  std::vector<Op> ops;
  for (std::size_t i = 0; i < data.keys();) {
    ops.clear();
    for (; i < data.keys() && ops.size() < kLoadBatch; ++i) {
      const Entry entry = data.entry(i);
      ops.push_back({OpKind::put, entry.key, entry.value});
    }
    const auto written = store.batch_write(ops);
    if (!written.ok()) throw std::runtime_error(failure(written));
  }
}

/// A ratio of two stores says something only while they hold the same.
void verify(const RawStore& raw, const Store& core, const Dataset& data) {
  RawStore::Reader reader(raw);
  for (std::size_t i = 0; i < data.keys(); ++i) {
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

}  // namespace

Stores::Stores(const TempDir& dir, std::size_t keys)
    : data(keys),
      raw_map(dir.make("raw_map"), RawStore::Mode::map_async),
      raw_map_flushed(dir.make("raw_map_flushed"), RawStore::Mode::map_async, kFlushEvery),
      raw_sync(dir.make("raw_sync"), RawStore::Mode::sync),
      core_map(open_core(dir.make("core_map"), Durability::map_async)),
      core_sync(open_core(dir.make("core_sync"), Durability::sync)) {
  for (RawStore* store : {&raw_map, &raw_map_flushed, &raw_sync}) load(*store, data);
  for (Store* store : {core_map.get(), core_sync.get()}) load(*store, data);
  verify(raw_map, *core_map, data);
  verify(raw_sync, *core_sync, data);
}

Stores::~Stores() {
  for (Store* store : {core_map.get(), core_sync.get()}) {
    const auto closed = store->close();
    if (!closed.ok()) fprintf(stderr, "close: %s\n", failure(closed));
  }
}

std::vector<Case> make_cases(Stores& s) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, const char* title, const Pace& pace, int threads,
                       std::size_t ops, auto raw, auto core) {
    cases.push_back({name, title, &pace, threads, static_cast<int>(ops), body(raw), body(core)});
  };
  const Dataset& d = s.data;
  add("get_1", "get", kReads, 1, 1, raw_get(s.raw_map, d), core_get(*s.core_map, d));
  add("get_2", "get, 2 threads", kReads, 2, 1, raw_get(s.raw_map, d), core_get(*s.core_map, d));
  add("exists", "exists", kReads, 1, 1, raw_exists(s.raw_map, d), core_exists(*s.core_map, d));
  add("read_many", "read_many of 100, per key", kReads, 1, kBatch, raw_read_many(s.raw_map, d),
      core_read_many(*s.core_map, d));
  add("put_map_1", "put, map_async", kMapWrites, 1, 1, raw_put(s.raw_map, d),
      core_put(*s.core_map, d));
  add("put_map_flushed", "put, map_async; raw flushed each second too", kMapWrites, 1, 1,
      raw_put(s.raw_map_flushed, d), core_put(*s.core_map, d));
  add("put_map_64", "put, map_async, 64 threads", kMapWrites, 64, 1, raw_put(s.raw_map, d),
      core_put(*s.core_map, d));
  add("batch_map", "batch_write of 100, map_async, per put", kMapWrites, 1, kBatch,
      raw_batch(s.raw_map, d), core_batch(*s.core_map, d));
  add("batch_map_flushed", "batch_write, map_async; raw flushed each second too", kMapWrites, 1,
      kBatch, raw_batch(s.raw_map_flushed, d), core_batch(*s.core_map, d));
  add("put_sync_1", "put, sync", kSyncWrites, 1, 1, raw_put(s.raw_sync, d),
      core_put(*s.core_sync, d));
  add("put_sync_64", "put, sync, 64 threads", kSyncWrites, 64, 1, raw_put(s.raw_sync, d),
      core_put(*s.core_sync, d));
  add("batch_sync", "batch_write of 100, sync, per put", kSyncWrites, 1, kBatch,
      raw_batch(s.raw_sync, d), core_batch(*s.core_sync, d));
  return cases;
}

}  // namespace hyper_lmdb::bench
