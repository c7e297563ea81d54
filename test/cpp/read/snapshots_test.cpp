// The ends of snapshots: by age, by memory, with the store; and how many there may be.
#include "read/snapshots.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/gate.h"
#include "support/outcome.h"
#include "support/raw_env.h"
#include "support/test_store.h"

namespace hyper_lmdb {
namespace {

using test::outcome;

std::atomic<std::uint64_t> the_time{0};
/// Of a thread that is held up when it has a place and looks at the clock a second time.
struct Held {
  test::Gate there, go_on;
};
thread_local Held* held = nullptr;
thread_local int looks = 0;

std::uint64_t test_clock() {
  if (held != nullptr && ++looks == 2) {
    held->there.open();
    held->go_on.wait();
  }
  return the_time.load();
}

constexpr std::uint64_t kAge = 1000;
constexpr std::uint64_t kBufferBytes = 1 << 20;
constexpr Snapshots::Limits kLimits{.age_ms = kAge, .bytes = 2 * kBufferBytes};

std::shared_ptr<WriteBuffer> full_buffer() {
  auto buffer = std::make_shared<WriteBuffer>(kBufferBytes, 1);
  const std::string value(1000, 'v');
  for (std::uint64_t i = 0; buffer->reserve(1, value.size() + 8); ++i) {
    buffer->insert(std::to_string(10'000'000 + i), i + 1, {.record = value});
  }
  return buffer;
}

struct Rig {
  test::RawEnv env;
  BufferSet buffers;
  ReadPool pool{env.get(), 126, &buffers};
  Snapshots snapshots{&pool, &buffers, kLimits, &test_clock};

  ~Rig() {
    snapshots.close();
    pool.close();
  }

