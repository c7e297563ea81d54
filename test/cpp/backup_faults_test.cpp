// What goes wrong while a store is copied: an error that names it, no file, and a store that goes
// on.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>

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

/// A backup whose answer the test waits for when it likes.
struct BackupRequest : Numbered {
  BackupRequest(std::string target, bool compacted) : Numbered(0, 0), file(std::move(target)) {
    op = {.kind = OpKind::put, .key = file};
    kind = Kind::backup;
    ops = {&op, 1};
    compact = compacted;
  }
  const std::string file;
  Op op;
};

int onto_full_disk(const TempDir& temp, Durability mode, bool compact) {
  fs::create_directory(temp / "disk");
  const StorePtr store = must_open(options_for(temp / "store", mode));
  fill(*store, 500);
  CHILD_EQUAL(outcome(store->backup(temp / "disk/copy", compact)), "disk_full");
  CHILD_REQUIRE(only_holds(temp / "disk", {}));
  // With room for all but the last step, or nearly.
  const auto bytes = [&] {
    must(store->backup(temp / "elsewhere", compact));
    return fs::file_size(temp / "elsewhere");
  }();
  for (const int more_pages : {-3, -2, -1, 0, 1}) {
    const std::uint64_t room = bytes + static_cast<std::uint64_t>(more_pages * 4096);
    CHILD_REQUIRE(resize_small_disk(temp / "disk", room));
    const std::string word = outcome(store->backup(temp / "disk/copy", compact));
    CHILD_REQUIRE(word == "disk_full" || (word == "ok" && more_pages >= 0));
    if (word == "ok") fs::remove(temp / "disk/copy");
    CHILD_REQUIRE(only_holds(temp / "disk", {}));
  }
  CHILD_REQUIRE(!store->info().value().failed);
  CHILD_EQUAL(outcome(store->put("more", "v")), "ok");
  CHILD_REQUIRE(resize_small_disk(temp / "disk", 32 * kMiB));
  CHILD_EQUAL(outcome(store->backup(temp / "disk/copy", compact)), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

int past_size_limit(const TempDir& temp, bool compact) {
  const StorePtr store = must_open(options_for(temp / "store", Durability::async));
  fill(*store, 500);
  must(store->sync());
  // What is buffered must be in LMDB by then: its file may not grow either.
  must(store->backup(temp / "before", compact));
  struct rlimit limit = {};
  CHILD_REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = kMiB;
  CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHILD_EQUAL(outcome(store->backup(temp / "copy", compact)), "file_too_large");
  limit.rlim_cur = limit.rlim_max;
  CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  CHILD_REQUIRE(only_holds(temp.path(), {"before", "store"}));
  CHILD_EQUAL(outcome(store->backup(temp / "copy", compact)), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

/// The store's own disk has no room for what has to be applied first.
int from_full_disk(const TempDir& temp, Durability mode) {
  fs::create_directory(temp / "disk");
  fs::create_directory(temp / "copies");
  if (!mount_small_disk(temp / "disk", 8 * kMiB)) return kSkipped;
  Options options = options_for(temp / "disk/store", mode);
  const StorePtr store = must_open(options);
  fill(*store, 1000);
  take_all_room(temp / "disk/ballast");
  CHILD_EQUAL(outcome(store->backup(temp / "copies/copy", false)), "disk_full");
  CHILD_EQUAL(outcome(store->backup(temp / "copies/copy", true)), "disk_full");
  CHILD_REQUIRE(only_holds(temp / "copies", {}));
  CHILD_REQUIRE(count_keys(*store) == 1000);
  CHILD_REQUIRE(resize_small_disk(temp / "disk", 32 * kMiB));
  // Nothing is held any more: what could not be applied is tried again by itself.
  for (int i = 0; i < 100 && store->info().value().apply_stalled; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  CHILD_EQUAL(outcome(store->backup(temp / "copies/copy", false)), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

}  // namespace

TEST_CASE("Where there is no room for the copy it is disk_full, and nothing is left of it") {
  for (const Durability mode : kAllModes) {
    for (const bool compact : {false, true}) {
      INFO(name_of(mode) << (compact ? ", compact" : ""));
      const TempDir temp;
      const std::string ended = run_child([&] {
        fs::create_directory(temp / "disk");
        if (!mount_small_disk(temp / "disk", kMiB)) return kSkipped;
        return onto_full_disk(temp, mode, compact);
      });
      require_done_or_skipped(ended, "no tmpfs can be mounted");
    }
  }
}

TEST_CASE("Past a limit on file sizes a copy is file_too_large and no signal is raised") {
  for (const bool compact : {false, true}) {
    const TempDir temp;
    CHECK(run_child([&] { return past_size_limit(temp, compact); }) == "exit 0");
  }
}

TEST_CASE("Where LMDB cannot take what is buffered, the reason is the answer") {
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp;
    const std::string ended = run_child([&] { return from_full_disk(temp, mode); });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("Whichever call fails, the copy fails, and the store does not") {
  for (const bool compact : {false, true}) {
    const TempDir temp;
    fs::create_directory(temp / "copies");
    const StorePtr store = must_open(options_for(temp / "store", Durability::async));
    fill(*store, 50);
    const std::string copy = temp / "copies/copy";
    constexpr std::uint32_t kCalls = faults::kAnyWrite | faults::kFsync | faults::kFdatasync;
    faults::arm({.directory = temp / "copies", .calls = kCalls});
    REQUIRE(outcome(store->backup(copy, compact)) == "ok");
    const std::uint64_t calls = faults::disarm();
    fs::remove(copy);
    CHECK(calls >= 5);
    for (const int error : {EIO, ENOSPC, 0}) {
      for (std::uint64_t at = 1; at <= calls; ++at) {
        INFO((compact ? "compact, " : "") << "call " << at << " of " << calls << ", " << error);
        faults::arm({.directory = temp / "copies", .calls = kCalls, .fail_at = at, .error = error});
        const std::string word = outcome(store->backup(copy, compact));
        const bool failed = faults::has_failed();
        faults::disarm();
        REQUIRE(failed);
        if (word == "ok") {
          // A write that was cut short goes on where it stopped.
          CHECK(error == 0);
          const std::string directory = directory_from(copy, temp / "started");
          const StorePtr started = must_open(options_for(directory, Durability::async));
          CHECK(contents_of(*started) == contents_of(*store));
          must(started->close());
          fs::remove_all(directory);
          fs::remove(copy);
        } else {
          CHECK(word == (error == ENOSPC ? "disk_full" : "io_error"));
        }
        CHECK(only_holds(temp / "copies", {}));
        CHECK(!store->info().value().failed);
      }
    }
    must(store->put("later", "1"));
    must(store->close());
  }
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
  CHECK(outcome(store->backup(temp / "copy", false)) == "env_failed");
  CHECK(only_holds(temp.path(), {"store"}));
  (void)store->close();
}

TEST_CASE("While a copy is being made, writes go on, and a second one is overloaded") {
  for (const Durability mode : kAllModes) {
    for (const bool compact : {false, true}) {
      INFO(name_of(mode) << (compact ? ", compact" : ""));
      const TempDir temp(memory_directory());
      Options options = options_for(temp / "store", mode);
      options.write_buffer_bytes = 64 << 10;
      const StorePtr store = must_open(options);
      // More than LMDB gathers before it writes anything.
      fill(*store, 600);
      BackupRequest request(temp / "copy", compact);
      faults::hold(faults::kWrite);
      must(store->submit(&request));
      faults::wait_for_held();
      CHECK(outcome(store->backup(temp / "second", compact)) == "overloaded");
      // A journal takes what comes meanwhile, and its buffers wait.
      if (mode != Durability::map_async) {
        const std::uint64_t applied = store->info().value().applied_buffers;
        for (int i = 0; store->info().value().buffer_bytes < options.write_buffer_bytes; ++i) {
          must(store->put("meanwhile " + std::to_string(i), std::string(1000, 'm')));
        }
        std::this_thread::sleep_for(kWatched);
        CHECK(store->info().value().applied_buffers == applied);
        CHECK(get(*store, "meanwhile 0").size() == 1000);
      }
      faults::release_held();
      CHECK(request.wait() == "ok");
      CHECK(outcome(store->close()) == "ok");
      CHECK(outcome(store->backup(temp / "second", compact)) == "closed");
      const StorePtr copy =
          must_open(options_for(directory_from(temp / "copy", temp / "started"), mode));
      CHECK(count_keys(*copy) == 600);
      must(copy->close());
      CHECK(only_holds(temp.path(), {"copy", "started", "store"}));
    }
  }
}

// A stop waited for a backup: of a large store, longer than a supervisor waits for a stop.
TEST_CASE("A store that is closed ends the copy that is being made, and nothing is left of it") {
  for (const Durability mode : kAllModes) {
    for (const bool compact : {false, true}) {
      INFO(name_of(mode) << (compact ? ", compact" : ""));
      const TempDir temp(memory_directory());
      const StorePtr store = must_open(options_for(temp / "store", mode));
      fill(*store, 600);
      BackupRequest request(temp / "copy", compact);
      faults::hold(faults::kWrite);
      must(store->submit(&request));
      faults::wait_for_held();
      Gate closed;
      std::string closing;
      std::thread closer([&] {
        closing = outcome(store->close());
        closed.open();
      });
      // It waits for the one write, which nothing can end.
      CHECK(!closed.opens_within(kWatched));
      faults::release_held();
      CHECK(request.wait() == "closed");
      closed.wait();
      closer.join();
      CHECK(closing == "ok");
      CHECK(only_holds(temp.path(), {"store"}));
      const StorePtr again = must_open(options_for(temp / "store", mode));
      CHECK(count_keys(*again) == 600);
      CHECK(outcome(again->backup(temp / "copy", compact)) == "ok");
      must(again->close());
    }
  }
}
