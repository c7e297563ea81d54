// What a call may do where it was told how much.
#include <catch2/catch.hpp>
#include <chrono>
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

namespace {

/// Whether a write is ever made on the caller's thread: other things keep it from that for a
/// moment.
bool is_made_at_once(Store& store, const Op& op) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  do {
    if (store.try_write({&op, 1})) return true;
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace

// 100 paths through a chain of 1,000 links, each looked up, took 8 to 46 ms on a scheduler.
TEST_CASE("Store: a path leads through many links -> it is not written on the caller's thread") {
  for (const Durability durability : {Durability::async, Durability::map_async}) {
    CAPTURE(name_of(durability));
    const TempDir temp;
    Options options = options_for(temp.path(), durability);
    options.path_cache_entries = 0;
    const StorePtr store = must_open(options);
    for (int i = 0; i < 300; ++i) {
      const std::string key = "l" + std::to_string(i), target = "l" + std::to_string(i + 1);
      const Op link{.kind = OpKind::link, .key = key, .value = target};
      must(store->batch_write({&link, 1}));
    }
    const auto put = [](std::string_view path) {
      return Op{.kind = OpKind::put, .key = path, .value = "v", .is_path = true};
    };
    CHECK(is_made_at_once(*store, put("l295/x")));
    CHECK_FALSE(is_made_at_once(*store, put("l0/y")));
    const Op far = put("l0/y");
    must(store->batch_write({&far, 1}));
    CHECK(outcome(store->exists("l300/y")) == "ok");
    CHECK(store->exists("l300/x").value());
    CHECK(store->exists("l300/y").value());
    // The look-ups are those of the whole batch.
    std::vector<std::string> paths;
    std::vector<Op> many;
    for (int i = 0; i < 80; ++i) paths.push_back("l295/" + std::to_string(i));
    for (const std::string& path : paths) many.push_back(put(path));
    CHECK_FALSE(store->try_write(many));
    must(store->batch_write(many));
    CHECK(store->exists("l300/79").value());
    must(store->close());
  }
}

// A check read the whole value, and a mark beside it wrote it again: up to a gibibyte, on a
// scheduler.
TEST_CASE("Store: a batch looks at a long value -> it is not written on the caller's thread") {
  for (const Durability durability : {Durability::async, Durability::map_async}) {
    CAPTURE(name_of(durability));
    const TempDir temp;
    const StorePtr store = must_open(options_for(temp.path(), durability));
    must(store->put("long", std::string(100 << 10, 'v')));
    must(store->put("short", "v"));
    const auto check = [](std::string_view key) {
      return Op{.kind = OpKind::check_value, .key = key, .value = "v"};
    };
    const auto mark = [](std::string_view key) { return Op{.kind = OpKind::group, .key = key}; };
    CHECK(is_made_at_once(*store, check("short")));
    // Without a journal a mark needs pages that have to be asked for.
    if (durability == Durability::async) CHECK(is_made_at_once(*store, mark("short")));
    CHECK_FALSE(is_made_at_once(*store, check("long")));
    CHECK_FALSE(is_made_at_once(*store, mark("long")));
    const Op wrong = check("long"), marked = mark("long");
    CHECK(outcome(store->batch_write({&wrong, 1})) == "check_failed at 1");
    CHECK(outcome(store->batch_write({&marked, 1})) == "ok");
    must(store->close());
  }
}
