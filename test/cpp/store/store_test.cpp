#include "hyper_lmdb/store.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "format/identity.h"
#include "support/gate.h"
#include "support/ops.h"
#include "support/queued.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

std::string found(const Result<bool>& result) {
  if (!result) return outcome(result);
  return result.value() ? "yes" : "no";
}

std::string batch(Store& store, const std::vector<Op>& ops) {
  return outcome(store.batch_write(ops));
}

std::string lookup(const Store::Lookup& result) {
  if (!result) return outcome(result);
  return result.value() ? std::string(*result.value()) : "nothing";
}

std::vector<std::string> read_many(const Store& store, const std::vector<std::string_view>& keys) {
  std::vector<std::string> all;
  const auto done = store.read_many(keys, [&](std::size_t i, const Store::Lookup& result) {
    all.push_back(std::to_string(i) + " " + lookup(result));
    return true;
  });
  if (!done) all = {outcome(done)};
  return all;
}

}  // namespace

TEST_CASE("What is put is found, until it is replaced or removed") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp;
    const StorePtr store = must_open(options_for(temp.path(), mode));
    CHECK(get(*store, "key") == "nothing");
    CHECK(found(store->exists("key")) == "no");
    CHECK(outcome(store->remove("key")) == "ok");
    CHECK(outcome(store->put("key", "value")) == "ok");
    CHECK(get(*store, "key") == "value");
    CHECK(found(store->exists("key")) == "yes");
    CHECK(outcome(store->put("key", "")) == "ok");
    CHECK(get(*store, "key") == "");
    CHECK(found(store->exists("key")) == "yes");
    const std::string longest(store->info().value().max_key_bytes, 'k'), large(5'000'000, 'v');
    CHECK(outcome(store->put(longest, large)) == "ok");
    CHECK((get(*store, longest) == large));
    CHECK(outcome(store->remove("key")) == "ok");
    CHECK(get(*store, "key") == "nothing");
    CHECK(outcome(store->close()) == "ok");
    const StorePtr again = must_open(options_for(temp.path(), mode));
    CHECK(get(*again, "key") == "nothing");
    CHECK((get(*again, longest) == large));
    CHECK(outcome(again->close()) == "ok");
  }
}

TEST_CASE("A key that cannot be one is refused everywhere, and named in a batch") {
  const TempDir temp;
  const StorePtr store = must_open(options_for(temp.path(), Durability::map_async));
  const std::string too_long(store->info().value().max_key_bytes + 1, 'k');
  const std::vector<std::pair<std::string_view, std::string>> wrong{
      {"", "bad_key"}, {kReservedKey, "bad_key"}, {too_long, "key_too_large"}};
  for (const auto& [key, word] : wrong) {
    INFO(word);
    CHECK(get(*store, key) == word);
    CHECK(found(store->exists(key)) == word);
    CHECK(read_many(*store, {"a", key}) == std::vector<std::string>{"0 nothing", "1 " + word});
    CHECK(batch(*store, {put_op("a", "1"), put_op(key, "1")}) == word + " at 2");
    CHECK(batch(*store, {remove_op(key)}) == word + " at 1");
    CHECK(batch(*store, {absent_op(key)}) == word + " at 1");
    CHECK(batch(*store, {value_op(key, "1")}) == word + " at 1");
    CHECK(outcome(store->put(key, "1")) == word + " at 1");
    CHECK(outcome(store->remove(key)) == word + " at 1");
  }
  CHECK(get(*store, "a") == "nothing");
  CHECK(store->info().value().entries == 0);
  must(store->close());
}

TEST_CASE("Values and batches are bounded") {
  const TempDir temp;
  Options options = options_for(temp.path(), Durability::map_async);
  options.max_value_bytes = 100;
  options.max_batch_bytes = 400;
  const StorePtr store = must_open(options);
  const std::string fits(100, 'v'), too_large(101, 'v');
  CHECK(outcome(store->put("a", fits)) == "ok");
  CHECK(outcome(store->put("a", too_large)) == "value_too_large at 1");
  CHECK(batch(*store, {put_op("b", fits), put_op("c", too_large)}) == "value_too_large at 2");
  const auto bytes = 2 * (1 + 100 + kOpOverheadBytes);
  CHECK(bytes <= 400);
  CHECK(batch(*store, {put_op("b", fits), put_op("c", fits)}) == "ok");
  CHECK(batch(*store, {put_op("d", fits), put_op("e", fits), put_op("f", fits)}) ==
        "batch_too_large");
  CHECK(get(*store, "d") == "nothing");
  CHECK(batch(*store, {}) == "ok");
  must(store->close());
}

