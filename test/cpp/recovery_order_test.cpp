#include <catch2/catch.hpp>
#include <string>

#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/faults.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

// A killed store's last records were in the page cache only when recovery began to apply them in
// several transactions; a power cut between two of those left a tree whose journal was gone.
TEST_CASE("Recovery has the journal on disk before it touches the tree") {
  for (const Durability mode : {Durability::async, Durability::sync}) {
    const TempDir temp(memory_directory());
    const std::string directory = temp / "store";
    const std::string data = directory + "/data.mdb";
    const Options options = options_for(directory, mode);
    REQUIRE(run_child([&] {
              const StorePtr store = must_open(options);
              for (int i = 0; i < 20; ++i) must(store->put("key" + std::to_string(i), "value"));
              ::_exit(0);  // as a kill would: nothing is closed
              return 0;
            }) == "exit 0");
    const std::string before = read_whole(data);

    faults::arm({.directory = directory, .calls = faults::kFdatasync, .fail_at = 1, .error = 5});
    const auto refused = Store::open(options);
    faults::disarm();
    CHECK(outcome(refused) == "io_error");
    CHECK((read_whole(data) == before));

    const StorePtr store = must_open(options);
    CHECK(get(*store, "key19") == "value");
    must(store->close());
  }
}
