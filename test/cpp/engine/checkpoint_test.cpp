// A write buffer that goes into LMDB: whole, or so that it can be done again.
#include "engine/checkpoint.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <random>
#include <string>

#include "format/identity.h"
#include "hyper_lmdb/store.h"
#include "lmdb/txn.h"
#include "support/faults.h"
#include "support/test_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

using Contents = std::map<std::string, std::string>;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSeq = 100'000;
const RecordCounts kCounts{.links = 3, .marks = 4, .link_generation = 5};

/// An environment, a buffer to apply, and what is to come of it.
struct Rig {
  TempDir temp{memory_directory()};
  EnvPtr env = must_open(temp.path(), kAsync);
  WriteBuffer buffer{64 * kMiB, 1};
  Contents wanted;
  CheckpointJob job;
  bool again = false;  // the job under way has failed and goes on

  void put(const std::string& key, const std::string& record, std::uint64_t version) {
    REQUIRE(buffer.reserve(1, key.size() + record.size()));
    buffer.insert(key, version, {.record = record});
    wanted[key] = record;
  }
  void remove(const std::string& key, std::uint64_t version) {
    REQUIRE(buffer.reserve(1, key.size()));
    buffer.insert(key, version, {.removed = true});
    wanted.erase(key);
  }
  /// More pages than one transaction takes.
  void fill_much() {
    for (int i = 0; i < 6000; ++i) {
      put("key " + std::to_string(i), std::string(3000, static_cast<char>('a' + i % 26)), 1);
    }
  }
  std::string apply() {
    if (!again) job.begin(&buffer, kSeq, kCounts);
    const auto applied = write_checkpoint(env.get(), &job, [] {});
    again = !applied.ok();
    return outcome(applied);
  }
  /// Everything but what the store keeps about itself.
  Contents contents() const {
    Contents all;
    auto txn = ReadTxn::begin(env->get());
    auto cursor = Cursor::open(txn.value().get(), env->dbi());
    MDB_val key{};
    MDB_val value{};
    while (mdb_cursor_get(cursor.value().get(), &key, &value, MDB_NEXT) == 0) {
      if (to_view(key) != kReservedKey) all[std::string(to_view(key))] = to_view(value);
    }
    return all;
  }
  Identity stored() const {
    auto txn = ReadTxn::begin(env->get());
    return read_identity(txn.value().get(), env->dbi()).value();
  }
  std::uint64_t transactions() const {
    MDB_envinfo info;
    must(mdb_env_info(env->get(), &info), "info");
    return info.me_last_txnid;
  }
  void limit_map(std::uint64_t bytes) {
    must(mdb_env_set_mapsize(env->get(), bytes), "mdb_env_set_mapsize");
  }
  void check_applied() {
    CHECK((contents() == wanted));
    const Identity identity = stored();
    CHECK(identity.applied_seq == kSeq);
    CHECK(identity.applying_seq <= identity.applied_seq);
    CHECK(identity.store_id == env->store_id());
    CHECK(identity.counts.links == kCounts.links);
    CHECK(identity.counts.marks == kCounts.marks);
    CHECK(identity.counts.link_generation == kCounts.link_generation);
    CHECK(env->applied_seq() == kSeq);
    CHECK(env->counts().links == kCounts.links);
    CHECK(job.committed == buffer.keys());
  }
  /// As at the next opening, which knows only what is in the file.
  void reopen() {
    again = false;  // what went before is forgotten
    REQUIRE(closed(env) == "ok");
    env = must_open(temp.path(), kAsync);
  }
};

}  // namespace

TEST_CASE("Of each key the last outcome is in the tree, over what was there") {
  Rig rig;
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    const std::string key = std::to_string(random() % 400);
    test::put(*rig.env, key, "tree");
    rig.wanted[key] = "tree";
  }
  for (std::uint64_t version = 1; version <= 2000; ++version) {
    const std::string key = std::to_string(random() % 500);
    if (random() % 3 == 0) {
      rig.remove(key, version);
    } else {
      rig.put(key, std::string(random() % 20 == 0 ? 9000 : random() % 50, 'v'), version);
    }
  }
  const std::uint64_t before = rig.transactions();
  REQUIRE(rig.apply() == "ok");
  CHECK(rig.transactions() == before + 1);
  rig.check_applied();
  REQUIRE(rig.apply() == "ok");
  rig.check_applied();
  rig.reopen();
  CHECK((rig.contents() == rig.wanted));
  CHECK(rig.env->applied_seq() == kSeq);
  CHECK(rig.env->counts().marks == kCounts.marks);
}