TEST_CASE("One element may be larger than a batch may be, up to the limit of a value") {
  const TempDir temp;
  Options options = options_for(temp.path(), Durability::map_async);
  options.max_batch_bytes = 400;
  options.write_buffer_bytes = 64 << 10;
  const StorePtr store = must_open(options);
  const std::string large(1'000'000, 'v');
  CHECK(outcome(store->put("a", large)) == "ok");
  CHECK((get(*store, "a") == large));
  must(store->close());
}

TEST_CASE("A batch is written whole or not at all") {
  for (const Durability mode : kAllModes) {
    const TempDir temp;
    const StorePtr store = must_open(options_for(temp.path(), mode));
    CHECK(batch(*store, {put_op("a", "1"), absent_op("b"), put_op("b", "2"), value_op("b", "2"),
                         remove_op("a")}) == "ok");
    CHECK(get(*store, "a") == "nothing");
    CHECK(get(*store, "b") == "2");
    CHECK(batch(*store, {put_op("b", "3"), put_op("c", "3"), absent_op("b")}) ==
          "check_failed at 3");
    CHECK(get(*store, "b") == "2");
    CHECK(get(*store, "c") == "nothing");
    must(store->close());
  }
}

TEST_CASE("Many keys are read in order, each with its own answer, as of one moment") {
  const TempDir temp;
  const StorePtr store = must_open(options_for(temp.path(), Durability::map_async));
  must(store->put("a", "1"));
  must(store->put("b", "1"));
  CHECK(read_many(*store, {"b", "none", "a", "b"}) ==
        std::vector<std::string>{"0 1", "1 nothing", "2 1", "3 1"});
  CHECK(read_many(*store, {}).empty());

  std::vector<std::string> seen;
  const std::vector<std::string_view> keys{"a", "b", "a"};
  CHECK(outcome(store->read_many(keys, [&](std::size_t i, const Store::Lookup& result) {
          if (i == 0) {
            std::thread([&] { batch(*store, {put_op("a", "2"), put_op("b", "2")}); }).join();
          }
          seen.push_back(lookup(result));
          return true;
        })) == "ok");
  CHECK(seen == std::vector<std::string>{"1", "1", "1"});
  CHECK(get(*store, "b") == "2");

  int calls = 0;
  CHECK(outcome(store->read_many(
            keys, [&](std::size_t, const Store::Lookup&) { return ++calls < 2; })) == "ok");
  CHECK(calls == 2);
  must(store->close());
}

TEST_CASE("A reset empties the store and leaves it what it is") {
  for (const Durability mode : kAllModes) {
    const TempDir temp;
    const StorePtr store = must_open(options_for(temp.path(), mode));
    for (int i = 0; i < 50; ++i) must(store->put(std::to_string(i), "v"));
    const Info before = store->info().value();
    CHECK(count_keys(*store) == 50);
    CHECK(before.entries + before.buffered_keys == 50);
    CHECK(outcome(store->reset()) == "ok");
    const Info after = store->info().value();
    CHECK(count_keys(*store) == 0);
    CHECK(after.entries == 0);
    CHECK(after.buffered_keys == 0);
    CHECK(after.store_id == before.store_id);
    CHECK(after.last_transaction_id > before.last_transaction_id);
    CHECK(get(*store, "1") == "nothing");
    CHECK(outcome(store->put("1", "again")) == "ok");
    CHECK(get(*store, "1") == "again");
    must(store->close());
  }
}

