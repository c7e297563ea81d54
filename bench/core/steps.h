// The work of one iteration on the core, on raw LMDB and on any store with `put` and `batch_write`;
// both sides of a case walk the same data.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "core_cases.h"
#include "core_store.h"
#include "dataset.h"
#include "hyper_lmdb/store.h"
#include "raw_store.h"

namespace hyper_lmdb::bench {

inline constexpr std::size_t kBatch = 100;

/// Where a value is copied to; both sides copy with the same code.
class Buffer {
 public:
  explicit Buffer(const Dataset& data) : bytes_(data.value_bytes()) {}
  void copy(std::string_view value) {
    std::memcpy(bytes_.data(), value.data(), std::min(value.size(), bytes_.size()));
    benchmark::DoNotOptimize(bytes_.data());
    benchmark::ClobberMemory();
  }

 private:
  std::vector<char> bytes_;
};

// A step runs one iteration and returns nullptr or what went wrong.
inline constexpr const char* kMissing = "a key that was stored was not found";

inline const char* failure(const Result<void>& result) {
  return result.ok() ? nullptr : name_of(result.error().code);
}
inline const char* failure(const Result<bool>& result) {
  if (!result.ok()) return name_of(result.error().code);
  return result.value() ? nullptr : kMissing;
}

/// The body of a benchmark whose threads each run the step that `make()` gives them.
template <typename Make>
Body body(Make make) {
  return [make](benchmark::State& state) {
    try {
      auto step = make();
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

inline auto raw_get(const RawStore& store, const Dataset& data) {
  return [&] {
    return [reader = std::make_unique<RawStore::Reader>(store), walk = Walk(data),
            buffer = Buffer(data)]() mutable -> const char* {
      const bool found =
          reader->get(walk.key().view(), [&](std::string_view value) { buffer.copy(value); });
      return found ? nullptr : kMissing;
    };
  };
}

inline auto core_get(const CoreStore& opened, const Dataset& data) {
  return [&] {
    return [&store = opened.store(), walk = Walk(data), buffer = Buffer(data)]() mutable {
      return failure(
          store.get(walk.key().view(), [&](std::string_view value) { buffer.copy(value); }));
    };
  };
}

inline auto raw_exists(const RawStore& store, const Dataset& data) {
  return [&] {
    return [reader = std::make_unique<RawStore::Reader>(store),
            walk = Walk(data)]() mutable -> const char* {
      return reader->exists(walk.key().view()) ? nullptr : kMissing;
    };
  };
}

inline auto core_exists(const CoreStore& opened, const Dataset& data) {
  return [&] {
    return [&store = opened.store(), walk = Walk(data)]() mutable {
      return failure(store.exists(walk.key().view()));
    };
  };
}

using Keys = std::array<std::string_view, kBatch>;

inline void fill(Keys& keys, Walk& walk) {
  for (std::string_view& key : keys) key = walk.key().view();
}

inline auto raw_read_many(const RawStore& store, const Dataset& data) {
  return [&] {
    return [reader = std::make_unique<RawStore::Reader>(store), walk = Walk(data),
            buffer = Buffer(data), keys = Keys{}]() mutable -> const char* {
      fill(keys, walk);
      const std::size_t found =
          reader->read_many(keys, [&](std::string_view value) { buffer.copy(value); });
      return found == keys.size() ? nullptr : kMissing;
    };
  };
}

inline auto core_read_many(const CoreStore& opened, const Dataset& data) {
  return [&] {
    return [&store = opened.store(), walk = Walk(data), buffer = Buffer(data),
            keys = Keys{}]() mutable {
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

template <typename Plain>
auto plain_put(Plain& store, const Dataset& data) {
  return [&] {
    return [&store, walk = Walk(data)]() mutable -> const char* {
      const Entry entry = walk.entry();
      store.put(entry.key, entry.value);
      return nullptr;
    };
  };
}

inline auto core_put(CoreStore& opened, const Dataset& data) {
  return [&] {
    return [&store = opened.store(), walk = Walk(data)]() mutable {
      const Entry entry = walk.entry();
      return failure(store.put(entry.key, entry.value));
    };
  };
}

template <typename Plain>
auto plain_batch(Plain& store, const Dataset& data) {
  return [&] {
    return [&store, walk = Walk(data),
            entries = std::array<Entry, kBatch>{}]() mutable -> const char* {
      for (Entry& entry : entries) entry = walk.entry();
      store.batch_write(entries);
      return nullptr;
    };
  };
}

inline auto core_batch(CoreStore& opened, const Dataset& data) {
  return [&] {
    return [&store = opened.store(), walk = Walk(data), ops = std::array<Op, kBatch>{}]() mutable {
      for (Op& op : ops) {
        const Entry entry = walk.entry();
        op = {OpKind::put, entry.key, entry.value};
      }
      return failure(store.batch_write(ops));
    };
  };
}

template <typename Plain>
void load(Plain& store, const Dataset& data) {
  for_each_load_batch(data, [&](std::span<const Entry> entries) { store.batch_write(entries); });
}

}  // namespace hyper_lmdb::bench
