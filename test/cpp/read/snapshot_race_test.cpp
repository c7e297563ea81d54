// Readers through snapshots beside writers, expiry, owners that let go and a close: for
// ThreadSanitizer, and for the answers.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/outcome.h"
#include "support/test_store.h"

namespace hyper_lmdb {
namespace {

using test::outcome;

constexpr int kKeys = 50;

/// Writes all keys with one number, again and again: a mixture of numbers is no moment.
void write_until(Store& store, const std::atomic<bool>& done) {
  const std::string filler(500, 'f');
  for (int n = 0; !done; ++n) {
    const std::string value = std::to_string(n) + filler;
    std::vector<std::string> keys;
    std::vector<Op> ops;
    for (int k = 0; k < kKeys; ++k) keys.push_back(std::to_string(100 + k));
    for (const std::string& key : keys) {
      ops.push_back({.kind = OpKind::put, .key = key, .value = value});
    }
    if (!store.batch_write(ops)) return;
  }
}

struct Shared {
  std::mutex mutex;
  std::shared_ptr<Snapshot> snapshot;  // guarded by mutex

  std::shared_ptr<Snapshot> get() {
    const std::lock_guard lock(mutex);
    return snapshot;
  }
  void set(std::shared_ptr<Snapshot> next) {
    const std::lock_guard lock(mutex);
    snapshot.swap(next);
  }
};

/// One look, whole and of one moment, or an end.
void look(const Snapshot& snapshot, std::atomic<int>* wrong, std::atomic<int>* whole) {
  std::string first;
  int count = 0;
  bool mixed = false;
  const auto seen = snapshot.range({}, [&](std::string_view, std::string_view value) {
    if (count++ == 0) first = value;
    mixed = mixed || value != first;
    return true;
  });
  if (seen) {
    if (count != kKeys || mixed) ++*wrong;
    ++*whole;
    const auto found = snapshot.exists("100", {.may_wait = false});
    if (found ? !found.value() : outcome(found) == "internal") ++*wrong;
    return;
  }
  const std::string word = outcome(seen);
  if (word != "snapshot_expired" && word != "closed") ++*wrong;
}

TEST_CASE("Readers through snapshots, writers, expiry, releases and a close do not meet") {
  for (const Durability durability : {Durability::async, Durability::map_async}) {
    CAPTURE(test::name_of(durability));
    const test::TempDir directory;
    Options options = test::options_for(directory.path(), durability);
    options.write_buffer_bytes = 256 << 10;
    options.max_snapshot_age_ms = 20;
    auto store = test::must_open(options);
    std::atomic<bool> done{false};
    std::atomic<int> wrong{0};
    std::atomic<int> whole{0};
    std::atomic<bool> writer_done{false};
    std::thread writer([&] { write_until(*store, writer_done); });
    while (test::count_keys(*store) == 0) std::this_thread::yield();

    Shared shared;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        while (!done) {
          if (const auto snapshot = shared.get()) look(*snapshot, &wrong, &whole);
        }
      });
    }
    threads.emplace_back([&] {  // takes new ones; every third lives until it expires
      for (int n = 0; !done; ++n) {
        auto taken = store->snapshot();
        if (!taken) continue;
        const auto snapshot = std::move(taken).value();
        shared.set(snapshot);
        look(*snapshot, &wrong, &whole);
        if (n % 3 == 0) {
          while (!done && snapshot->exists("100")) std::this_thread::yield();
        } else if (n % 3 == 1) {
          snapshot->release();
        }
      }
    });
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
    while (std::chrono::steady_clock::now() < until) {
      test::must(store->info());
      std::this_thread::yield();
    }
    test::must(store->close());
    done = true;
    writer_done = true;
    for (std::thread& thread : threads) thread.join();
    writer.join();
    CHECK(wrong == 0);
    CHECK(whole > 3);
    CHECK(outcome(shared.get()->exists("100")) != "ok");
  }
}

}  // namespace
}  // namespace hyper_lmdb
