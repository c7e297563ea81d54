// What waits for the journal's flushes, and what becomes of a flush that fails.
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "journal/journal_replay.h"
#include "support/child.h"
#include "support/faults.h"
#include "support/gate.h"
#include "support/journal.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

/// Nobody flushes but those who have to.
Options quiet(const TempDir& temp, Durability mode) {
  Options options = options_for(temp.path(), mode);
  options.sync_interval_ms = 24ULL * 60 * 60 * 1000;
  options.write_buffer_bytes = 1 << 20;
  return options;
}

constexpr std::uint32_t kFlushes = faults::kMsync | faults::kFdatasync;

/// Writes until a new segment, and with it a new buffer, was begun; how many.
std::uint64_t write_past_a_buffer(Store& store) {
  std::uint64_t written = 0;
  for (std::uint64_t bytes = 0; bytes <= store.info().value().journal_bytes; ++written) {
    bytes = store.info().value().journal_bytes;
    must(store.put(std::to_string(written), std::string(1000, 'v')));
  }
  return written;
}

}  // namespace

TEST_CASE("In sync a write becomes visible only when flushed") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::sync));
  must(store->put("key", "1"));
  faults::hold(faults::kFdatasync);
  Gate answered;
  std::string word;
  std::thread writer([&] {
    const std::vector<Op> ops{put_op("key", "2"), put_op("new", "2")};
    word = outcome(store->batch_write(ops));
    answered.open();
  });
  faults::wait_for_held();
  CHECK_FALSE(answered.opens_within(kWatched));
  CHECK(get(*store, "key") == "1");
  CHECK(get(*store, "new") == "nothing");
  CHECK(count_keys(*store) == 1);
  faults::release_held();
  writer.join();
  CHECK(word == "ok");
  CHECK(get(*store, "key") == "2");
  CHECK(count_keys(*store) == 2);
  must(store->close());
}

TEST_CASE("In async a write is answered and visible while a flush of the journal is under way") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::async));
  must(store->put("key", "1"));
  faults::hold(kFlushes);
  std::string synced;
  std::thread syncer([&] { synced = outcome(store->sync()); });
  faults::wait_for_held();
  CHECK(outcome(store->put("key", "2")) == "ok");
  CHECK(get(*store, "key") == "2");
  faults::release_held();
  syncer.join();
  CHECK(synced == "ok");
  must(store->close());
}

TEST_CASE("No apply transaction begins before the journal is flushed through the buffer") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::async));
  // The journal is flushed by msync, LMDB by fdatasync: only the first is held.
  faults::hold(faults::kMsync);
  const std::uint64_t before = store->info().value().last_transaction_id;
  const std::uint64_t written = write_past_a_buffer(*store);
  faults::wait_for_held();
  std::this_thread::sleep_for(kWatched);
  CHECK(store->info().value().last_transaction_id == before);
  CHECK(store->info().value().applied_buffers == 0);
  CHECK(store->info().value().entries == 0);
  CHECK(count_keys(*store) == written);
  faults::release_held();
  must(store->close());
  const StorePtr again = must_open(quiet(temp, Durability::async));
  CHECK(again->info().value().replayed_records == 0);
  CHECK(again->info().value().entries == written);
  must(again->close());
}

TEST_CASE("A segment stays until LMDB has all of its buffer, durably") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::async));
  const Directory directory = open_directory(temp.path());
  must(store->put("first", "1"));
  const std::string first = journal_segments(directory).value().at(0);
  // Only LMDB's flush is held, not the journal's.
  faults::hold(faults::kFdatasync);
  write_past_a_buffer(*store);
  faults::wait_for_held();
  std::this_thread::sleep_for(kWatched);
  CHECK(directory.exists(first.c_str()));
  CHECK(store->info().value().applied_buffers == 0);
  faults::release_held();
  must(store->close());
  CHECK_FALSE(directory.exists(first.c_str()));
}

// The flush failed, the next start's had nothing left to say, and the file was called clean.
TEST_CASE(
    "A journaled mode first syncs a file left by map_async, and trusts it no more if that fails") {
  for (const Durability mode : kJournaled) {
    const TempDir temp(memory_directory());
    const pid_t child = start_child([&] {
      const StorePtr store = must_open(options_for(temp.path(), Durability::map_async));
      must(store->put("key", "value"));
      ::raise(SIGKILL);
      return 1;
    });
    REQUIRE(wait_for(child) == "signal 9");
    faults::arm(
        {.directory = temp.path(), .calls = faults::kFdatasync, .fail_at = 1, .error = EIO});
    const auto refused = Store::open(quiet(temp, mode));
    faults::disarm();
    CHECK(outcome(refused) == "io_error");
    CHECK(outcome(Store::open(quiet(temp, mode))) == "unclean_shutdown");
  }
}

