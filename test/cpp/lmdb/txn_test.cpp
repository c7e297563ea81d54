#include "lmdb/txn.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "support/outcome.h"
#include "support/raw_env.h"

using namespace hyper_lmdb;
using test::outcome;
using test::RawEnv;

TEST_CASE("A write transaction leaves nothing unless it is committed") {
  const RawEnv env;
  {
    auto txn = WriteTxn::begin(env.get());
    REQUIRE(outcome(txn) == "ok");
    env.put(txn.value().get(), "key", "aborted");
  }
  CHECK_FALSE(env.get("key").has_value());
  {
    auto txn = WriteTxn::begin(env.get());
    REQUIRE(outcome(txn) == "ok");
    env.put(txn.value().get(), "key", "committed");
    CHECK(outcome(txn.value().commit()) == "ok");
  }
  CHECK(env.get("key") == "committed");
}

TEST_CASE("A write transaction can be moved and aborted before its scope ends") {
  const RawEnv env;
  auto txn = WriteTxn::begin(env.get());
  REQUIRE(outcome(txn) == "ok");
  WriteTxn moved = std::move(txn).value();
  env.put(moved.get(), "key", "value");
  moved.abort();
  moved.abort();
  // The write lock is free again: a second one on this thread would wait for ever.
  auto next = WriteTxn::begin(env.get());
  REQUIRE(outcome(next) == "ok");
  CHECK_FALSE(env.get(next.value().get(), "key").has_value());
}

TEST_CASE("Where LMDB refuses a transaction its reason is told") {
  const test::TempDir temp;
  { const RawEnv created(temp.path(), {}); }
  const RawEnv env(temp.path(), {.flags = MDB_RDONLY});
  const auto txn = WriteTxn::begin(env.get());
  CHECK(outcome(txn) == "permission_denied");
  CHECK(std::string(txn.error().operation) == "mdb_txn_begin");
}

TEST_CASE("A cursor ends before its transaction and leaves it usable") {
  const RawEnv env;
  auto txn = WriteTxn::begin(env.get());
  REQUIRE(outcome(txn) == "ok");
  {
    auto cursor = Cursor::open(txn.value().get(), env.dbi());
    REQUIRE(outcome(cursor) == "ok");
    const Cursor moved = std::move(cursor).value();
    MDB_val key = to_val("key");
    MDB_val value = to_val("value");
    CHECK(mdb_cursor_put(moved.get(), &key, &value, 0) == 0);
  }
  CHECK(outcome(txn.value().commit()) == "ok");
  CHECK(env.get("key") == "value");
}

TEST_CASE("Bytes go to LMDB and back as they are") {
  const std::string bytes("a\0b", 3);
  CHECK(to_view(to_val(bytes)) == bytes);
  CHECK(to_view(to_val({})).empty());
}