TEST_CASE("A buffer that nobody wrote to moves the number and the counts all the same") {
  Rig rig;
  test::put(*rig.env, "kept", "1");
  rig.wanted["kept"] = "1";
  REQUIRE(rig.apply() == "ok");
  rig.check_applied();
}

TEST_CASE("A large buffer takes several transactions of bounded size") {
  Rig rig;
  rig.fill_much();
  const std::uint64_t before = rig.transactions();
  REQUIRE(rig.apply() == "ok");
  CHECK(rig.transactions() >= before + 2);
  CHECK(rig.transactions() <= before + 4);
  rig.check_applied();
}

TEST_CASE("applied_seq moves only in the last transaction of a buffer") {
  Rig rig;
  test::put(*rig.env, "key 17", "before");
  rig.fill_much();
  const std::uint64_t before = rig.transactions();
  // Room for the first transaction only.
  rig.limit_map(22 * kMiB);
  for (int again = 0; again < 2; ++again) {
    REQUIRE(rig.apply() == "map_full");
    CHECK(rig.transactions() > before);
    const Identity half = rig.stored();
    CHECK(half.applied_seq == 0);
    CHECK(half.applying_seq == kSeq);
    CHECK(half.counts.links == 0);
    CHECK(rig.env->applied_seq() == 0);
    CHECK(rig.env->counts().links == 0);
    CHECK(rig.job.committed > 0);
    CHECK(rig.job.committed < rig.buffer.keys());
    CHECK(rig.contents().size() > 1);
    CHECK(rig.contents().size() < rig.wanted.size());
  }
  // Who opens the file now is told so.
  rig.reopen();
  CHECK(rig.env->applied_seq() == 0);
  CHECK(rig.env->applying_seq() == kSeq);
  REQUIRE(rig.apply() == "ok");
  rig.check_applied();
  CHECK(rig.env->applying_seq() == 0);
  rig.reopen();
  CHECK(rig.env->applying_seq() <= rig.env->applied_seq());
}

TEST_CASE("Whichever call finds no room, nothing is lost, and the next try does it") {
  // What was refused once is tried again at once, in smaller transactions.
  const bool for_ever = GENERATE(true, false);
  std::uint64_t calls = 0;
  {
    Rig rig;
    rig.fill_much();
    faults::arm({.directory = rig.temp.path(), .calls = faults::kAnyWrite});
    REQUIRE(rig.apply() == "ok");
    calls = faults::disarm();
  }
  REQUIRE(calls > 20);
  for (const bool reopened : {false, true}) {
    // In each of four transactions, but not at its last call: that is of the new root, and after it
    // LMDB gives up.
    for (const std::uint64_t fail_at :
         {std::uint64_t{1}, calls * 3 / 8, calls * 5 / 8, calls - 1}) {
      CAPTURE(for_ever, reopened, fail_at, calls);
      Rig rig;
      rig.fill_much();
      faults::arm({.directory = rig.temp.path(),
                   .calls = faults::kAnyWrite,
                   .fail_at = fail_at,
                   .for_ever = for_ever,
                   .error = ENOSPC});
      const std::string word = rig.apply();
      REQUIRE(faults::has_failed());
      faults::disarm();
      REQUIRE(word == (for_ever ? "disk_full" : "ok"));
      if (for_ever) CHECK(rig.stored().applied_seq == 0);
      if (for_ever) CHECK(rig.env->applied_seq() == 0);
      if (reopened) rig.reopen();
      REQUIRE(rig.apply() == "ok");
      rig.check_applied();
    }
  }
}

TEST_CASE("A reader of before sees nothing of it while it is applied") {
  Rig rig;
  test::put(*rig.env, "key 1", "before");
  rig.fill_much();
  auto txn = ReadTxn::begin(rig.env->get());
  REQUIRE(rig.apply() == "ok");
  MDB_val key = to_val("key 1");
  MDB_val found{};
  REQUIRE(mdb_get(txn.value().get(), rig.env->dbi(), &key, &found) == 0);
  CHECK(to_view(found) == "before");
}
