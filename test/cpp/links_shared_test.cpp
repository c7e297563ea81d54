// Links of a store that several processes share: each learns what the others commit.
#include <catch2/catch.hpp>

#include "support/links_process.h"
#include "support/outcome.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

/// A store in which every process finds who it is.
struct SharedStore {
  SharedStore() { env.put(kReservedKey, identity_with({})); }
  RawEnv env;
};

}  // namespace

TEST_CASE("A view learns what another process has committed") {
  const SharedStore store;
  Process one(store.env, true);
  Process other(store.env, true);
  one.remember("a", "a");
  other.write(true, [] {});
  CHECK(one.view().none);
  CHECK(one.recall("a") == "a");
  other.change("a", 1);
  CHECK(!one.view().none);
  CHECK(one.links.count() == 1);
  CHECK(one.recall("a") == "(miss)");
  one.change("a", -1);
  CHECK(other.view().none);
  CHECK(other.links.count() == 0);
}

TEST_CASE("What lies below a directory is not known once another process has committed") {
  const SharedStore store;
  Process one(store.env, true);
  Process other(store.env, true);
  one.change("l", 1);
  one.remember("l/a", "t/a");
  PathCache& cache = one.links.cache();
  cache.looked_below(cache.key_of("l/a"), one.version(), kNow, true);
  const auto bare = [&] {
    PathCache::Resolution found;
    REQUIRE(cache.find(cache.key_of("l/a"), one.version(), kNow, &found, nullptr));
    return found.below == PathCache::Below::nothing;
  };
  CHECK(bare());
  (void)one.view();
  CHECK(bare());
  other.write(true, [&] { other.links.appears("l/a/x"); });
  (void)one.view();
  CHECK(!bare());
}

TEST_CASE("A writer begins with what is in the file") {
  const SharedStore store;
  Process one(store.env, true);
  Process other(store.env, true);
  other.change("a", 1);
  other.change("b", 1);
  one.remember("a", "stale");
  one.write(true, [&] {
    CHECK(one.links.may_exist());
    CHECK(one.links.to_store().links == 2);
    CHECK(one.links.to_store().link_generation == 2);
    CHECK(one.recall("a") == "(miss)");
    one.links.change("c", 1);
  });
  CHECK(other.view().version == other.version());
  CHECK(other.links.count() == 3);
  CHECK(one.links.count() == 3);
}

TEST_CASE("What was given up is not held against later commits") {
  const SharedStore store;
  Process one(store.env, true);
  Process other(store.env, true);
  one.change("a", 1, false);
  CHECK(one.links.count() == 0);
  CHECK(one.stored().links == 0);
  other.write(true, [] {});
  CHECK(one.view().none);
  other.change("b", 1);
  one.change("b", -1, false);
  CHECK(!one.view().none);
  CHECK(one.links.count() == 1);
}

TEST_CASE("A shared store without its identity is an error, and no guess") {
  const RawEnv env;
  env.put("a", "1");
  Process process(env, true);
  env.put("b", "2");
  auto read = ReadTxn::begin(env.get());
  CHECK(outcome(process.view_of(read.value())) == "unknown_format");
  auto write = WriteTxn::begin(env.get());
  CHECK(outcome(process.links.begin_shared(write.value().get(), env.dbi())) == "unknown_format");
}
