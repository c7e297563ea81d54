// A process that is killed while it writes: what it was told is there when the store is opened
// again, and batches are there whole.
#include <poll.h>

#include <catch2/catch.hpp>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr int kWriters = 4;
constexpr int kBatch = 5;

std::string key_of(int writer, int part) {
  return "writer " + std::to_string(writer) + " part " + std::to_string(part);
}

/// Says what it stands for, so that a torn or strange value is noticed; of many sizes.
std::string value_of(int writer, int sequence) {
  const std::string word = std::to_string(writer) + ":" + std::to_string(sequence) + ";";
  std::string value;
  const std::size_t size = sequence % 17 == 0 ? 9000 : 20 + sequence % 300;
  while (value.size() < size) value += word;
  return value;
}

/// The sequence number a value was written with; -1 where it is not one of ours.
int sequence_in(int writer, const std::string& value) {
  const auto colon = value.find(':');
  int sequence = -1;
  if (colon == std::string::npos) return -1;
  std::from_chars(value.data() + colon + 1, value.data() + value.size(), sequence);
  return value == value_of(writer, sequence) ? sequence : -1;
}

/// Each writer overwrites its own keys in batches and tells every acknowledged number.
int write_until_killed(const Options& options, int from, int acknowledged) {
  const StorePtr store = must_open(options);
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      std::vector<std::string> keys;
      for (int part = 0; part < kBatch; ++part) keys.push_back(key_of(writer, part));
      for (int sequence = from;; ++sequence) {
        const std::string value = value_of(writer, sequence);
        std::vector<Op> ops;
        for (const std::string& key : keys) ops.push_back(put_op(key, value));
        if (!store->batch_write(ops)) ::_exit(3);
        const int told[2] = {writer, sequence};
        if (::write(acknowledged, told, sizeof told) != sizeof told) ::_exit(4);
      }
    });
  }
  for (std::thread& thread : writers) thread.join();
  return 5;
}

/// Kills a writing child after so many acknowledgements; the last of each writer.
std::vector<int> kill_after(const Options& options, int from, int count) {
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  const pid_t child = start_child([&] { return write_until_killed(options, from, pipe_ends[1]); });
  ::close(pipe_ends[1]);
  std::vector<int> last(kWriters, -1);
  int told[2];
  for (int i = 0;; ++i) {
    if (i == count) REQUIRE(::kill(child, SIGKILL) == 0);
    // What was told before the kill counts too.
    if (::read(pipe_ends[0], told, sizeof told) != sizeof told) break;
    last[static_cast<std::size_t>(told[0])] = told[1];
  }
  ::close(pipe_ends[0]);
  CHECK(wait_for(child) == "signal 9");
  return last;
}

}  // namespace

TEST_CASE("Nothing that was acknowledged is lost with the process, and no batch is torn") {
  struct Way {
    Durability mode;
    std::uint64_t buffer_bytes;  // small: a kill often meets one that is being applied
  };
  for (const auto& [mode, buffer_bytes] :
       {Way{Durability::sync, 64 << 20}, Way{Durability::sync, 64 << 10},
        Way{Durability::async, 64 << 20}, Way{Durability::async, 64 << 10},
        Way{Durability::map_async, 64 << 20}}) {
    const TempDir temp;
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = buffer_bytes;
    std::mt19937_64 random(6);
    int from = 0;
    for (int round = 0; round < 8; ++round) {
      const int count = static_cast<int>(random() % (mode == Durability::sync ? 100 : 3000));
      INFO(name_of(mode) << ", buffers of " << buffer_bytes << ", round " << round
                         << ", killed after " << count);
      const std::vector<int> acknowledged = kill_after(options, from, count);
      const StorePtr store = must_open(options);
      for (int writer = 0; writer < kWriters; ++writer) {
        const std::string first = get(*store, key_of(writer, 0));
        const int found = first == "nothing" ? -1 : sequence_in(writer, first);
        CHECK(found >= acknowledged[static_cast<std::size_t>(writer)]);
        if (first != "nothing") CHECK(found >= 0);
        for (int part = 1; part < kBatch; ++part) {
          CHECK(get(*store, key_of(writer, part)) == first);
        }
        from = std::max(from, found + 1);
      }
      must(store->close());
    }
    CHECK(from > 0);
  }
}

// After a kill all journal files were removed: the start was ok, without what had been
// acknowledged.
TEST_CASE("A store that was killed misses its journal, one that was closed or emptied does not") {
  for (const Durability durability : kJournaled) {
    for (const bool killed : {true, false}) {
      INFO(name_of(durability) << (killed ? " killed" : " closed"));
      const TempDir temp;
      const Options options = options_for(temp.path(), durability);
      CHECK(run_child([&] {
              const StorePtr store = must_open(options);
              for (int i = 0; i < 300; ++i) must(store->put(std::to_string(i), "value"));
              if (!killed) must(store->close());
              ::_exit(0);
              return 1;
            }) == "exit 0");
      for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
        const std::string name = entry.path().filename();
        if (name.starts_with("journal-")) std::filesystem::remove(entry.path());
      }
      auto store = Store::open(options);
      CHECK(outcome(store) == (killed ? "journal_mismatch" : "ok"));
      if (store) must(store.value()->close());
    }
  }
}

TEST_CASE("A process killed while it opens or closes leaves a store that opens") {
  for (const Durability mode : kAllModes) {
    const TempDir temp(memory_directory());
    const Options options = options_for(temp / "store", mode);
    std::mt19937_64 random(7);
    for (int round = 0; round < 15; ++round) {
      int pipe_ends[2];
      REQUIRE(::pipe(pipe_ends) == 0);
      const pid_t child = start_child([&] {
        for (int i = 0;; ++i) {
          if (::write(pipe_ends[1], &i, 1) != 1) return 1;
          const StorePtr store = must_open(options);
          must(store->put("key", std::to_string(i)));
          must(store->close());
        }
      });
      ::close(pipe_ends[1]);
      char byte = 0;
      const int opens = static_cast<int>(1 + random() % 5);
      for (int i = 0; i < opens; ++i) REQUIRE(::read(pipe_ends[0], &byte, 1) == 1);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
      REQUIRE(::kill(child, SIGKILL) == 0);
      ::close(pipe_ends[0]);
      CHECK(wait_for(child) == "signal 9");
      const StorePtr store = must_open(options);
      CHECK(outcome(store->put("key", "value")) == "ok");
      must(store->close());
    }
  }
}
