// What goes wrong while a store is copied: an error that names it, no file, and a store that goes
// on.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/backups.h"
#include "support/child.h"
#include "support/faults.h"
#include "support/gate.h"
#include "support/queued.h"
#include "support/small_disk.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

void fill(Store& store, int values) {
  for (int i = 0; i < values; ++i) must(store.put(std::to_string(i), std::string(4000, 'v')));
}

int onto_full_disk(const TempDir& temp, Durability mode) {
  fs::create_directory(temp / "disk");
  const StorePtr store = must_open(options_for(temp / "store", mode));
  fill(*store, 500);
  CHILD_EQUAL(outcome(store->backup(temp / "disk/copy")), "disk_full");
  CHILD_REQUIRE(only_holds(temp / "disk", {}));
  // With room for all but the last step, or nearly.
  const auto bytes = [&] {
    must(store->backup(temp / "elsewhere"));
    return fs::file_size(temp / "elsewhere");
  }();
  for (const int more_pages : {-3, -2, -1, 0, 1}) {
    const std::uint64_t room = bytes + static_cast<std::uint64_t>(more_pages * 4096);
    CHILD_REQUIRE(resize_small_disk(temp / "disk", room));
    const std::string word = outcome(store->backup(temp / "disk/copy"));
    CHILD_REQUIRE(word == "disk_full" || (word == "ok" && more_pages >= 0));
    if (word == "ok") fs::remove(temp / "disk/copy");
    CHILD_REQUIRE(only_holds(temp / "disk", {}));
  }
  CHILD_REQUIRE(!store->info().value().failed);
  CHILD_EQUAL(outcome(store->put("more", "v")), "ok");
  CHILD_REQUIRE(resize_small_disk(temp / "disk", 32 * kMiB));
  CHILD_EQUAL(outcome(store->backup(temp / "disk/copy")), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

int past_size_limit(const TempDir& temp) {
  const StorePtr store = must_open(options_for(temp / "store", Durability::async));
  fill(*store, 500);
  must(store->sync());
  struct rlimit limit = {};
  CHILD_REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = kMiB;
  CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHILD_EQUAL(outcome(store->backup(temp / "copy")), "file_too_large");
  limit.rlim_cur = limit.rlim_max;
  CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHILD_REQUIRE(only_holds(temp.path(), {"store"}));
  CHILD_EQUAL(outcome(store->backup(temp / "copy")), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

/// The store's own disk has no room for what it has buffered.
int from_full_disk(const TempDir& temp, Durability mode) {
  fs::create_directory(temp / "disk");
  if (!mount_small_disk(temp / "disk", 8 * kMiB)) return kSkipped;
  const StorePtr store = must_open(options_for(temp / "disk/store", mode));
  fill(*store, 1000);
  take_all_room(temp / "disk/ballast");
  CHILD_EQUAL(outcome(store->backup(temp / "copy")), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  const StorePtr copy =
      must_open(options_for(directory_from(temp / "copy", temp / "copied"), mode));
  CHILD_REQUIRE(count_keys(*copy) == 1000);
  CHILD_EQUAL(outcome(copy->close()), "ok");
  return 0;
}

}  // namespace

TEST_CASE("Where there is no room for the copy it is disk_full, and nothing is left of it") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp;
    const std::string ended = run_child([&] {
      fs::create_directory(temp / "disk");
      if (!mount_small_disk(temp / "disk", kMiB)) return kSkipped;
      return onto_full_disk(temp, mode);
    });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("Past a limit on file sizes a copy is file_too_large and no signal is raised") {
  const TempDir temp;
  CHECK(run_child([&] { return past_size_limit(temp); }) == "exit 0");
}

// What was buffered had to go into LMDB first: on a full disk there was no backup to be had.
TEST_CASE("A store whose own disk is full is copied to another") {
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp;
    const std::string ended = run_child([&] { return from_full_disk(temp, mode); });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("Whichever call fails, the copy fails, and the store does not") {
  const TempDir temp;
  fs::create_directory(temp / "copies");
  const StorePtr store = must_open(options_for(temp / "store", Durability::async));
  fill(*store, 600);  // two parts
  const std::string copy = temp / "copies/copy";
  constexpr std::uint32_t kCalls =
      faults::kAnyWrite | faults::kFsync | faults::kFdatasync | faults::kSyncRange;
  faults::arm({.directory = temp / "copies", .calls = kCalls});
  REQUIRE(outcome(store->backup(copy)) == "ok");
  const std::uint64_t calls = faults::disarm();
  fs::remove(copy);
  CHECK(calls >= 10);
  for (const int error : {EIO, ENOSPC, 0}) {
    for (std::uint64_t at = 1; at <= calls; ++at) {
      INFO("call " << at << " of " << calls << ", " << error);
      faults::arm({.directory = temp / "copies", .calls = kCalls, .fail_at = at, .error = error});
      const std::string word = outcome(store->backup(copy));
      const bool failed = faults::has_failed();
      faults::disarm();
      REQUIRE(failed);
      // LMDB takes a first page that was cut short for a full disk.
      CHECK((word == (error == ENOSPC ? "disk_full" : "io_error") ||
             (error == 0 && word == "disk_full")));
      CHECK(only_holds(temp / "copies", {}));
      CHECK(!store->info().value().failed);
    }
  }
  must(store->backup(copy));
  must(store->put("later", "1"));
  must(store->close());
}

TEST_CASE("After a flush that failed a store is not copied") {
  const TempDir temp;
  Options options = options_for(temp / "store", Durability::async);
  const StorePtr store = must_open(options);
  must(store->put("key", "1"));
  faults::arm({.directory = temp / "store",
               .calls = faults::kMsync | faults::kFdatasync,
               .fail_at = 1,
               .for_ever = true,
               .error = EIO});
  CHECK(outcome(store->sync()) == "io_error");
  faults::disarm();
  CHECK(outcome(store->backup(temp / "copy")) == "env_failed");
  CHECK(only_holds(temp.path(), {"store"}));
  (void)store->close();
}

// A copy held the next buffer back until LMDB had begun to write it, and LMDB's write lock at
// times.
TEST_CASE("While a copy is being made, writes and their way into LMDB go on; a second one waits") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    fs::create_directory(temp / "copies");
    Options options = options_for(temp / "store", mode);
    options.write_buffer_bytes = 64 << 10;
    options.max_snapshot_age_ms = 1;
    const StorePtr store = must_open(options);
    fill(*store, 600);
    BackupRequest request(temp / "copies/copy");
    faults::hold(faults::kWritev, temp / "copies");
    must(store->submit(&request));
    faults::wait_for_held();
    CHECK(outcome(store->backup(temp / "second")) == "overloaded");
    CHECK(outcome(store->snapshot().value()->backup(temp / "second")) == "overloaded");
    // Ten buffers, where snapshots may keep two, and each snapshot only for a moment.
    for (int i = 0; i < 600; ++i) {
      must(store->put("meanwhile " + std::to_string(i), std::string(1000, 'm')));
    }
    if (mode != Durability::map_async) CHECK(store->info().value().applied_buffers > 4);
    must(store->remove_prefix("1"));
    CHECK(get(*store, "meanwhile 0").size() == 1000);
    faults::release_held();
    CHECK(request.wait() == "ok");
    CHECK(outcome(store->close()) == "ok");
    const StorePtr copy =
        must_open(options_for(directory_from(temp / "copies/copy", temp / "started"), mode));
    CHECK(count_keys(*copy) == 600);
    CHECK(get(*copy, "100").size() == 4000);
    must(copy->close());
    CHECK(only_holds(temp / "copies", {"copy"}));
  }
}

TEST_CASE("While a snapshot is being copied it can be read, and its end ends the copy") {
  const auto by_release = [](Snapshot& snapshot) { snapshot.release(); };
  const auto by_age = [](Snapshot& snapshot) {
    while (outcome(snapshot.exists("1")) != "snapshot_expired") {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  };
  for (const Durability mode : kAllModes) {
    for (const bool released : {true, false}) {
      INFO(name_of(mode) << (released ? ", released" : ", too old"));
      const TempDir temp(memory_directory());
      fs::create_directory(temp / "copies");
      Options options = options_for(temp / "store", mode);
      options.max_snapshot_age_ms = released ? 300'000 : 1'000;
      const StorePtr store = must_open(options);
      fill(*store, 600);
      const auto snapshot = store->snapshot().value();
      BackupRequest request(temp / "copies/copy");
      faults::hold(faults::kWritev, temp / "copies");
      must(snapshot->submit_backup(&request));
      faults::wait_for_held();
      if (released) CHECK(snapshot->exists("1", {.may_wait = false}).value());
      released ? by_release(*snapshot) : by_age(*snapshot);
      faults::release_held();
      CHECK(request.wait() == "snapshot_expired");
      CHECK(only_holds(temp / "copies", {}));
      must(store->backup(temp / "copies/copy"));
      must(store->close());
    }
  }
}

// A stop waited for a backup: of a large store, longer than a supervisor waits for a stop.
TEST_CASE("A store that is closed ends the copy that is being made, and nothing is left of it") {
  for (const Durability mode : kAllModes) {
    for (const bool of_snapshot : {false, true}) {
      // One part, which is all there is to copy, or eight.
      for (const int values : {50, 4000}) {
        INFO(name_of(mode) << (of_snapshot ? ", of a snapshot, " : ", ") << values);
        const TempDir temp(memory_directory());
        fs::create_directory(temp / "copies");
        const StorePtr store = must_open(options_for(temp / "store", mode));
        fill(*store, values);
        const auto snapshot = store->snapshot().value();
        BackupRequest request(temp / "copies/copy");
        faults::hold(faults::kWritev, temp / "copies");
        must(of_snapshot ? snapshot->submit_backup(&request) : store->submit(&request));
        faults::wait_for_held();
        Gate closed;
        std::string closing;
        std::thread closer([&] {
          closing = outcome(store->close());
          closed.open();
        });
        // It waits for the one write, which nothing can end, and for no later one.
        CHECK(!closed.opens_within(kWatched));
        faults::arm({.directory = temp / "copies", .calls = faults::kSyncRange});
        faults::release_held();
        CHECK(request.wait() == "closed");
        CHECK(faults::disarm() <= 3);
        closed.wait();
        closer.join();
        CHECK(closing == "ok");
        CHECK(only_holds(temp / "copies", {}));
        const StorePtr again = must_open(options_for(temp / "store", mode));
        CHECK(count_keys(*again) == static_cast<std::uint64_t>(values));
        CHECK(outcome(again->backup(temp / "copies/copy")) == "ok");
        must(again->close());
      }
    }
  }
}

TEST_CASE("Beside a copy and as many snapshots as there may be a store can be read") {
  const TempDir temp(memory_directory());
  fs::create_directory(temp / "copies");
  Options options = options_for(temp / "store", Durability::async);
  options.max_readers = 4;
  const StorePtr store = must_open(options);
  fill(*store, 50);
  BackupRequest request(temp / "copies/copy");
  faults::hold(faults::kWritev, temp / "copies");
  must(store->submit(&request));
  faults::wait_for_held();
  std::vector<std::shared_ptr<Snapshot>> snapshots;
  for (auto next = store->snapshot(); next; next = store->snapshot()) {
    snapshots.push_back(std::move(next).value());
  }
  CHECK(snapshots.size() == 1);
  CHECK(outcome(store->exists("1", {.may_wait = false})) == "ok");
  faults::release_held();
  CHECK(request.wait() == "ok");
  must(store->close());
}
