// A disk that is full, and a limit on file sizes: an error before the write is acknowledged, never
// a signal, and everything that was acknowledged is there.
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/gate.h"
#include "support/small_disk.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

/// Puts values until the store answers otherwise; that answer.
std::string fill(Store& store, std::size_t value_size, int* count) {
  const std::string value(value_size, 'v');
  for (;; ++*count) {
    const std::string word = outcome(store.put(std::to_string(*count), value));
    if (word != "ok") return word;
  }
}

int fill_disk(const TempDir& temp, Durability mode, std::size_t value_size) {
  if (!mount_small_disk(temp.path(), 6 * kMiB)) return kSkipped;
  const std::string ballast = temp / "ballast";
  write_whole(ballast, std::string(kMiB, 'b'));
  const Options options = options_for(temp / "store", mode);
  StorePtr store = must_open(options);
  int count = 0;
  CHILD_EQUAL(fill(*store, value_size, &count), "disk_full");
  CHILD_REQUIRE(count > 0);
  CHILD_EQUAL(get(*store, std::to_string(count)), "nothing");
  for (int i = 0; i < count; ++i)
    CHILD_REQUIRE(get(*store, std::to_string(i)).size() == value_size);
  CHILD_REQUIRE(!store->info().value().failed);
  // Again and again: no attempt may cost anything.
  for (int i = 0; i < 5; ++i) {
    CHILD_EQUAL(outcome(store->put("more", std::string(2 * kMiB, 'm'))), "disk_full");
  }
  // Closed and opened with the disk full.
  CHILD_EQUAL(outcome(store->close()), "ok");
  store = must_open(options);
  for (int i = 0; i < count; ++i)
    CHILD_REQUIRE(get(*store, std::to_string(i)).size() == value_size);
  CHILD_EQUAL(outcome(store->put("more", std::string(2 * kMiB, 'm'))), "disk_full");
  for (int i = 0; i < count; ++i)
    CHILD_REQUIRE(get(*store, std::to_string(i)).size() == value_size);
  std::filesystem::remove(ballast);
  CHILD_EQUAL(outcome(store->put("small", "v")), "ok");
  const int before = count;
  CHILD_EQUAL(fill(*store, value_size, &count), "disk_full");
  CHILD_REQUIRE(count > before || value_size > kMiB / 2);
  CHILD_EQUAL(outcome(store->sync()), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

int remove_on_full_disk(const TempDir& temp, Durability mode) {
  if (!mount_small_disk(temp.path(), 4 * kMiB)) return kSkipped;
  const StorePtr store = must_open(options_for(temp / "store", mode));
  int count = 0;
  CHILD_EQUAL(fill(*store, 1000, &count), "disk_full");
  take_all_room(temp / "ballast");
  // What a removal needs is kept from the puts, so it works with not a block left.
  for (int i = 0; i < count; ++i) CHILD_EQUAL(outcome(store->remove(std::to_string(i))), "ok");
  CHILD_REQUIRE(!store->info().value().failed);
  // The pages are free now, though the disk is as full as it was.
  CHILD_EQUAL(outcome(store->put("again", "v")), "ok");
  CHILD_EQUAL(get(*store, "again"), "v");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

int many_readers_on_full_disk(const TempDir& temp, Durability mode) {
  if (!mount_small_disk(temp.path(), 4 * kMiB)) return kSkipped;
  const StorePtr store = must_open(options_for(temp / "store", mode));
  must(store->put("key", "value"));
  take_all_room(temp / "ballast");
  // More at once than ever before: their slots lie where the lock file was not written to yet.
  constexpr int kReaders = 110;
  Gate let_go;
  std::vector<std::thread> threads;
  std::atomic<int> reading{0}, refused{0};
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([&] {
      const auto found = store->get("key", [&](std::string_view) {
        if (++reading == kReaders) let_go.open();
        let_go.wait();
      });
      if (!found) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHILD_REQUIRE(refused == 0);
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

int fill_to_limit(const TempDir& temp, Durability mode) {
  const rlimit limit{8 * kMiB, 8 * kMiB};
  CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  Options options = options_for(temp.path(), mode);
  options.capacity.reset();
  const StorePtr store = must_open(options);
  int count = 0;
  const std::string word = fill(*store, 10'000, &count);
  // In map_async the map itself has to stay below the limit, and the capacity with it.
  CHILD_EQUAL(word, mode == Durability::map_async ? "map_full" : "file_too_large");
  CHILD_REQUIRE(count > 50);
  for (int i = 0; i < count; ++i) CHILD_REQUIRE(get(*store, std::to_string(i)).size() == 10'000);
  CHILD_REQUIRE(!store->info().value().failed);
  // As on a full disk: a journal keeps nothing back for removals.
  const auto done = [&](const std::string& answer) {
    return answer == "ok" || (mode != Durability::map_async && answer == "file_too_large");
  };
  for (const char* const key : {"0", "1"}) {
    const std::string answer = outcome(store->remove(key));
    CHILD_REQUIRE(done(answer));
    CHILD_REQUIRE((get(*store, key) == "nothing") == (answer == "ok"));
  }
  CHILD_REQUIRE(done(outcome(store->put("0", "v"))));
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

/// A buffer that is to be applied where LMDB finds no block.
int apply_on_full_disk(const TempDir& temp, Durability mode) {
  if (!mount_small_disk(temp.path(), 32 * kMiB)) return kSkipped;
  const Options options = options_for(temp / "store", mode);
  const StorePtr store = must_open(options);
  const std::string value(10'000, 'v');
  // More than is kept for removals, and nothing near what fits.
  constexpr int kCount = 220;
  for (int i = 0; i < kCount; ++i) must(store->put(std::to_string(i), value));
  take_all_room(temp / "ballast");
  // A write too large for the buffers has to wait for what is in them.
  const std::string large(17 * kMiB, 'l');
  const auto all_there = [&] {
    for (int i = 0; i < kCount; ++i) {
      if (get(*store, std::to_string(i)) != value) return false;
    }
    return count_keys(*store) == kCount;
  };
  for (int i = 0; i < 3; ++i) {
    CHILD_EQUAL(outcome(store->put("large", large)), "disk_full");
    CHILD_REQUIRE(store->info().value().apply_stalled);
    CHILD_REQUIRE(!store->info().value().failed);
    CHILD_REQUIRE(store->info().value().entries < kCount);  // LMDB may have a part
    CHILD_REQUIRE(all_there());
  }
  std::filesystem::remove(temp / "ballast");
  // It is tried again by itself.
  for (int i = 0; i < 600 && store->info().value().apply_stalled; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  CHILD_REQUIRE(!store->info().value().apply_stalled);
  CHILD_REQUIRE(store->info().value().entries == kCount);
  CHILD_REQUIRE(all_there());
  CHILD_EQUAL(outcome(store->put("more", "v")), "ok");
  CHILD_EQUAL(outcome(store->close()), "ok");
  return 0;
}

}  // namespace

TEST_CASE("If apply meets a full disk, buffers and journal stay and stay readable") {
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp;
    const std::string ended = run_child([&] { return apply_on_full_disk(temp, mode); });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("A disk that fills is disk_full, and costs nothing that was acknowledged") {
  for (const Durability mode : kAllModes) {
    for (const std::size_t value_size : {100, 3000, 700'000}) {
      INFO(name_of(mode) << ", values of " << value_size << " bytes");
      const TempDir temp;
      const std::string ended = run_child([&] { return fill_disk(temp, mode, value_size); });
      require_done_or_skipped(ended, "no tmpfs can be mounted");
    }
  }
}

TEST_CASE("On a full disk removals go on") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp;
    const std::string ended = run_child([&] { return remove_on_full_disk(temp, mode); });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("On a full disk more readers than ever before find their slots") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp;
    const std::string ended = run_child([&] { return many_readers_on_full_disk(temp, mode); });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("Past a limit on file sizes a write is refused and no signal is raised") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp;
    CHECK(run_child([&] { return fill_to_limit(temp, mode); }) == "exit 0");
  }
}
