// A store of the library under test, which can be brought to rest between two measurements.
#pragma once

#include <memory>
#include <string>

#include "dataset.h"
#include "hyper_lmdb/store.h"

namespace hyper_lmdb::bench {

/// Throws std::runtime_error where the store does not open.
std::shared_ptr<Store> open_store(const Options& options);

class CoreStore {
 public:
  CoreStore(const std::string& directory, Durability durability);
  ~CoreStore();
  CoreStore(const CoreStore&) = delete;
  CoreStore& operator=(const CoreStore&) = delete;

  Store& store() const noexcept { return *store_; }
  /// All that was written is in LMDB and nothing runs in the background any more: closes the store
  /// and opens it again. No other thread may use it meanwhile.
  void settle();
  /// As `settle`; then writes `entry`, so that the next write finds a journal to go on with.
  void settle(const Entry& entry);

 private:
  Options options_;
  std::shared_ptr<Store> store_;
};

/// All of the data set, in the order of its keys; applied to LMDB when it returns.
void load(CoreStore& opened, const Dataset& data);

}  // namespace hyper_lmdb::bench
