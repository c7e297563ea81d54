// What a process knows of its store's links: never less than the truth, and nothing of what was
// given up.
#include "links.h"

#include <catch2/catch.hpp>
#include <string>

#include "support/outcome.h"
#include "support/raw_env.h"
#include "txn.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kNow = 1000;

std::string identity(const RecordCounts& counts) {
  return encode_identity({.store_id = std::string(32, '1'), .counts = counts});
}

/// A process with the store open: what it knows, and the transactions it makes.
struct Process {
  Process(const RawEnv& of, bool shared, const RecordCounts& counts = {},
          const PathCache::Limits& limits = {})
      : env(of), links(limits, 1, shared, counts, version()) {}

  std::uint64_t version() const {
    auto txn = ReadTxn::begin(env.get());
    return mdb_txn_id(txn.value().get());
  }
  Result<Links::View> view_of(const ReadTxn& txn) {
    return links.view(hyper_lmdb::View(txn.get(), env.dbi(), mdb_txn_id(txn.get())));
  }
  Links::View view() {
    auto txn = ReadTxn::begin(env.get());
    return view_of(txn.value()).value();
  }
  void begin(MDB_txn* txn) {
    if (!links.shared()) return links.begin(mdb_txn_id(txn));
    REQUIRE(links.begin_shared(txn, env.dbi()).ok());
  }
  /// One write transaction; `changes` is called once it has begun.
  template <typename Changes>
  void write(bool commit, Changes changes) {
    auto txn = WriteTxn::begin(env.get());
    begin(txn.value().get());
    changes();
    // Without a page that changes there is no transaction.
    env.put(txn.value().get(), "data", std::to_string(version()));
    env.put(txn.value().get(), kReservedKey, identity(links.to_store()));
    if (commit) REQUIRE(txn.value().commit().ok());
    links.end(commit);
  }
  void change(std::string_view key, int difference, bool commit = true) {
    write(commit, [&] { links.change(key, difference); });
  }
  RecordCounts stored() const {
    auto txn = ReadTxn::begin(env.get());
    return read_identity(txn.value().get(), env.dbi()).value().counts;
  }

  void remember(std::string_view path, std::string_view end) {
    PathCache::Resolution resolution;
    REQUIRE(resolution.end.assign(end));
    links.cache().insert(path, version(), kNow, resolution, {links.cache().slot_of(path)});
  }
  std::string recall(std::string_view path) {
    PathCache::Resolution found;
    const bool hit = links.cache().find(path, version(), kNow, &found, nullptr);
    return hit ? std::string(found.end.view()) : "(miss)";
  }

  const RawEnv& env;
  Links links;
};

/// A store in which every process finds who it is.
struct SharedStore {
  SharedStore() { env.put(kReservedKey, identity({})); }
  RawEnv env;
};

}  // namespace

TEST_CASE("There are no links until one is committed, and none again when the last one is gone") {
  const RawEnv env;
  Process process(env, false);
  CHECK(process.view().none);
  CHECK(process.links.count() == 0);
  process.change("a", 1);
  CHECK(!process.view().none);
  CHECK(process.links.count() == 1);
  process.change("b", 1);
  process.change("a", -1);
  CHECK(!process.view().none);
  process.change("b", -1);
  CHECK(process.view().none);
  CHECK(process.links.count() == 0);
}

TEST_CASE("A store that is opened with links has links") {
  const RawEnv env;
  Process process(env, false, {.links = 2, .link_generation = 5});
  CHECK(!process.view().none);
  CHECK(process.links.count() == 2);
  process.change("a", -1);
  CHECK(process.links.count() == 1);
  CHECK(process.stored().link_generation == 6);
}

TEST_CASE("A view from before the last link went is not told that there are none") {
  const RawEnv env;
  Process process(env, false);
  process.change("a", 1);
  auto earlier = ReadTxn::begin(env.get());
  process.change("a", -1);
  CHECK(!process.view_of(earlier.value()).value().none);
  CHECK(process.view().none);
}

TEST_CASE("No view relies on there being no link once a link is about to be there") {
  const RawEnv env;
  Process process(env, false);
  process.write(true, [&] {
    process.links.change("a", 1);
    CHECK(!process.view().none);
  });
}