TEST_CASE("The picture of a store is that of the store") {
  const TempDir temp;
  Options options = options_for(temp.path(), Durability::map_async);
  options.max_readers = 40;
  const StorePtr store = must_open(options);
  must(store->put("key", std::string(100'000, 'v')));
  REQUIRE(outcome(store->sync()) == "ok");
  const Info info = store->info().value();
  CHECK(info.directory == temp.path());
  CHECK(info.store_id.size() == 32);
  CHECK(info.settings.durability == Durability::map_async);
  CHECK(info.settings.capacity == options.capacity);
  CHECK(info.entries == 1);
  CHECK(info.page_size >= 4096);
  CHECK(info.tree_depth == 1);
  CHECK(info.map_bytes >= *options.capacity);
  CHECK(info.used_bytes >= 100'000);
  CHECK(info.used_bytes < 1'000'000);
  CHECK(info.file_bytes >= info.used_bytes);
  CHECK(info.reader_slots >= 40);
  CHECK(info.reader_slots_used >= 1);
  CHECK(info.writes_inline + info.grouped_writes == 1);
  CHECK(info.flushes >= 1);
  CHECK(info.queued_bytes == 0);
  CHECK(info.waiting_writers == 0);
  CHECK_FALSE(info.failed);
  CHECK(std::string(info.lmdb_version).find("LMDB") != std::string::npos);
  must(store->close());
}

TEST_CASE("A read-only store answers reads and refuses writes") {
  const TempDir temp;
  must(must_open(options_for(temp.path(), Durability::sync))->put("key", "value"));
  must(must_open(options_for(temp.path(), Durability::sync))->close());
  Options options = options_for(temp.path(), Durability::sync);
  options.read_only = true;
  const StorePtr store = must_open(options);
  CHECK(get(*store, "key") == "value");
  CHECK(outcome(store->put("key", "other")) == "read_only");
  CHECK(outcome(store->remove("key")) == "read_only");
  CHECK(batch(*store, {absent_op("none")}) == "read_only");
  CHECK(outcome(store->reset()) == "read_only");
  CHECK(outcome(store->remove_prefix("")) == "read_only");
  CHECK(outcome(store->sync()) == "read_only");
  CHECK(outcome(store->info()) == "ok");
  CHECK(outcome(store->close()) == "ok");
}

TEST_CASE("A closed store answers closed, whatever it is asked") {
  for (const Durability mode : kAllModes) {
    const TempDir temp;
    const StorePtr store = must_open(options_for(temp.path(), mode));
    must(store->put("key", "value"));
    CHECK(store->is_open());
    REQUIRE(outcome(store->close()) == "ok");
    CHECK_FALSE(store->is_open());
    CHECK(get(*store, "key") == "closed");
    CHECK(found(store->exists("key")) == "closed");
    CHECK(read_many(*store, {"key"}) == std::vector<std::string>{"closed"});
    CHECK(outcome(store->put("key", "v")) == "closed");
    CHECK(outcome(store->remove("key")) == "closed");
    CHECK(outcome(store->reset()) == "closed");
    CHECK(outcome(store->remove_prefix("")) == "closed");
    CHECK(outcome(store->sync()) == "closed");
    CHECK(outcome(store->info()) == "closed");
    CHECK(outcome(store->reserve(1)) == "closed");
    CHECK(outcome(store->park(ticket_for(1))) == "closed");
    Batch request({put_op("key", "v")});
    CHECK(outcome(store->submit(&request)) == "closed");
    CHECK(request.answers == 0);
    CHECK(outcome(store->close()) == "closed");
  }
}

TEST_CASE("Readers beyond the slots are told so, and a reader inside a reader does not hang") {
  const TempDir temp;
  Options options = options_for(temp.path(), Durability::map_async);
  options.max_readers = 4;  // two of which are the store's own
  const StorePtr store = must_open(options);
  must(store->put("key", "value"));
  std::string inside;
  must(store->get("key", [&](std::string_view) {
    must(store->get(
        "key", [&](std::string_view) { inside = outcome(store->exists("key", {.turn_ms = 1})); }));
  }));
  CHECK(inside == "busy");
  CHECK(get(*store, "key") == "value");
  CHECK(outcome(store->put("key", "other")) == "ok");
  must(store->close());
}
