// What core_bench measures: each case on the core and on raw LMDB.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataset.h"
#include "hyper_lmdb/store.h"
#include "raw_store.h"

namespace hyper_lmdb::bench {

/// The stores of one run, all holding the same data.
struct Stores {
  Stores(const TempDir& dir, std::size_t keys);
  ~Stores();
  Stores(const Stores&) = delete;
  Stores& operator=(const Stores&) = delete;

  Dataset data;
  RawStore raw_map;
  RawStore raw_map_flushed;  ///< as raw_map, with a flush a second as the library does
  RawStore raw_sync;
  std::shared_ptr<Store> core_map;
  std::shared_ptr<Store> core_sync;
};

using Body = std::function<void(benchmark::State&)>;

/// How long one benchmark runs in one round, and how many rounds there are.
struct Pace {
  double seconds;
  int rounds;
};
inline constexpr Pace kReads{0.03, 31};
/// A flush leaves every page to fault again at its next write: only a time longer than from one
/// flush to the next has the due share of both.
inline constexpr Pace kMapWrites{1.1, 7};
inline constexpr Pace kSyncWrites{0.1, 15};

/// A row of the table: the same work on both sides.
struct Case {
  std::string name;
  std::string title;
  const Pace* pace = &kReads;
  int threads = 1;
  int ops = 1;  ///< operations in one iteration
  Body raw;
  Body core;
};

/// Every case. `stores` must outlive them.
std::vector<Case> make_cases(Stores& stores);

}  // namespace hyper_lmdb::bench