TEST_CASE("Each transaction that changes a link is a generation, however many it changes") {
  const RawEnv env;
  Process process(env, false);
  process.write(true, [&] {
    process.links.change("a", 1);
    process.links.change("b", 1);
    process.links.change("a", 0);
  });
  CHECK(process.stored().links == 2);
  CHECK(process.stored().link_generation == 1);
  process.write(true, [] {});
  CHECK(process.stored().link_generation == 1);
  process.change("a", 0);
  CHECK(process.stored().links == 2);
  CHECK(process.stored().link_generation == 2);
}

TEST_CASE("What was given up leaves nothing") {
  const RawEnv env;
  Process process(env, false);
  process.change("a", 1, false);
  CHECK(process.view().none);
  CHECK(process.links.count() == 0);
  process.change("a", 1);
  process.change("a", -1, false);
  CHECK(!process.view().none);
  process.write(false, [&] { process.links.drop_all(); });
  CHECK(!process.view().none);
  CHECK(process.links.count() == 1);
  // The next transaction begins with what is in the file.
  process.write(true, [&] {
    CHECK(!process.links.counts_changed());
    CHECK(process.links.may_exist());
    CHECK(process.links.to_store().links == 1);
    CHECK(process.links.to_store().link_generation == 1);
  });
}

TEST_CASE("drop_all takes all links, and is no change where there are none") {
  const RawEnv env;
  Process process(env, false);
  process.write(true, [&] {
    process.links.drop_all();
    CHECK(!process.links.counts_changed());
  });
  CHECK(process.stored().link_generation == 0);
  process.change("a", 1);
  process.change("b", 1);
  process.remember("x", "y");
  process.write(true, [&] {
    process.links.drop_all();
    CHECK(process.links.counts_changed());
    CHECK(!process.links.may_exist());
  });
  CHECK(process.view().none);
  CHECK(process.stored().links == 0);
  CHECK(process.stored().link_generation == 3);
  CHECK(process.recall("x") == "(miss)");
}

TEST_CASE("Links made and dropped in one transaction were a change") {
  const RawEnv env;
  Process process(env, false);
  process.write(true, [&] {
    process.links.change("a", 1);
    process.links.drop_all();
    CHECK(process.links.counts_changed());
  });
  CHECK(process.view().none);
  CHECK(process.stored().links == 0);
  CHECK(process.stored().link_generation == 1);
}

TEST_CASE("A change ends what was remembered of its key") {
  const RawEnv env;
  Process process(env, false);
  for (const int difference : {1, 0, -1}) {
    process.remember("a", "b");
    process.remember("other", "o");
    CHECK(process.recall("a") == "b");
    process.change("a", difference);
    CHECK(process.recall("a") == "(miss)");
    CHECK(process.recall("other") == "o");
  }
}

TEST_CASE("The writer sees its own changes, and leaves the cache alone once it made one") {
  const RawEnv env;
  Process process(env, false);
  process.write(true, [&] {
    CHECK(process.links.view_of_writer().none);
    CHECK(process.links.view_of_writer().use_cache);
    CHECK(process.links.view_of_writer().version == process.version());
    process.links.change("a", 1);
    CHECK(!process.links.view_of_writer().none);
    CHECK(!process.links.view_of_writer().use_cache);
  });
  process.write(true, [&] {
    CHECK(!process.links.view_of_writer().none);
    CHECK(process.links.view_of_writer().use_cache);
    process.links.change("a", -1);
    CHECK(process.links.view_of_writer().none);
  });
}

TEST_CASE("A cache is used where it is on") {
  const RawEnv env;
  for (const std::uint64_t entries : {0, 1}) {
    Process process(env, false, {}, {.entries = entries});
    CHECK(process.view().use_cache == (entries != 0));
    process.write(true, [&] { CHECK(process.links.view_of_writer().use_cache == (entries != 0)); });
  }
}

TEST_CASE("A shared store: a view learns what another process has committed") {
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

TEST_CASE("A shared store: a writer begins with what is in the file") {
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

TEST_CASE("A shared store: what was given up is not held against later commits") {
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
