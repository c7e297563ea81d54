// A write transaction as a whole: all of it, or no trace in LMDB and in what is known of links.
#include "engine/batch_transaction.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "format/identity.h"
#include "format/record.h"
#include "support/ops.h"
#include "support/outcome.h"
#include "support/test_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

const auto no_more_pages = [](std::uint64_t) { return Result<void>(); };

/// An open store's environment and what is known of its links.
struct Rig {
  TempDir temp;
  EnvPtr env = must_open(temp.path(), kSynced);  // a mapped one would need its blocks set aside
  Links links{{}, 1, env->counts(), env->version()};

  /// One that has begun.
  std::unique_ptr<BatchTransaction> begin(bool checksum = false) {
    auto change = std::make_unique<BatchTransaction>(env.get(), &links, checksum);
    REQUIRE(change->begin().ok());
    return change;
  }

  std::string write(const std::vector<Op>& ops) {
    const auto change = begin();
    if (auto done = change->apply(ops, no_more_pages); !done) return outcome(done);
    return outcome(change->commit());
  }

  /// Everything in the file, the store's own record too.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    auto txn = ReadTxn::begin(env->get());
    auto cursor = Cursor::open(txn.value().get(), env->dbi());
    MDB_val key{};
    MDB_val value{};
    while (mdb_cursor_get(cursor.value().get(), &key, &value, MDB_NEXT) == 0) {
      all[std::string(to_view(key))] = to_view(value);
    }
    return all;
  }
  Identity stored() const {
    auto txn = ReadTxn::begin(env->get());
    return read_identity(txn.value().get(), env->dbi()).value();
  }
  Links::View view() {
    auto txn = ReadTxn::begin(env->get());
    MDB_txn* const snapshot = txn.value().get();
    return links.view(mdb_txn_id(snapshot));
  }
};

const std::vector<Op> kSome{put_op("a", "1"), link_op("a", "l"), link_op("a", "m"), group_op("g")};

}  // namespace

TEST_CASE("What is committed is there, and the counts of links with it") {
  Rig rig;
  REQUIRE(rig.write(kSome) == "ok");
  CHECK(rig.contents().size() == kSome.size() + 1);
  CHECK(rig.stored().counts.links == 2);
  CHECK(rig.stored().counts.link_generation == 1);
  CHECK(rig.links.count() == 2);
  CHECK(!rig.view().none);
  REQUIRE(rig.write({remove_op("l"), put_op("m", "over the link")}) == "ok");
  CHECK(rig.stored().counts.links == 0);
  CHECK(rig.stored().counts.link_generation == 2);
  CHECK(rig.view().none);
}

TEST_CASE("What the file says of links is as it was where none was changed") {
  Rig rig;
  REQUIRE(rig.write(kSome) == "ok");
  const auto before = rig.contents();
  REQUIRE(rig.write({put_op("b", "2"), remove_op("a"), remove_op("not there")}) == "ok");
  CHECK(rig.contents().at(std::string(kReservedKey)) == before.at(std::string(kReservedKey)));
  CHECK(rig.links.count() == 2);
}

TEST_CASE("A change that is not committed leaves no trace") {
  Rig rig;
  const bool some_before = GENERATE(false, true);
  CAPTURE(some_before);
  if (some_before) REQUIRE(rig.write(kSome) == "ok");
  const auto before = rig.contents();
  const auto count = rig.links.count();
  const bool none = rig.view().none;
  const std::vector<Op> ops{put_op("a", "other"), remove_op("l"), remove_op("m"),
                            link_op("x", "new")};
  for (const int way : {0, 1, 2, 3}) {
    CAPTURE(way);
    {
      const auto change = rig.begin();
      if (way == 1) REQUIRE(change->apply(ops, no_more_pages).ok());
      if (way == 2) REQUIRE(change->remove_prefix("", "", 100).ok());
      if (way == 3) REQUIRE(change->drop_all().ok());
      CHECK(rig.contents() == before);
    }
    CHECK(rig.contents() == before);
    CHECK(rig.links.count() == count);
    CHECK(rig.view().none == none);
  }
  // Nor is anything left for the next one.
  REQUIRE(rig.write({link_op("x", "y")}) == "ok");
  CHECK(rig.stored().counts.links == count + 1);
}

TEST_CASE("A change that was never begun, or is given up twice over, is nothing") {
  Rig rig;
  { BatchTransaction batch(rig.env.get(), &rig.links, false); }
  {
    const auto change = rig.begin();
    REQUIRE(change->commit().ok());
  }
  REQUIRE(rig.write(kSome) == "ok");
  CHECK(rig.stored().counts.links == 2);
}

