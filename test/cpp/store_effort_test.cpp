// What a call may do where it was told how much.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

TEST_CASE("A read of more bytes than its caller allows is told so and hands over no value") {
  const TempDir temp;
  const StorePtr store = must_open(options_for(temp.path(), Durability::async));
  must(store->put("a", std::string(60, 'a')));
  must(store->put("b", std::string(40, 'b')));
  const auto get_within = [&](std::uint64_t bytes) {
    return outcome(store->get("a", [&](std::string_view) {}, {.value_bytes = bytes}));
  };
  CHECK(get_within(60) == "ok");
  CHECK(get_within(59) == "work_limit");
  const auto read_within = [&](std::uint64_t bytes) {
    bool called = false;
    const auto done =
        store->read("a", [&](std::string_view) { called = true; }, {.value_bytes = bytes});
    CHECK(called == done.ok());
    return outcome(done);
  };
  CHECK(read_within(60) == "ok");
  CHECK(read_within(59) == "work_limit");
  const std::vector<std::string_view> keys{"a", "none", "b"};
  const auto on_result = [](std::size_t, const Store::Lookup&) { return true; };
  // Of all keys together.
  CHECK(outcome(store->read_many(keys, on_result, {.value_bytes = 100})) == "ok");
  CHECK(outcome(store->read_many(keys, on_result, {.value_bytes = 99})) == "work_limit");
  CHECK(outcome(store->read_many_paths(keys, on_result, {.value_bytes = 100})) == "ok");
  CHECK(outcome(store->read_many_paths(keys, on_result, {.value_bytes = 99})) == "work_limit");
  must(store->close());
}