  std::shared_ptr<OpenSnapshot> take() {
    auto open = snapshots.open();
    test::must(open);
    return open.value();
  }
  std::string read(const std::shared_ptr<OpenSnapshot>& snapshot) {
    return outcome(snapshots.lease(snapshot.get(), kNoLimit));
  }
  bool pinned(const BufferSet::Generation* state) const { return pool.pins(state); }
};

TEST_CASE("A snapshot ends with its age, whether anybody looks or not") {
  the_time = 5000;
  Rig rig;
  const auto looked_at = rig.take();
  the_time += kAge / 2;
  const auto younger = rig.take();
  CHECK(rig.snapshots.stats().count == 2);
  CHECK(rig.snapshots.stats().oldest_ms == kAge / 2);
  CHECK(rig.snapshots.due_in_ms() == kAge / 2);
  the_time += kAge / 2 - 1;
  rig.snapshots.enforce();
  CHECK(rig.read(looked_at) == "ok");
  the_time += 1;
  SECTION("by the next read") {
    CHECK(rig.read(looked_at) == "snapshot_expired");
  }
  SECTION("by whoever keeps the limits") {
    rig.snapshots.enforce();
    CHECK(rig.snapshots.stats().count == 1);
    CHECK(rig.read(looked_at) == "snapshot_expired");
  }
  CHECK(rig.read(younger) == "ok");
}

TEST_CASE("The oldest snapshots end while they keep too many buffers") {
  the_time = 0;
  Rig rig;
  rig.buffers.start(full_buffer(), nullptr, 1);
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  for (int i = 0; i < 4; ++i) {
    taken.push_back(rig.take());
    taken.push_back(rig.take());  // the same buffers: they count once
    rig.buffers.rotate(full_buffer());
    rig.buffers.drop_frozen();
    rig.snapshots.enforce();
  }
  // Two retired buffers are within the limit, a third is not.
  std::vector<std::string> words;
  for (const auto& snapshot : taken) words.push_back(rig.read(snapshot));
  const std::string gone = "snapshot_expired";
  CHECK(words == std::vector<std::string>{gone, gone, gone, gone, "ok", "ok", "ok", "ok"});
  rig.buffers.collect([&](const BufferSet::Generation* state) { return rig.pinned(state); });
  CHECK(rig.buffers.states() == 3);
}

TEST_CASE("Snapshots may keep as much memory as the limit says, and no byte more") {
  the_time = 0;
  const auto kept = full_buffer();
  for (const std::uint64_t missing : {0, 1}) {
    CAPTURE(missing);
    test::RawEnv env;
    BufferSet buffers;
    ReadPool pool(env.get(), 126, &buffers);
    Snapshots snapshots(&pool, &buffers, {.age_ms = kAge, .bytes = kept->bytes_used() - missing},
                        &test_clock);
    buffers.start(kept, nullptr, 1);
    {
      const auto opened = snapshots.open();
      REQUIRE(opened.ok());
      buffers.rotate(full_buffer());
      buffers.drop_frozen();
      snapshots.enforce();
      CHECK(outcome(snapshots.lease(opened.value().get(), kNoLimit)) ==
            (missing == 0 ? "ok" : "snapshot_expired"));
    }
    snapshots.close();
    pool.close();
  }
}

// At rest it looks again before one that is taken now is due: nobody has to wake it for that.
TEST_CASE(
    "Who keeps the limits has to look when the oldest is due, now and then, and not at once") {
  the_time = 5000;
  Rig rig;
  CHECK(rig.snapshots.due_in_ms() == kAge);
  for (const auto& [age, rarely] : {std::pair{1, 100}, {300'000, 30'000}}) {
    const auto age_ms = static_cast<std::uint64_t>(age);
    Snapshots others(&rig.pool, &rig.buffers, {.age_ms = age_ms, .bytes = 1}, &test_clock);
    CHECK(others.due_in_ms() == static_cast<std::uint64_t>(rarely));
  }
  const auto snapshot = rig.take();
  CHECK(rig.snapshots.due_in_ms() == kAge);
  for (const std::uint64_t passed : {kAge - 2, kAge - 1, kAge, kAge + 1, 5 * kAge}) {
    the_time = 5000 + passed;
    CHECK(rig.snapshots.due_in_ms() == (passed == kAge - 2 ? 2 : 1));
  }
  snapshot->end(OpenSnapshot::End::released);
  rig.snapshots.enforce();
  CHECK(rig.snapshots.due_in_ms() == kAge);
}

TEST_CASE("A read under way keeps its snapshot until it is over, whatever ends it") {
  the_time = 0;
  Rig rig;
  rig.buffers.start(full_buffer(), nullptr, 1);
  const BufferSet::Generation* const state = rig.buffers.published();
  const auto snapshot = rig.take();
  {
    auto lease = rig.snapshots.lease(snapshot.get(), kNoLimit);
    REQUIRE(lease.ok());
    SECTION("its owner") {
      snapshot->end(OpenSnapshot::End::released);
    }
    SECTION("its age") {
      the_time += kAge;
      rig.snapshots.enforce();
    }
    SECTION("the store") {
      rig.snapshots.close();
    }
    CHECK(snapshot->ended());
    CHECK(rig.pinned(state));
    CHECK(lease.value().view(1).active() != nullptr);
  }
  CHECK_FALSE(rig.pinned(state));
}

TEST_CASE("A second read waits for the first, or is refused where it may not wait") {
  Rig rig;
  const auto snapshot = rig.take();
  auto first = rig.snapshots.lease(snapshot.get(), kNoLimit);
  REQUIRE(first.ok());
  CHECK(outcome(rig.snapshots.lease(snapshot.get(), 0)) == "work_limit");
  CHECK(outcome(rig.snapshots.lease(snapshot.get(), 1)) == "work_limit");
}

TEST_CASE("Who waits for a turn is told that the snapshot has ended") {
  Rig rig;
  const auto snapshot = rig.take();
  auto first = rig.snapshots.lease(snapshot.get(), kNoLimit);
  REQUIRE(first.ok());
  std::string told;
  std::thread waiter([&] { told = rig.read(snapshot); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that it mostly waits by then
  snapshot->end(OpenSnapshot::End::released);
  waiter.join();  // the first read is still under way
  CHECK(told == "snapshot_expired");
}

TEST_CASE("Snapshots that are too old make room for others without anybody's help") {
  the_time = 0;
  Rig rig;
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  for (std::size_t i = 0; i < rig.pool.size() / 2; ++i) taken.push_back(rig.take());
  the_time += kAge;
  CHECK(outcome(rig.snapshots.open()) == "ok");
  CHECK(rig.snapshots.stats().count == 1);
}

TEST_CASE("Through a snapshot of long ago no call reads that may not wait") {
  const test::TempDir directory;
  auto store = test::must_open(test::options_for(directory.path(), Durability::async));
  test::must(store->put("hot", "first"));
  auto taken = store->snapshot();
  REQUIRE(taken.ok());
  const Effort no_wait{.may_wait = false};
  for (int i = 0; i < 1000; ++i) test::must(store->put("hot", "later"));
  CHECK(outcome(taken.value()->exists("hot", no_wait)) == "ok");
  test::must(store->put("hot", "later"));
  CHECK(outcome(taken.value()->exists("hot", no_wait)) == "work_limit");
  CHECK(outcome(taken.value()->exists("hot")) == "ok");
  CHECK(outcome(store->exists("hot", no_wait)) == "ok");
}

TEST_CASE("Half of the slots may have a snapshot; the others are for reads") {
  Rig rig;
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  for (std::size_t i = 0; i < rig.pool.size() / 2; ++i) taken.push_back(rig.take());
  CHECK(outcome(rig.snapshots.open()) == "busy");
  std::vector<ReadPool::Lease> leases;
  for (std::size_t i = taken.size(); i < rig.pool.size(); ++i) {
    auto lease = rig.pool.lease();
    REQUIRE(lease.ok());
    leases.push_back(std::move(lease).value());
  }
  leases.clear();
  taken.back()->end(OpenSnapshot::End::released);
  CHECK(outcome(rig.snapshots.open()) == "ok");
}

// Of those who waited whoever happened to ask first got the place, and each slept between two
// looks.
TEST_CASE("Snapshots: all places are taken -> first come, first served") {
  the_time = 0;
  Rig rig;
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  while (taken.size() < rig.pool.size() / 2) taken.push_back(rig.take());
  SnapshotTurn first, second, third;
  const auto ask = [&](SnapshotTurn& turn) {
    const auto opened = rig.snapshots.open(&turn, 0);
    if (opened) opened.value()->end(OpenSnapshot::End::released);
    return outcome(opened);
  };
  for (SnapshotTurn* turn : {&first, &second, &third, &first, &second}) CHECK(ask(*turn) == "busy");
  CHECK(first.ahead == 0);
  CHECK(second.ahead == 1);
  CHECK(third.ahead == 2);

  const auto free_one = [&] {
    taken.back()->end(OpenSnapshot::End::released);
    taken.pop_back();
  };
  free_one();
  SnapshotTurn late;
  CHECK(ask(late) == "busy");
  CHECK(late.ahead == 3);
  CHECK(outcome(rig.snapshots.open()) == "busy");
  CHECK(ask(second) == "busy");
  CHECK(ask(first) == "ok");  // and has ended: its place is the next one's
  CHECK(ask(third) == "busy");
  CHECK(ask(second) == "ok");
  // Two places: the first two.
  free_one();
  CHECK(ask(late) == "ok");
  CHECK(ask(third) == "ok");
}

TEST_CASE("Snapshots: who has not asked for a second -> nobody waits behind") {
  the_time = 0;
  Rig rig;
  Snapshots snapshots(&rig.pool, &rig.buffers, {.age_ms = 1'000'000, .bytes = 1}, &test_clock);
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  const auto take = [&] {
    auto opened = snapshots.open();
    test::must(opened);
    taken.push_back(opened.value());
  };
  while (taken.size() < rig.pool.size() / 2) take();
  SnapshotTurn gone, there;
  CHECK(outcome(snapshots.open(&gone, 0)) == "busy");
  CHECK(outcome(snapshots.open(&there, 0)) == "busy");
  taken.back()->end(OpenSnapshot::End::released);
  the_time = 999;
  CHECK(outcome(snapshots.open(&there, 0)) == "busy");
  the_time = 1000;
  CHECK(outcome(snapshots.open(&there, 0)) == "ok");
  CHECK(outcome(snapshots.open(&gone, 0)) == "busy");
  taken.front()->end(OpenSnapshot::End::released);
  CHECK(outcome(snapshots.open(&gone, 0)) == "ok");
  snapshots.close();
}

// Who gave up kept its turn for another second, so that with enough of them nobody was served.
TEST_CASE(
    "Snapshots: who gives up -> keeps nobody waiting, and numbers of another line do not count") {
  the_time = 0;
  Rig rig;
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  while (taken.size() < rig.pool.size() / 2) taken.push_back(rig.take());
  SnapshotTurn gone, there, foreign{.number = 500};
  CHECK(outcome(rig.snapshots.open(&gone, 0)) == "busy");
  CHECK(outcome(rig.snapshots.open(&foreign, 0)) == "busy");
  CHECK(outcome(rig.snapshots.open(&there, 0)) == "busy");
  CHECK(foreign.number == 2);
  CHECK(there.ahead == 2);
  rig.snapshots.leave(gone);
  rig.snapshots.leave(foreign);
  rig.snapshots.leave(foreign);
  taken.back()->end(OpenSnapshot::End::released);
  CHECK(outcome(rig.snapshots.open(&there, 0)) == "ok");
}

TEST_CASE("A snapshot that is being opened has its place") {
  Rig rig;
  std::vector<std::shared_ptr<OpenSnapshot>> taken;
  while (taken.size() + 1 < rig.pool.size() / 2) taken.push_back(rig.take());
  Held first;
  std::string word;
  std::thread other([&] {
    held = &first;
    word = outcome(rig.snapshots.open());
  });
  first.there.wait();
  CHECK(outcome(rig.snapshots.open()) == "busy");
  first.go_on.open();
  other.join();
  CHECK(word == "ok");
}

TEST_CASE("Once closed, snapshots are closed and no more are had") {
  Rig rig;
  const auto snapshot = rig.take();
  const auto released = rig.take();
  released->end(OpenSnapshot::End::released);
  rig.snapshots.close();
  CHECK(rig.read(snapshot) == "closed");
  CHECK(rig.read(released) == "snapshot_expired");
  CHECK(outcome(rig.snapshots.open()) == "closed");
}

TEST_CASE("A snapshot stays as it was while its store is written, applied, reset and closed") {
  for (const Durability durability : test::kAllModes) {
    CAPTURE(test::name_of(durability));
    const test::TempDir directory;
    Options options = test::options_for(directory.path(), durability);
    options.write_buffer_bytes = 256 << 10;
    auto store = test::must_open(options);
    for (int i = 0; i < 500; ++i) test::must(store->put(std::to_string(i), "before"));
    auto taken = store->snapshot();
    REQUIRE(taken.ok());
    const auto snapshot = std::move(taken).value();
    const auto befores = [&] {
      std::uint64_t count = 0;
      test::must(snapshot->range({}, [&](std::string_view, std::string_view value) {
        if (value == "before") ++count;
        return true;
      }));
      return count;
    };
    const std::string filler(1000, 'f');
    for (int i = 0; i < 1500; ++i) test::must(store->put(std::to_string(i), filler));
    CHECK(befores() == 500);
    test::must(store->reset());
    test::must(store->put("after", filler));
    CHECK(befores() == 500);
    CHECK(test::count_keys(*store) == 1);
    const auto info = store->info();
    REQUIRE(info.ok());
    CHECK(info.value().snapshots == 1);
    test::must(store->close());
    CHECK(outcome(snapshot->exists("1")) == "closed");
    CHECK(outcome(store->snapshot()) == "closed");
  }
}

}  // namespace
}  // namespace hyper_lmdb
