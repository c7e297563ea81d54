#include "read/read_pool.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/child.h"
#include "support/gate.h"
#include "support/outcome.h"
#include "support/raw_env.h"

using namespace hyper_lmdb;
using test::Gate;
using test::outcome;
using test::RawEnv;

namespace {

const BufferSet kNoBuffers;

/// All the leases a pool has, and what the next one is answered.
struct Exhausted {
  std::vector<ReadPool::Lease> leases;
  std::string last;

  explicit Exhausted(ReadPool& pool) {
    for (std::size_t i = 0; i < pool.size(); ++i) {
      auto lease = pool.lease(ReadPool::For::call, 1);
      if (!lease) {
        last = outcome(lease);
        return;
      }
      leases.push_back(std::move(lease).value());
    }
    last = outcome(pool.lease(ReadPool::For::call, 1));
  }
};

}  // namespace

TEST_CASE("The pool leaves reader slots to others, and is never empty") {
  const RawEnv env;
  for (unsigned slots = 1; slots < 200; ++slots) {
    const ReadPool pool(env.get(), slots, &kNoBuffers);
    INFO(slots << " slots, pool of " << pool.size());
    CHECK(pool.size() >= 1);
    CHECK(pool.size() <= slots);
    if (slots > 1) CHECK(pool.size() < slots);
  }
  CHECK(ReadPool(env.get(), 126, &kNoBuffers).size() == 118);
}

TEST_CASE("A lease sees one moment, the next one sees what came in between") {
  const RawEnv env;
  env.put("key", "old");
  ReadPool pool(env.get(), 8, &kNoBuffers);
  {
    auto lease = pool.lease();
    REQUIRE(outcome(lease) == "ok");
    env.put("key", "new");
    CHECK(env.get(lease.value().txn(), "key") == "old");
  }
  auto lease = pool.lease();
  REQUIRE(outcome(lease) == "ok");
  CHECK(env.get(lease.value().txn(), "key") == "new");
  { const ReadPool::Lease moved = std::move(lease).value(); }
  pool.close();
}

TEST_CASE("Every lease is taken once; past the last it is busy, and recovers") {
  for (const unsigned slots : {2U, 3U, 4U, 8U, 20U}) {
    INFO(slots << " reader slots");
    const RawEnv env({.readers = slots});
    ReadPool pool(env.get(), slots, &kNoBuffers);
    for (int round = 0; round < 3; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      const Exhausted all(pool);
      CHECK(all.leases.size() == pool.size());
      CHECK(all.last == "busy");
      CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(1));
      CHECK(outcome(pool.lease(ReadPool::For::call, 0)) == "busy");
    }
    CHECK(outcome(pool.lease()) == "ok");
    CHECK(env.info().me_numreaders <= pool.size());
    pool.close();
  }
}

TEST_CASE("A waiting reader gets the lease that is given back") {
  const RawEnv env({.readers = 2});
  ReadPool pool(env.get(), 2, &kNoBuffers);
  REQUIRE(pool.size() == 1);
  std::atomic<bool> done{false};
  std::thread holder([&] {
    while (!done) {
      auto lease = pool.lease();
      std::this_thread::yield();
    }
  });
  int taken = 0;
  while (taken < 100) taken += pool.lease().ok() ? 1 : 0;  // each waits for as long as it takes
  done = true;
  holder.join();
  CHECK(taken == 100);
  pool.close();
}

TEST_CASE("A moved lease is given back once") {
  const RawEnv env({.readers = 2});
  ReadPool pool(env.get(), 2, &kNoBuffers);
  std::optional<ReadPool::Lease> kept;
  {
    auto lease = pool.lease();
    REQUIRE(outcome(lease) == "ok");
    kept.emplace(std::move(lease).value());
  }
  CHECK(outcome(pool.lease(ReadPool::For::call, 0)) == "busy");
  kept.reset();
  CHECK(outcome(pool.lease()) == "ok");
  pool.close();
}

TEST_CASE("A lease may end on another thread than it began on") {
  const RawEnv env({.readers = 2});
  env.put("key", "value");
  ReadPool pool(env.get(), 2, &kNoBuffers);
  for (int i = 0; i < 100; ++i) {
    auto lease = pool.lease();
    REQUIRE(outcome(lease) == "ok");
    std::string found;
    std::thread([&, taken = std::move(lease).value()] {
      found = env.get(taken.txn(), "key").value_or("nothing");
    }).join();
    REQUIRE(found == "value");
  }
  CHECK(outcome(pool.lease()) == "ok");
  pool.close();
}

