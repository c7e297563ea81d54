// One directory is one store, however it is spelled and whoever races for it.
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/gate.h"
#include "support/ops.h"
#include "support/queued.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

Options mapped(const std::string& directory) {
  return options_for(directory, Durability::map_async);
}

/// Runs `body` on so many threads at once.
void together(int threads, const std::function<void(int)>& body) {
  Gate start;
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      start.wait();
      body(i);
    });
  }
  start.open();
  for (std::thread& thread : all) thread.join();
}

}  // namespace

TEST_CASE("Every spelling of a directory is the same store") {
  const TempDir temp;
  fs::create_directory(temp / "other");
  fs::create_directory_symlink(temp / "store", temp / "link");
  const StorePtr store = must_open(mapped(temp / "store"));
  for (const char* spelling : {"store", "store/", "./store", "other/../store", "link", "link/."}) {
    INFO(spelling);
    CHECK(must_open(mapped(temp / spelling)) == store);
  }
  const fs::path here = fs::current_path();
  fs::current_path(temp.path());
  const auto relative = Store::open(mapped("store"));
  fs::current_path(here);
  REQUIRE(outcome(relative) == "ok");
  CHECK(relative.value() == store);
  const StorePtr other = must_open(mapped(temp / "other"));
  CHECK(other != store);
  CHECK(outcome(store->close()) == "ok");
  CHECK(other->is_open());
  must(other->close());
}

TEST_CASE("A directory that took the place of another is another store") {
  const TempDir temp;
  const StorePtr old = must_open(mapped(temp / "store"));
  must(old->put("key", "old"));
  fs::rename(temp / "store", temp / "moved");
  const StorePtr store = must_open(mapped(temp / "store"));
  CHECK(store != old);
  CHECK(get(*store, "key") == "nothing");
  CHECK(must_open(mapped(temp / "moved")) == old);
  must(store->close());
  CHECK(get(*old, "key") == "old");
  must(old->close());
}

TEST_CASE("A second open may ask for what runs, and for nothing else") {
  const TempDir temp;
  const StorePtr store = must_open(mapped(temp.path()));
  const auto conflict = [&](const std::function<void(Options&)>& change) {
    Options options = mapped(temp.path());
    change(options);
    return outcome(Store::open(options));
  };
  CHECK(conflict([](Options&) {}) == "ok");
  CHECK(conflict([](Options& o) { o.durability.reset(), o.capacity.reset(); }) == "ok");
  CHECK(conflict([](Options& o) { o.checksum = false; }) == "ok");
  CHECK(conflict([](Options& o) { o.durability = Durability::sync; }) ==
        "conflicting_option durability");
  CHECK(conflict([](Options& o) { o.capacity = 65 << 20; }) == "conflicting_option capacity");
  CHECK(conflict([](Options& o) { o.checksum = true; }) == "conflicting_option checksum");
  CHECK(conflict([](Options& o) { o.read_only = true; }) == "conflicting_option read_only");
  CHECK(conflict([](Options& o) { o.max_readers = 1; }) == "bad_option max_readers");
  CHECK(store->is_open());
  must(store->close());
}

TEST_CASE("A hundred that race to open a store get the same one") {
  for (const bool exists : {false, true}) {
    const TempDir temp;
    if (exists) must(must_open(mapped(temp / "store"))->close());
    std::vector<StorePtr> stores(100);
    std::atomic<int> failed{0};
    together(100, [&](int i) {
      auto store = Store::open(mapped(temp / (i % 2 == 0 ? "store" : "./store/")));
      if (!store) ++failed;
      if (store) stores[static_cast<std::size_t>(i)] = store.value();
    });
    CHECK(failed == 0);
    for (const StorePtr& store : stores) REQUIRE((store != nullptr && store == stores[0]));
    CHECK(outcome(stores[0]->put("key", "value")) == "ok");
    CHECK(outcome(stores[0]->close()) == "ok");
  }
}

TEST_CASE("An open waits for the close under way, which waits for the calls in flight") {
  const TempDir temp;
  const StorePtr old = must_open(mapped(temp.path()));
  must(old->put("key", "value"));
  Gate reading, let_go, closed, opened;
  std::thread reader([&] {
    must(old->get("key", [&](std::string_view) {
      reading.open();
      let_go.wait();
    }));
  });
  reading.wait();
  std::string first, second;
  std::thread closer([&] {
    first = outcome(old->close());
    closed.open();
  });
  // The close has begun once calls are refused.
  while (old->is_open()) std::this_thread::yield();
  std::thread closer_again([&] { second = outcome(old->close()); });
  StorePtr next;
  std::thread opener([&] {
    next = must_open(mapped(temp.path()));
    opened.open();
  });
  CHECK_FALSE(opened.opens_within(kWatched));
  CHECK_FALSE(closed.is_open());
  let_go.open();
  for (std::thread* thread : {&reader, &closer, &closer_again, &opener}) thread->join();
  CHECK(first == "ok");
  CHECK(second == "closed");
  REQUIRE(next != nullptr);
  CHECK(next != old);
  CHECK(get(*next, "key") == "value");
  CHECK(get(*old, "key") == "closed");
  must(next->close());
}

