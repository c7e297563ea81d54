// What core_bench measures: each case on the core and on raw LMDB.
#pragma once

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

/// A row of the table. The benchmarks behind it are named `name` + "/raw" and "/core".
struct Case {
  std::string name;
  std::string title;
  int threads = 1;
  int ops = 1;  ///< operations in one iteration
};

/// Registers every case with Google Benchmark. `stores` must outlive the run.
std::vector<Case> register_cases(Stores& stores);

}  // namespace hyper_lmdb::bench