TEST_CASE("Threads that share few slots read whole transactions") {
  const RawEnv env({.readers = 6});
  ReadPool pool(env.get(), 6, &kNoBuffers);
  env.put("left", "0");
  env.put("right", "0");
  std::atomic<bool> done{false};
  std::atomic<int> torn{0}, reads{0}, refused{0}, odd{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] {
      std::string last = "0";
      while (!done) {
        auto lease = pool.lease(ReadPool::For::call, 0);
        if (!lease) {
          ++(outcome(lease) == "busy" ? refused : odd);
          continue;
        }
        const auto left = env.get(lease.value().txn(), "left").value_or("");
        const auto right = env.get(lease.value().txn(), "right").value_or("");
        if (left != right) ++torn;
        if (left.size() < last.size() || (left.size() == last.size() && left < last)) ++odd;
        last = left;
        ++reads;
      }
    });
  }
  int version = 0;
  while (reads < 5000 && odd == 0) {
    ++version;
    MDB_txn* const txn = env.begin();
    env.put(txn, "left", std::to_string(version));
    env.put(txn, "right", std::to_string(version));
    test::must(mdb_txn_commit(txn), "commit");
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(torn == 0);
  CHECK(odd == 0);
  pool.close();
}

TEST_CASE("Between leases nothing pins old pages") {
  const RawEnv env;
  ReadPool pool(env.get(), 8, &kNoBuffers);
  const std::string value(3000, 'v');
  const auto pages_after = [&](int writes) {
    for (int i = 0; i < writes; ++i) env.put("key", value);
    return env.info().me_last_pgno;
  };
  {
    auto lease = pool.lease();
    REQUIRE(outcome(lease) == "ok");
  }
  const auto settled = pages_after(20);
  CHECK(pages_after(200) == settled);
  // The control: a lease in use does pin them.
  auto lease = pool.lease();
  REQUIRE(outcome(lease) == "ok");
  CHECK(pages_after(200) > settled + 100);
  { const ReadPool::Lease gone = std::move(lease).value(); }
  pool.close();
}

TEST_CASE("Closing waits for the lease in use, and then there are none") {
  const RawEnv env;
  ReadPool pool(env.get(), 8, &kNoBuffers);
  Gate leased, let_go, closed;
  std::thread reader([&] {
    auto lease = pool.lease();
    leased.open();
    let_go.wait();
  });
  leased.wait();
  std::thread closer([&] {
    pool.close();
    closed.open();
  });
  CHECK_FALSE(closed.opens_within(test::kWatched));
  let_go.open();
  closed.wait();
  reader.join();
  closer.join();
  CHECK(outcome(pool.lease()) == "closed");
  pool.close();
  CHECK(outcome(pool.lease()) == "closed");
}

TEST_CASE("Slots of a process that died are taken back") {
  const test::TempDir temp;
  { const RawEnv created(temp.path(), {.readers = 4}); }
  // The other process holds every slot, is killed, and cannot clear up behind itself. It opens
  // first: LMDB sizes the table of slots by who creates the lock file.
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t other = test::start_child([&] {
    const RawEnv env(temp.path(), {.readers = 4});
    for (int i = 0; i < 4; ++i) env.begin(MDB_RDONLY);
    if (::write(ready[1], "y", 1) != 1) return 1;
    ::pause();
    return 0;
  });
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  ::close(ready[0]);
  ::close(ready[1]);

  MDB_env* env = nullptr;
  test::must(mdb_env_create(&env), "mdb_env_create");
  test::must(mdb_env_open(env, temp.path().c_str(), MDB_NOTLS, 0600), "mdb_env_open");
  {
    ReadPool pool(env, 4, &kNoBuffers);
    CHECK(outcome(pool.lease()) == "readers_full");
    // To find out takes system calls, which are not for a thread that may not wait.
    CHECK(outcome(pool.lease(ReadPool::For::call, 0)) == "work_limit");
    REQUIRE(::kill(other, SIGKILL) == 0);
    CHECK(test::wait_for(other) == "signal 9");
    CHECK(outcome(pool.lease()) == "ok");
    CHECK(Exhausted(pool).leases.size() == pool.size());
    pool.close();
  }
  mdb_env_close(env);
}
