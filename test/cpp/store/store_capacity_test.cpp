// A store that is full: puts are refused before they are acknowledged, removals go on, and what
// they free is used again.
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

StorePtr small_store(const TempDir& temp, Durability mode, std::uint64_t capacity) {
  Options options = options_for(temp.path(), mode);
  options.capacity = capacity;
  return must_open(options);
}

/// Puts until there is no room; returns how many went in.
int fill(Store& store, std::size_t value_size, const std::string& prefix = "") {
  const std::string value(value_size, 'v');
  for (int i = 0;; ++i) {
    const std::string word = outcome(store.put(prefix + std::to_string(i), value));
    if (word == "map_full") return i;
    if (word != "ok") FAIL("put " << i << ": " << word);
  }
}

}  // namespace

TEST_CASE("A full store refuses puts, answers reads and removes") {
  for (const Durability mode : kAllModes) {
    for (const std::size_t value_size : {100, 3000, 100'000}) {
      INFO(name_of(mode) << ", values of " << value_size << " bytes");
      const TempDir temp(memory_directory());
      const StorePtr store = small_store(temp, mode, kMiB);
      const int count = fill(*store, value_size);
      // Not a reserve so large that little would fit.
      CHECK(static_cast<std::size_t>(count) * (value_size + 30) > kMiB / 3);
      CHECK(store->info().value().used_bytes <= 2 * kMiB);
      for (int i = 0; i < count; ++i) REQUIRE(get(*store, std::to_string(i)).size() == value_size);
      CHECK(get(*store, std::to_string(count)) == "nothing");
      CHECK_FALSE(store->info().value().failed);
      for (int i = 0; i < count; ++i) REQUIRE(outcome(store->remove(std::to_string(i))) == "ok");
      CHECK(count_keys(*store) == 0);
      CHECK(store->info().value().used_bytes <= 2 * kMiB);
      // Nearly as much goes in again, into the same file.
      CHECK(fill(*store, value_size) > count * 2 / 3);
      CHECK(store->info().value().used_bytes <= 2 * kMiB);
      must(store->close());
    }
  }
}

TEST_CASE("A full store stays in its bounds while values come and go") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    const StorePtr store = small_store(temp, mode, 2 * kMiB);
    std::mt19937_64 random(5);
    std::map<std::string, std::size_t> model;
    const std::string bytes(200'000, 'v');
    int refused = 0, written = 0;
    constexpr int kSteps = 6000;
    for (int i = 0; i < kSteps; ++i) {
      const std::string key = std::to_string(random() % 300);
      if (random() % 3 == 0) {
        REQUIRE(outcome(store->remove(key)) == "ok");
        model.erase(key);
        continue;
      }
      const std::size_t size = random() % 20 == 0 ? random() % bytes.size() : random() % 10'000;
      const std::string word = outcome(store->put(key, std::string_view(bytes).substr(0, size)));
      if (word == "ok") {
        model[key] = size;
        ++written;
      } else {
        REQUIRE(word == "map_full");
        ++refused;
      }
    }
    CHECK(refused > 0);
    CHECK(written > kSteps / 10);
    CHECK(count_keys(*store) == model.size());
    for (const auto& [key, size] : model) REQUIRE(get(*store, key).size() == size);
    CHECK(store->info().value().used_bytes <= 4 * kMiB);
    must(store->close());
  }
}

TEST_CASE("Of a batch that does not fit nothing is written, and smaller ones still are") {
  for (const Durability mode : kAllModes) {
    const TempDir temp(memory_directory());
    const StorePtr store = small_store(temp, mode, kMiB);
    const std::string value(100'000, 'v');
    std::vector<std::string> keys;
    for (int i = 0; i < 20; ++i) keys.push_back(std::to_string(i));
    std::vector<Op> ops;
    for (const std::string& key : keys) ops.push_back(put_op(key, value));
    CHECK(outcome(store->batch_write(ops)) == "map_full");
    CHECK(count_keys(*store) == 0);
    ops.resize(5);
    CHECK(outcome(store->batch_write(ops)) == "ok");
    CHECK(count_keys(*store) == 5);
    must(store->close());
  }
}

TEST_CASE("A full store can be reset, and takes as much again") {
  for (const Durability mode : kAllModes) {
    const TempDir temp(memory_directory());
    const StorePtr store = small_store(temp, mode, kMiB);
    const int count = fill(*store, 1000);
    CHECK(outcome(store->reset()) == "ok");
    CHECK(fill(*store, 1000, "again") > count * 2 / 3);
    must(store->close());
  }
}

TEST_CASE("What does not fit because checks fail is told as a failed check") {
  const TempDir temp(memory_directory());
  const StorePtr store = small_store(temp, Durability::map_async, kMiB);
  fill(*store, 1000);
  const std::string large(2 * kMiB, 'l');
  const std::vector<Op> ops{absent_op("0"), put_op("0", large)};
  CHECK(outcome(store->batch_write(ops)) == "check_failed at 1");
  must(store->close());
}

TEST_CASE("A store is filled to its capacity by large values too") {
  for (const Durability mode : kAllModes) {
    const TempDir temp(memory_directory());
    const StorePtr store = small_store(temp, mode, 8 * kMiB);
    CHECK(outcome(store->put("too large", std::string(9 * kMiB, 'v'))) == "map_full");
    CHECK(outcome(store->put("large", std::string(5 * kMiB, 'v'))) == "ok");
    CHECK(outcome(store->put("more", std::string(5 * kMiB, 'v'))) == "map_full");
    CHECK(outcome(store->remove("large")) == "ok");
    // Pages that were freed are used again one transaction later.
    CHECK(outcome(store->put("small", "v")) == "ok");
    CHECK(outcome(store->put("more", std::string(5 * kMiB, 'v'))) == "ok");
    CHECK(get(*store, "more").size() == 5 * kMiB);
    must(store->close());
  }
}

TEST_CASE("A file larger than a capacity given later is read, emptied and filled again") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    StorePtr store = small_store(temp, mode, 16 * kMiB);
    const int count = fill(*store, 100'000);
    must(store->close());
    store = small_store(temp, mode, kMiB);
    CHECK(outcome(store->put("more", "v")) == "map_full");
    for (int i = 0; i < count; ++i) REQUIRE(get(*store, std::to_string(i)).size() == 100'000);
    for (int i = 0; i < count; ++i) REQUIRE(outcome(store->remove(std::to_string(i))) == "ok");
    CHECK(fill(*store, 1000) > 100);
    must(store->close());
  }
}
