// A store whose file or journal is larger than its capacity, and an address space with little room.
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;

std::string key_of(int i) {
  return "key " + std::to_string(1000 + i);
}
const std::string kValue(kMiB / 16, 'v');

/// What this process has mapped, a sanitizer's memory included.
std::uint64_t mapped_bytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  unsigned long pages = 0;
  const int read = file == nullptr ? 0 : std::fscanf(file, "%lu", &pages);
  if (file != nullptr) std::fclose(file);
  if (read != 1) throw std::runtime_error("no /proc/self/statm");
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// As `ulimit -v` for what is mapped from now on.
void leave_address_space(std::uint64_t bytes) {
  const rlimit limit{mapped_bytes() + bytes, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) throw std::runtime_error("setrlimit");
}

Options without_capacity(const std::string& path, Durability durability) {
  Options options = options_for(path, durability);
  options.capacity.reset();
  return options;
}

}  // namespace

// Whoever a store is was asked of a map as large as the file's last one, 1 TiB, before any halving:
// a small store, or a backup that came from a large machine, was no_memory where address space is
// short.
TEST_CASE("A store opens in a short address space, whatever it was opened in before") {
  for (const Durability durability : kJournaled) {
    const TempDir temp;
    Options options = without_capacity(temp.path(), durability);
    CHECK(run_child([&] {
            const StorePtr store = must_open(options);
            CHILD_REQUIRE(store->info().value().settings.capacity == 1024 * kGiB);
            CHILD_REQUIRE(!store->info().value().capacity_reduced);
            must(store->put("key", "value"));
            must(store->close());
            return 0;
          }) == "exit 0");
    CHECK(run_child([&] {
            leave_address_space(4 * kGiB);
            const StorePtr store = must_open(options);
            CHILD_EQUAL(get(*store, "key"), "value");
            // The default gives way, and says so.
            CHILD_REQUIRE(store->info().value().settings.capacity < 4 * kGiB);
            CHILD_REQUIRE(store->info().value().capacity_reduced);
            must(store->close());
            return 0;
          }) == "exit 0");
    CHECK(run_child([&] {
            leave_address_space(4 * kGiB);
            options.capacity = 64 * kMiB;
            const StorePtr store = must_open(options);
            CHILD_EQUAL(get(*store, "key"), "value");
            CHILD_REQUIRE(store->info().value().settings.capacity == 64 * kMiB);
            CHILD_REQUIRE(!store->info().value().capacity_reduced);
            must(store->close());
            return 0;
          }) == "exit 0");
  }
}

// Who asked for 4 GiB got 128 MiB, and was not told.
TEST_CASE("A capacity that is asked for is had, or refused") {
  for (const Durability durability : kAllModes) {
    const TempDir temp;
    Options options = options_for(temp.path(), durability);
    options.capacity = 16 * kGiB;
    CHECK(run_child([&] {
            leave_address_space(4 * kGiB);
            CHILD_EQUAL(outcome(Store::open(options)), "no_memory");
            options.capacity = kGiB;
            const StorePtr store = must_open(options);
            CHILD_REQUIRE(store->info().value().settings.capacity == kGiB);
            must(store->close());
            return 0;
          }) == "exit 0");
  }
}

// Records that were acknowledged under one capacity could not be applied under a smaller one: the
// store was map_full at every start.
TEST_CASE("A journal that is larger than the capacity of the next start is applied all the same") {
  const TempDir temp;
  constexpr int kKeys = 16 * 24;
  Options options = options_for(temp.path(), Durability::async);
  options.capacity = 256 * kMiB;
  CHECK(run_child([&] {
          const StorePtr store = must_open(options);
          for (int i = 0; i < kKeys; ++i) must(store->put(key_of(i), kValue));
          ::_exit(0);  // with the journal
          return 1;
        }) == "exit 0");
  options.capacity = kMiB;
  const StorePtr store = must_open(options);
  CHECK(store->info().value().used_bytes > *options.capacity);
  CHECK(count_keys(*store) == kKeys);
  CHECK(outcome(store->put("one more", kValue)) == "map_full");
  CHECK(outcome(store->remove(key_of(0))) == "ok");
  must(store->close());
}

// What frees was map_full too, since LMDB had no page left to write down what is free.
TEST_CASE("A store that is larger than its capacity can be emptied") {
  constexpr int kKeys = 16 * 48;
  for (const Durability durability : kAllModes) {
    for (const bool at_once : {true, false}) {
      INFO(name_of(durability) << (at_once ? " reset" : " remove_prefix"));
      const TempDir temp;
      Options options = options_for(temp.path(), durability);
      options.capacity = 256 * kMiB;
      StorePtr store = must_open(options);
      for (int i = 0; i < kKeys; ++i) must(store->put(key_of(i), kValue));
      must(store->close());
      options.capacity = kMiB;
      store = must_open(options);
      CHECK(outcome(store->put("one more", kValue)) == "map_full");
      if (at_once) {
        CHECK(outcome(store->reset()) == "ok");
      } else {
        CHECK(store->remove_prefix("").value() == kKeys);
      }
      CHECK(count_keys(*store) == 0);
      CHECK(outcome(store->put("one more", "small")) == "ok");
      must(store->close());
    }
  }
}
