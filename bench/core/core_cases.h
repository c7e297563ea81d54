// What core_bench measures: each case on the core and on what it is compared with.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core_store.h"
#include "dataset.h"
#include "raw_store.h"

namespace hyper_lmdb::bench {

/// The stores of one run, all holding the same data.
struct Stores {
  Stores(const TempDir& dir, std::size_t keys);

  Dataset data;
  RawStore raw_map;
  RawStore raw_map_flushed;  ///< as raw_map, with a flush a second as the library does
  RawStore raw_sync;
  CoreStore core_map;
  CoreStore core_async;
  CoreStore core_sync;
};

/// One data set in raw LMDB with map_async's flags and in the core, async, all of it in LMDB.
struct SizedStores {
  SizedStores(const TempDir& dir, const std::string& name, std::size_t keys,
              std::size_t value_bytes);

  Dataset data;
  RawStore raw;
  CoreStore core;
};

using Body = std::function<void(benchmark::State&)>;

/// How long one benchmark runs in one round, and how many rounds there are.
struct Pace {
  double seconds;
  int rounds;
};
inline constexpr Pace kReads{0.03, 31};
/// Long enough that the processor's caches are those of this store, not of the one before.
inline constexpr Pace kLongReads{0.5, 9};
/// A flush leaves every page to fault again at its next write: only a time longer than from one
/// flush to the next has the due share of both.
inline constexpr Pace kMapWrites{1.1, 7};
/// Long enough to fill several write buffers, of which all but the last are applied meanwhile.
inline constexpr Pace kAsyncWrites{2.0, 7};
inline constexpr Pace kSyncWrites{0.1, 15};

/// A row of a table: the same work on both sides.
struct Case {
  std::string name;
  std::string title;
  const Pace* pace = &kReads;
  int threads = 1;
  int ops = 1;                ///< operations in one iteration
  std::string other = "raw";  ///< what the core is compared with
  Body beside = {};
  Body core = {};
  std::function<void()> before = {};  ///< runs before each side, untimed
};

/// Every case beside raw LMDB. `stores` must outlive them.
std::vector<Case> make_cases(Stores& stores);

/// Adds what the number of keys and the size of the values do to a get: of 10^5 keys, of 10^7, of
/// values of 256 KiB. The stores must outlive them.
void add_size_cases(SizedStores& few, SizedStores& many, SizedStores& large,
                    std::vector<Case>& cases);

/// The reads of one cell of bench/report. `stores` must outlive them.
std::vector<Case> make_cell_cases(SizedStores& stores);

/// Adds those beside RocksDB, loading it with the same data; `stores` must outlive them. Answers
/// whether RocksDB is part of this build.
bool add_rocks_cases(Stores& stores, const TempDir& dir, std::vector<Case>& cases);

}  // namespace hyper_lmdb::bench