TEST_CASE("Opens and closes that race leave the directory in order") {
  const TempDir temp;
  std::atomic<int> odd{0}, done{0};
  together(8, [&](int i) {
    for (int j = 0; j < 20; ++j) {
      auto store = Store::open(mapped(temp.path()));
      if (!store) {
        ++odd;
        continue;
      }
      const std::string put = outcome(store.value()->put(std::to_string(i), std::to_string(j)));
      if (put != "ok" && put != "closed") ++odd;
      if (put == "ok") ++done;
      const std::string closed = outcome(store.value()->close());
      if (closed != "ok" && closed != "closed") ++odd;
    }
  });
  CHECK(odd == 0);
  CHECK(done > 0);
  const StorePtr store = must_open(mapped(temp.path()));
  CHECK(outcome(store->close()) == "ok");
}

TEST_CASE("Closing does what was accepted and turns away who waits for room") {
  for (const Durability mode : kAllModes) {
    const TempDir temp;
    Options options = options_for(temp.path(), mode);
    // With a journal half of it is the queue's.
    options.write_buffer_bytes = mode == Durability::map_async ? 64 << 10 : 128 << 10;
    const StorePtr store = must_open(options);
    const std::string value(1000, 'v');
    std::vector<std::string> keys;
    for (int i = 0; i < 40; ++i) keys.push_back(std::to_string(i));
    std::vector<std::unique_ptr<Batch>> accepted;
    std::size_t used = 0;
    for (const std::string& key : keys) {
      accepted.push_back(std::make_unique<Batch>(std::vector<Op>{put_op(key, value)}));
      REQUIRE(store->reserve(accepted.back()->bytes).value() == Admission::reserved);
      used += accepted.back()->bytes;
      REQUIRE(outcome(store->submit(accepted.back().get())) == "ok");
    }
    // Too large for what may be left: parked, or granted once the others are done.
    const auto ticket = ticket_for(used + (60 << 10));
    const auto parked = store->park(ticket);
    CHECK(outcome(store->close()) == "ok");
    for (const auto& request : accepted) CHECK(request->answer == "ok");
    REQUIRE(outcome(parked) == "ok");
    if (parked.value() == Admission::full) CHECK(ticket->is_granted());
    Batch late({put_op("late", "v")});
    late.bytes = ticket->bytes;
    CHECK(outcome(store->submit(&late, ticket.get())) == "closed");
    const StorePtr again = must_open(options);
    for (const std::string& key : keys) CHECK(get(*again, key) == value);
    CHECK(get(*again, "late") == "nothing");
    must(again->close());
  }
}

TEST_CASE("Where no thread can be started the open fails and leaves nothing behind") {
  for (int refused = 1; refused <= 2; ++refused) {
    const TempDir temp;
    const std::size_t before = open_descriptors();
    static std::atomic<int> left;
    left = refused - 1;
    ThreadApi scarce = posix_threads();
    scarce.start = [](const char* name, void* (*run)(void*), void* argument, void** thread) {
      return left-- > 0 ? posix_threads().start(name, run, argument, thread) : ENOMEM;
    };
    CHECK(outcome(Store::open(mapped(temp.path()), scarce)) == "no_memory");
    CHECK(open_descriptors() == before);
    // As at the limit of a container's processes, which was called an error of the disk.
    left = refused - 1;
    scarce.start = [](const char* name, void* (*run)(void*), void* argument, void** thread) {
      return left-- > 0 ? posix_threads().start(name, run, argument, thread) : EAGAIN;
    };
    CHECK(outcome(Store::open(mapped(temp.path()), scarce)) == "too_many_threads");
    CHECK(open_descriptors() == before);
    const StorePtr store = must_open(mapped(temp.path()));
    CHECK(outcome(store->put("key", "value")) == "ok");
    CHECK(outcome(store->close()) == "ok");
    CHECK(open_descriptors() == before);
  }
}

TEST_CASE("While another process has the store open it is refused, and let in after") {
  const TempDir temp;
  int ready[2], stop[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(stop) == 0);
  const pid_t other = start_child([&] {
    ::close(stop[1]);
    const StorePtr store = must_open(mapped(temp.path()));
    CHILD_REQUIRE(::write(ready[1], "y", 1) == 1);
    char end = 0;
    CHILD_REQUIRE(::read(stop[0], &end, 1) == 0);
    CHILD_EQUAL(outcome(store->put("key", "value")), "ok");
    CHILD_EQUAL(outcome(store->close()), "ok");
    return 0;
  });
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(outcome(Store::open(mapped(temp.path()))) == "already_open");
  for (const int fd : {stop[0], stop[1], ready[0], ready[1]}) ::close(fd);
  CHECK(wait_for(other) == "exit 0");
  const StorePtr store = must_open(mapped(temp.path()));
  CHECK(get(*store, "key") == "value");
  must(store->close());
}

TEST_CASE("Many stores are open at once") {
  constexpr int kStores = 50;
  const TempDir temp;
  std::vector<StorePtr> stores;
  for (int i = 0; i < kStores; ++i) {
    stores.push_back(must_open(mapped(temp / std::to_string(i))));
    REQUIRE(outcome(stores.back()->put("key", std::to_string(i))) == "ok");
  }
  for (int i = 0; i < kStores; ++i) {
    const StorePtr& store = stores[static_cast<std::size_t>(i)];
    REQUIRE(get(*store, "key") == std::to_string(i));
    REQUIRE(outcome(store->close()) == "ok");
  }
}
