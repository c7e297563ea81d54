// Transactions of more pages than LMDB keeps in memory.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

/// liblmdb 0.9.24 forgets the list of what it spilled, 2 MiB, when such a transaction is committed.
extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:liblmdb";
}

TEST_CASE("A batch of more pages than LMDB keeps in memory spills, and all of it is there") {
  constexpr std::uint64_t kMostDirtyPages = 131'071;             // LMDB's MDB_IDL_UM_MAX
  constexpr std::uint64_t kKeys = 2 * kMostDirtyPages + 20'000;  // two of them fill a page
  const TempDir temp(memory_directory());
  Options options = options_for(temp.path(), Durability::async);
  options.capacity = 2'000'000'000;
  options.max_batch_bytes = 1 << 30;
  StorePtr store = must_open(options);
  const std::string value(1'900, 'v');
  std::vector<std::string> keys(kKeys);
  std::vector<Op> ops(kKeys);
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    keys[i] = std::to_string(1'000'000 + i);
    ops[i] = {.key = keys[i], .value = value};
  }
  const std::uint64_t before = store->info().value().last_transaction_id;
  must(store->batch_write(ops));
  CHECK(store->info().value().last_transaction_id == before + 1);
  CHECK(store->info().value().used_bytes > kMostDirtyPages * 4096);
  must(store->close());
  store = must_open(options);
  CHECK(store->info().value().entries == kKeys);
  for (std::uint64_t i = 0; i < kKeys; i += 1'000) CHECK(get(*store, keys[i]) == value);
  CHECK(get(*store, keys.back()) == value);
  must(store->close());
}
