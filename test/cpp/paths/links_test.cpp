// What a process knows of its store's links: never less than the truth, and nothing of what was
// given up.
#include "paths/links.h"

#include <catch2/catch.hpp>
#include <cstdint>

#include "support/links_process.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

TEST_CASE("There are no links until one is committed, and none again when the last one is gone") {
  const RawEnv env;
  Process process(env);
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
  Process process(env, {.links = 2, .link_generation = 5});
  CHECK(!process.view().none);
  CHECK(process.links.count() == 2);
  process.change("a", -1);
  CHECK(process.links.count() == 1);
  CHECK(process.stored().link_generation == 6);
}

TEST_CASE("A view from before the last link went is not told that there are none") {
  const RawEnv env;
  Process process(env);
  process.change("a", 1);
  const std::uint64_t earlier = process.version();
  process.change("a", -1);
  CHECK(!process.links.view(earlier).none);
  CHECK(process.view().none);
}

TEST_CASE("No view relies on there being no link once a link is about to be there") {
  const RawEnv env;
  Process process(env);
  process.write(true, [&] {
    process.links.change("a", 1);
    CHECK(!process.view().none);
  });
}

TEST_CASE("Each transaction that changes a link is a generation, however many it changes") {
  const RawEnv env;
  Process process(env);
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
  Process process(env);
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
  Process process(env);
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

TEST_CASE("drop_all takes the marks where there is no link, too") {
  const RawEnv env;
  Process process(env);
  process.write(true, [&] { process.links.change_mark(1); });
  CHECK(process.stored().marks == 1);
  process.write(true, [&] {
    process.links.drop_all();
    CHECK(process.links.counts_changed());
  });
  CHECK(process.stored().marks == 0);
  process.write(true, [] {});  // begins with what the process knows
  CHECK(process.stored().marks == 0);
  CHECK(process.stored().link_generation == 0);
}

TEST_CASE("Links made and dropped in one transaction were a change") {
  const RawEnv env;
  Process process(env);
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
  Process process(env);
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
  Process process(env);
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

TEST_CASE("What lies below a directory is known until a key appears there") {
  const RawEnv env;
  Process process(env, {.links = 1});
  const auto bare = [&] {
    PathCache& cache = process.links.cache();
    PathCache::Resolution found;
    REQUIRE(cache.find(cache.key_of("l/a"), process.version(), kNow, &found, nullptr));
    return found.below == PathCache::Below::nothing;
  };
  const auto look = [&] {
    process.remember("l/a", "t/a");
    PathCache& cache = process.links.cache();
    cache.looked_below(cache.key_of("l/a"), process.version(), kNow, true);
    return bare();
  };
  CHECK(look());
  process.write(true, [&] { process.links.appears("m/a/x"); });
  CHECK(bare());
  process.write(true, [&] { process.links.appears("l/a"); });  // not below it
  CHECK(bare());
  for (const char* key : {"l/a/x", "l/a/x/y", "l/a/"}) {
    CHECK(look());
    process.write(true, [&] { process.links.appears(key); });
    CHECK(!bare());
  }
  // Before it can be seen, and whether it is kept or not.
  CHECK(look());
  process.write(false, [&] {
    process.links.appears("l/a/x");
    CHECK(!bare());
  });
}

TEST_CASE("What appeared while there was no link is not known to have appeared") {
  const RawEnv env;
  Process process(env);
  PathCache& cache = process.links.cache();
  process.write(true, [&] { process.links.appears("l/x"); });
  const auto before = process.version();
  CHECK(!cache.may_have_appeared(cache.key_of("l"), before));
  process.change("l", 1);
  CHECK(cache.may_have_appeared(cache.key_of("l"), before));
  CHECK(!cache.may_have_appeared(cache.key_of("l"), process.version()));
}

TEST_CASE("A cache is used where it is on") {
  const RawEnv env;
  for (const std::uint64_t entries : {0, 1}) {
    Process process(env, {}, {.entries = entries});
    CHECK(process.view().use_cache == (entries != 0));
    process.write(true, [&] { CHECK(process.links.view_of_writer().use_cache == (entries != 0)); });
  }
}
