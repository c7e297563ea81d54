#include "write/flusher.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/faults.h"
#include "support/outcome.h"
#include "support/queued.h"
#include "support/raw_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
using namespace std::chrono_literals;

namespace {

constexpr auto kNever = std::chrono::milliseconds(24h);

Result<void> flush(const RawEnv& env) {
  if (mdb_env_sync(env.get(), 1) == 0) return {};
  return Error{.code = Code::io_error, .operation = "mdb_env_sync"};
}

/// A flusher that runs, on a map that is written to.
struct Rig {
  explicit Rig(std::chrono::milliseconds interval)
      : env({.map_bytes = 8 << 20, .flags = MDB_NOSYNC | MDB_WRITEMAP}),
        flusher([this] { return flush(env); }, interval, &failed,
                [this] {
                  ++rests;
                  rested.open();
                }) {
    must(flusher.start(posix_threads()) ? 0 : EINVAL, "start");
  }
  ~Rig() {
    faults::release_held();
    stop();
  }
  void stop() {
    if (!std::exchange(stopped, true)) flusher.stop(posix_threads());
  }
  void change() {
    env.put("key", std::to_string(++changes));
    flusher.mark_dirty();
  }

  RawEnv env;
  std::atomic<bool> failed{false};
  std::atomic<int> rests{0};
  Gate rested;
  Flusher flusher;
  int changes = 0;
  bool stopped = false;
};

struct SyncRequest : Numbered {
  SyncRequest() : Numbered(0, 0) { kind = Kind::sync; }
};

template <typename Condition>
bool comes_true(Condition&& condition) {
  for (const auto end = std::chrono::steady_clock::now() + 60s;
       std::chrono::steady_clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

faults::Plan failing_msync(bool for_ever) {
  return {
      .directory = "", .calls = faults::kMsync, .fail_at = 1, .for_ever = for_ever, .error = EIO};
}

}  // namespace

TEST_CASE("What was marked dirty is flushed within the interval, and an idle store is not") {
  Rig rig(1ms);
  CHECK_FALSE(rig.rested.opens_within(kWatched));
  CHECK(rig.flusher.flushes() == 0);
  rig.change();
  CHECK(comes_true([&] { return rig.flusher.flushes() == 1; }));
  rig.rested.wait();
  std::this_thread::sleep_for(kWatched);
  CHECK(rig.flusher.flushes() == 1);
  CHECK(rig.rests == 1);
}

TEST_CASE("A caller that asks is served at once, however long the interval") {
  Rig rig(kNever);
  for (int i = 1; i <= 3; ++i) {
    SyncRequest request;
    rig.change();
    REQUIRE(outcome(rig.flusher.request(&request)) == "ok");
    CHECK(request.wait() == "ok");
    CHECK(request.answers == 1);
    CHECK(rig.flusher.flushes() == static_cast<std::uint64_t>(i));
  }
}

TEST_CASE("A caller is answered by a flush that began after it asked, and callers share one") {
  Rig rig(1ms);
  faults::hold(faults::kMsync);
  rig.change();
  faults::wait_for_held();
  CHECK(rig.flusher.flushing());
  std::vector<std::unique_ptr<SyncRequest>> callers;
  for (int i = 0; i < 50; ++i) {
    callers.push_back(std::make_unique<SyncRequest>());
    REQUIRE(outcome(rig.flusher.request(callers.back().get())) == "ok");
  }
  CHECK_FALSE(callers[0]->answered.is_open());
  faults::release_held();
  for (const auto& caller : callers) {
    CHECK(caller->wait() == "ok");
    CHECK(caller->answers == 1);
  }
  CHECK(rig.flusher.flushes() == 2);
  CHECK(comes_true([&] { return !rig.flusher.flushing(); }));
}

TEST_CASE("A change made while a flush runs is flushed by the next one") {
  Rig rig(1ms);
  faults::hold(faults::kMsync);
  rig.change();
  faults::wait_for_held();
  rig.change();
  faults::release_held();
  CHECK(comes_true([&] { return rig.flusher.flushes() >= 2; }));
}

TEST_CASE("A flush that fails is told once, and no later one is believed") {
  Rig rig(kNever);
  faults::arm(failing_msync(false));
  SyncRequest first, second;
  REQUIRE(outcome(rig.flusher.request(&first)) == "ok");
  CHECK(first.wait() == "io_error");
  CHECK(rig.failed);
  REQUIRE(outcome(rig.flusher.request(&second)) == "ok");
  CHECK(second.wait() == "env_failed");
  CHECK(faults::disarm() == 1);
  CHECK(rig.flusher.flushes() == 0);
  CHECK_FALSE(rig.flusher.flushing());
}

TEST_CASE("A flush in the background that fails is remembered") {
  Rig rig(1ms);
  faults::arm(failing_msync(true));
  rig.change();
  CHECK(comes_true([&] { return rig.failed.load(); }));
  SyncRequest request;
  REQUIRE(outcome(rig.flusher.request(&request)) == "ok");
  CHECK(request.wait() == "env_failed");
  faults::disarm();
}

TEST_CASE("Stopping serves who waits, refuses who comes, and does not wait for the interval") {
  Rig rig(kNever);
  rig.change();
  faults::hold(faults::kMsync);
  SyncRequest running, waiting, late;
  REQUIRE(outcome(rig.flusher.request(&running)) == "ok");
  faults::wait_for_held();
  REQUIRE(outcome(rig.flusher.request(&waiting)) == "ok");
  Gate stopped;
  std::thread stopper([&] {
    rig.stop();
    stopped.open();
  });
  CHECK_FALSE(stopped.opens_within(kWatched));
  faults::release_held();
  stopper.join();
  CHECK(running.wait() == "ok");
  CHECK(waiting.wait() == "ok");
  CHECK(outcome(rig.flusher.request(&late)) == "closed");
  CHECK(late.answers == 0);
}

TEST_CASE("A thread that cannot be started is an error, and stopping is fine all the same") {
  const RawEnv env;
  std::atomic<bool> failed{false};
  Flusher flusher([&] { return flush(env); }, 1ms, &failed, [] {});
  ThreadApi broken = posix_threads();
  broken.start = [](const char*, void* (*)(void*), void*, void**) { return EAGAIN; };
  CHECK_FALSE(flusher.start(broken).ok());
  flusher.stop(broken);
}

TEST_CASE("Writers that mark and callers that ask never wait for ever") {
  Rig rig(1ms);
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j) {
        SyncRequest request;
        rig.flusher.mark_dirty();
        if (rig.flusher.request(&request) && request.wait() == "ok") ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(answered == 800);
  rig.rested.wait();
}
