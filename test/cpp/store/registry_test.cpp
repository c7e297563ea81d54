#include "store/registry.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <new>
#include <thread>
#include <vector>

#include "hyper_lmdb/process_state.h"
#include "support/gate.h"
#include "support/outcome.h"

using namespace hyper_lmdb;
using registry::StorePtr;
using test::Gate;
using test::outcome;

namespace {

/// The registry never looks into a store, so anything with an address will do.
StorePtr some_store() {
  const auto object = std::make_shared<int>(0);
  return StorePtr(object, reinterpret_cast<Store*>(object.get()));
}

/// An id nobody else in this program uses.
DirectoryId new_id() {
  static std::atomic<ino_t> next{1};
  return {.device = 1, .inode = next.fetch_add(1)};
}

struct Found {
  Result<StorePtr> store = Error{.code = Code::internal};
  bool was_open = false;
};

Found find(const DirectoryId& id, FunctionRef<Result<StorePtr>()> open_store) {
  Found found;
  found.store = registry::find_or_open(id, open_store, &found.was_open);
  return found;
}

void forget(const DirectoryId& id) {
  registry::closing(id);
  registry::closed(id);
}

}  // namespace

TEST_CASE("A directory is opened once and found from then on") {
  const DirectoryId id = new_id();
  int opened = 0;
  const auto open_store = [&]() -> Result<StorePtr> {
    ++opened;
    return some_store();
  };
  const Found first = find(id, open_store);
  REQUIRE(outcome(first.store) == "ok");
  CHECK_FALSE(first.was_open);
  const Found second = find(id, open_store);
  REQUIRE(outcome(second.store) == "ok");
  CHECK(second.was_open);
  CHECK(second.store.value() == first.store.value());
  CHECK(opened == 1);
  forget(id);
  const Found third = find(id, open_store);
  CHECK_FALSE(third.was_open);
  CHECK(opened == 2);
  forget(id);
}

TEST_CASE("Device and inode together make a directory") {
  const DirectoryId id = new_id();
  const DirectoryId elsewhere{.device = 2, .inode = id.inode};
  const auto open_store = []() -> Result<StorePtr> { return some_store(); };
  const Found one = find(id, open_store);
  const Found other = find(elsewhere, open_store);
  CHECK_FALSE(other.was_open);
  CHECK(one.store.value() != other.store.value());
  forget(id);
  forget(elsewhere);
}

TEST_CASE("The registry keeps a store that nobody else refers to") {
  const DirectoryId id = new_id();
  std::weak_ptr<Store> kept;
  find(id, [&]() -> Result<StorePtr> {
    StorePtr store = some_store();
    kept = store;
    return store;
  });
  CHECK_FALSE(kept.expired());
  registry::closing(id);
  CHECK(kept.expired());
  registry::closed(id);
}

TEST_CASE("Of a hundred that race one opens and all get its store") {
  for (int round = 0; round < 10; ++round) {
    const DirectoryId id = new_id();
    std::atomic<int> opened{0}, was_open{0};
    Gate start;
    std::vector<StorePtr> stores(100);
    std::vector<std::thread> threads;
    for (StorePtr& mine : stores) {
      threads.emplace_back([&] {
        start.wait();
        const Found found = find(id, [&]() -> Result<StorePtr> {
          ++opened;
          std::this_thread::yield();
          return some_store();
        });
        if (found.store) mine = found.store.value();
        was_open += found.was_open ? 1 : 0;
      });
    }
    start.open();
    for (std::thread& thread : threads) thread.join();
    CHECK(opened == 1);
    CHECK(was_open == 99);
    for (const StorePtr& store : stores) REQUIRE((store != nullptr && store == stores[0]));
    forget(id);
  }
}

TEST_CASE("After an opening that failed the next in line tries, and may succeed") {
  const DirectoryId id = new_id();
  Gate opening, fail;
  Found failed, second;
  std::thread first([&] {
    failed = find(id, [&]() -> Result<StorePtr> {
      opening.open();
      fail.wait();
      return Error{.code = Code::disk_full};
    });
  });
  opening.wait();
  Gate came_back;
  std::thread waiter([&] {
    second = find(id, []() -> Result<StorePtr> { return some_store(); });
    came_back.open();
  });
  CHECK_FALSE(came_back.opens_within(test::kWatched));
  fail.open();
  first.join();
  waiter.join();
  CHECK(outcome(failed.store) == "disk_full");
  CHECK(outcome(second.store) == "ok");
  CHECK_FALSE(second.was_open);
  forget(id);
}

TEST_CASE("An opening that throws lets the others go") {
  const DirectoryId id = new_id();
  CHECK_THROWS_AS(find(id, []() -> Result<StorePtr> { throw std::bad_alloc(); }), std::bad_alloc);
  const Found next = find(id, []() -> Result<StorePtr> { return some_store(); });
  CHECK(outcome(next.store) == "ok");
  CHECK_FALSE(next.was_open);
  forget(id);
}

TEST_CASE("An opening holds up its own directory and no other") {
  const DirectoryId slow = new_id();
  const DirectoryId quick = new_id();
  Gate opening, go_on;
  std::thread opener([&] {
    find(slow, [&]() -> Result<StorePtr> {
      opening.open();
      go_on.wait();
      return some_store();
    });
  });
  opening.wait();
  const Found found = find(quick, []() -> Result<StorePtr> { return some_store(); });
  CHECK(outcome(found.store) == "ok");
  go_on.open();
  opener.join();
  forget(slow);
  forget(quick);
}

TEST_CASE("Who asks while a store closes waits, and then opens a new one") {
  const DirectoryId id = new_id();
  const auto open_store = []() -> Result<StorePtr> { return some_store(); };
  const StorePtr old = find(id, open_store).store.value();
  registry::closing(id);
  Gate came_back;
  Found next;
  std::thread waiter([&] {
    next = find(id, open_store);
    came_back.open();
  });
  CHECK_FALSE(came_back.opens_within(test::kWatched));
  registry::closed(id);
  waiter.join();
  REQUIRE(outcome(next.store) == "ok");
  CHECK_FALSE(next.was_open);
  CHECK(next.store.value() != old);
  forget(id);
}

TEST_CASE("A second copy of the library uses the table of the first") {
  const DirectoryId id = new_id();
  const auto open_store = []() -> Result<StorePtr> { return some_store(); };
  find(id, open_store);
  void* const table = process_state();
  REQUIRE(table != nullptr);
  adopt_process_state(table);
  CHECK(process_state() == table);
  CHECK(find(id, open_store).was_open);
  forget(id);
}