TEST_CASE("An element that cannot be applied is the answer, and the rest is given up") {
  Rig rig;
  REQUIRE(rig.write({link_op("o", "o")}) == "ok");
  const auto before = rig.contents();
  const std::vector<Op> ops{put_op("a", "1"),
                            link_op("a", "l"),
                            {.kind = OpKind::put, .key = "o/x", .value = "2", .is_path = true}};
  CHECK(rig.write(ops) == "bad_key at 3");
  CHECK(rig.contents() == before);
  CHECK(rig.links.count() == 1);
}

TEST_CASE("Pages that are refused are the answer, and nothing is changed") {
  Rig rig;
  REQUIRE(rig.write({put_op("a", std::string(100'000, 'v'))}) == "ok");
  const auto before = rig.contents();
  {
    const auto change = rig.begin();
    std::uint64_t asked = 0;
    const std::vector<Op> ops{group_op("a"), link_op("a", "l")};
    const auto refuse = [&](std::uint64_t pages) -> Result<void> {
      asked = pages;
      return Error{.code = Code::disk_full, .operation = "test"};
    };
    CHECK(outcome(change->apply(ops, refuse)) == "disk_full");
    CHECK(asked * change->shape().page_bytes >= 100'000);
  }
  CHECK(rig.contents() == before);
  CHECK(rig.view().none);
}

TEST_CASE("Checks are evaluated in the transaction and change nothing") {
  Rig rig;
  REQUIRE(rig.write({put_op("a", "1")}) == "ok");
  const auto change = rig.begin();
  const auto checked = [&](const std::vector<Op>& ops) {
    return outcome(change->evaluate_checks(ops));
  };
  CHECK(checked({value_op("a", "1"), absent_op("b")}) == "ok");
  CHECK(checked({put_op("b", "2"), absent_op("b")}) == "check_failed at 2");
  CHECK(checked({absent_op("b"), value_op("a", "2")}) == "check_failed at 2");
  const std::vector<Op> ops{put_op("a", "2"), put_op("b", "2")};
  REQUIRE(change->apply(ops, no_more_pages).ok());
  CHECK(checked({value_op("a", "2"), value_op("b", "2")}) == "ok");
  REQUIRE(change->commit().ok());
  CHECK(rig.contents().size() == 3);
}

TEST_CASE("drop_all keeps what the store says of itself, and no links") {
  Rig rig;
  REQUIRE(rig.write(kSome) == "ok");
  const std::string id = rig.stored().store_id;
  const auto change = rig.begin();
  REQUIRE(change->drop_all().ok());
  REQUIRE(change->commit().ok());
  CHECK(rig.contents().size() == 1);
  CHECK(rig.stored().store_id == id);
  CHECK(rig.env->store_id() == id);
  CHECK(rig.stored().counts.links == 0);
  CHECK(rig.stored().counts.link_generation == 2);
  CHECK(rig.links.count() == 0);
  CHECK(rig.view().none);
}

TEST_CASE("A prefix is removed up to a number, the links in it counted, the own record kept") {
  Rig rig;
  REQUIRE(rig.write(kSome) == "ok");
  const auto remove = [&](std::string_view prefix, std::uint64_t most) {
    const auto change = rig.begin();
    const auto part = change->remove_prefix(prefix, "", most);
    REQUIRE(change->commit().ok());
    return part.value().records;
  };
  CHECK(remove("none", 10) == 0);
  CHECK(remove("l", 10) == 1);
  CHECK(rig.stored().counts.links == 1);
  CHECK(remove("", 2) == 2);
  CHECK(rig.contents().size() == 2);
  CHECK(remove("", 2) == 1);
  CHECK(rig.stored().counts.links == 0);
  CHECK(rig.stored().store_id == rig.env->store_id());
}

TEST_CASE("Records carry a checksum where it is asked for") {
  Rig rig;
  for (const bool checksum : {false, true}) {
    const auto change = rig.begin(checksum);
    const std::vector<Op> ops{put_op("a", "1")};
    REQUIRE(change->apply(ops, no_more_pages).ok());
    REQUIRE(change->commit().ok());
    CHECK(decode(rig.contents().at("a")).value().checksum == checksum);
  }
}

TEST_CASE("Links that are committed are known at the next opening") {
  Rig rig;
  REQUIRE(rig.write(kSome) == "ok");
  REQUIRE(closed(rig.env) == "ok");
  rig.env = must_open(rig.temp.path(), kSynced);
  CHECK(rig.env->counts().links == 2);
  CHECK(rig.env->counts().link_generation == 1);
}