TEST_CASE("A buffer whose journal cannot be flushed is not applied, and the store is poisoned") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::async));
  must(store->put("a", "1"));
  const std::uint64_t before = store->info().value().last_transaction_id;
  faults::arm(
      {.directory = temp.path(), .calls = kFlushes, .fail_at = 1, .for_ever = false, .error = EIO});
  // Too large for the buffer: it has to wait for what is in it.
  CHECK_FALSE(store->put("large", std::string(500'000, 'l')).ok());
  faults::disarm();
  CHECK(store->info().value().failed);
  CHECK(store->info().value().last_transaction_id == before);
  CHECK(outcome(store->put("b", "1")) == "env_failed");
  CHECK(get(*store, "a") == "1");
  CHECK(get(*store, "large") == "nothing");
  CHECK(outcome(store->close()) == "env_failed");
  const StorePtr again = must_open(quiet(temp, Durability::async));
  CHECK(get(*again, "a") == "1");
  CHECK(get(*again, "large") == "nothing");
  must(again->close());
}

// A put waited for a whole transaction of LMDB, however long that took.
TEST_CASE("A small write is held back for moments, however long LMDB is stuck") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::async));
  faults::hold(faults::kMsync);  // the checkpointer waits for the journal's flush
  std::uint64_t written = write_past_a_buffer(*store);
  faults::wait_for_held();
  // Past what may be written before the work has begun.
  const auto start = std::chrono::steady_clock::now();
  while (store->info().value().buffer_bytes < 13 * (1 << 20) / 10) {
    REQUIRE(outcome(store->put(std::to_string(written++), std::string(1000, 'v'))) == "ok");
  }
  CHECK(std::chrono::steady_clock::now() - start > std::chrono::milliseconds(50));
  CHECK(store->info().value().applied_buffers == 0);
  CHECK(count_keys(*store) == written);
  faults::release_held();
  must(store->close());
}

// A write that needed the one before to be applied waited until its file was removed, too.
TEST_CASE("Writers do not wait for the removal of a segment that LMDB has") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::async));
  must(store->put("a", "1"));
  faults::hold(faults::kFsync);  // of the directory
  // Too large for the buffer: what is in it has to be applied first.
  const std::string word = outcome(store->put("large", std::string(500'000, 'l')));
  faults::wait_for_held();
  CHECK(word == "ok");
  CHECK(store->info().value().entries == 2);
  faults::release_held();
  must(store->close());
}

TEST_CASE("A failed flush poisons the store") {
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    const StorePtr store = must_open(quiet(temp, mode));
    must(store->put("key", "value"));
    if (mode == Durability::async) must(store->put("key", "async"));
    const std::string kept = get(*store, "key");
    faults::arm({.directory = temp.path(), .calls = kFlushes, .fail_at = 1, .error = EIO});
    if (mode == Durability::sync) CHECK(outcome(store->put("key", "lost")) == "io_error");
    if (mode == Durability::async) CHECK(outcome(store->sync()) == "io_error");
    // Once is enough: what the kernel gave up it calls clean.
    CHECK(faults::disarm() == 1);
    CHECK(store->info().value().failed);
    CHECK(outcome(store->put("key", "more")) == "env_failed");
    CHECK(outcome(store->remove("key")) == "env_failed");
    CHECK(outcome(store->remove_prefix("")) == "env_failed");
    CHECK(outcome(store->reset()) == "env_failed");
    CHECK(outcome(store->sync()) == "env_failed");
    CHECK(get(*store, "key") == kept);
    CHECK(outcome(store->close()) == "env_failed");
    const StorePtr again = must_open(quiet(temp, mode));
    const std::string found = get(*again, "key");
    CHECK((found == kept || found == "lost"));
    CHECK(outcome(again->put("key", "again")) == "ok");
    must(again->close());
  }
}

TEST_CASE("A write that rests on one whose flush failed is not answered either") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(quiet(temp, Durability::sync));
  must(store->put("other", "1"));
  faults::hold(faults::kFdatasync);
  std::string words[3];
  std::thread first([&] { words[0] = outcome(store->put("key", "1")); });
  faults::wait_for_held();
  // Both wait in one group for the flush that is under way.
  std::thread second([&] {
    const std::vector<Op> ops{value_op("key", "1"), put_op("key", "2")};
    words[1] = outcome(store->batch_write(ops));
  });
  std::thread third([&] {
    const std::vector<Op> ops{absent_op("key"), put_op("key", "3")};
    words[2] = outcome(store->batch_write(ops));
  });
  faults::arm({.directory = temp.path(), .calls = faults::kFdatasync, .fail_at = 1, .error = EIO});
  faults::release_held();
  for (std::thread* thread : {&first, &second, &third}) thread->join();
  faults::disarm();
  CHECK(words[0] == "io_error");
  for (const std::string& word : {words[1], words[2]}) {
    CHECK((word == "io_error" || word == "env_failed"));
  }
  CHECK(get(*store, "key") == "nothing");
  CHECK(outcome(store->close()) == "env_failed");
}
