// Where paths lead in a snapshot, what that costs and what goes wrong; with what was remembered of
// earlier look-ups and without.
#include "paths/path_view.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "engine/mapped_engine.h"
#include "format/identity.h"
#include "support/ops.h"
#include "support/path_rig.h"
#include "support/queued.h"
#include "support/test_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

TEST_CASE("Look-ups beyond those allowed end a call, and as many as it takes do not") {
  Records store{{"end/x", value_of("1")}};
  std::vector<std::string> names;
  for (int i = 0; i <= 20; ++i) names.push_back(i == 20 ? "end" : "l" + std::to_string(i));
  for (std::size_t i = 0; i < 20; ++i) store[names[i]] = link_to(names[i + 1]);
  Rig rig(store);
  const std::string expected = "end/x=" + encoded("end/x", value_of("1"));
  const auto needed = rig.lookups("l0/x", false);
  CHECK(needed > 20);
  CHECK(rig.located("l0/x", false, needed) == expected);
  for (std::uint64_t most = 0; most < needed; ++most) {
    CHECK(rig.located("l0/x", false, most) == "work_limit");
  }
  CHECK(rig.to_write("l0/y", false, 10) == "work_limit");
  CHECK(rig.to_write("l0/y", false, kPlenty) == "end/y");
  // With a cache too, until the way is known; a call that was ended leaves nothing wrong in it.
  CHECK(rig.located("l0/x", true, 10) == "work_limit");
  CHECK(rig.located("l0/x", true) == expected);
  CHECK(rig.located("l0/x", true, 2) == expected);
  CHECK(rig.lookups("l0/x", true) == 1);  // nothing lies below l0 itself
}

TEST_CASE("A value that appears where links led elsewhere wins at once, and costs what it must") {
  const Record value = value_of("1"), other = value_of("2"), none{};
  Rig rig(Records{{"l", link_to("t")}, {"t/a/x", value}, {"k", link_to("t/a/x")}});
  const std::string there = "t/a/x=" + encoded("t/a/x", value);
  const auto warm = [&] {
    for (int i = 0; i < 2; ++i) CHECK(rig.located("l/a/x", true) == there);
  };
  warm();
  CHECK(rig.lookups("l/a/x", true) == 1);
  CHECK(rig.to_write("l/a/x", true, 0) == "t/a/x");
  // Somewhere else, and over what is there: nothing to find out anew.
  rig.set("m/a/x", none, other);
  rig.set("t/a/x", value, value);
  CHECK(rig.lookups("l/a/x", true) == 1);
  // Beside the path: one look more. Then the path itself.
  rig.set("l/a/y", none, other);
  CHECK(rig.lookups("l/a/x", true) == 2);
  warm();
  rig.set("l/a/x", none, other);
  CHECK(rig.located("l/a/x", true) == "l/a/x=" + encoded("l/a/x", other));
  CHECK(rig.to_write("l/a/x", true) == "l/a/x");
  // A link is its own: known until it changes.
  for (int i = 0; i < 2; ++i) CHECK(rig.located("k", true) == there);
  CHECK(rig.lookups("k", true) == 1);
  rig.set("k", link_to("t/a/x"), other);
  CHECK(rig.located("k", true) == "k=" + encoded("k", other));
}

TEST_CASE("A mark below a directory is a key: a value over it wins as well") {
  const Record value = value_of("1"), none{};
  Rig rig(Records{{"l", link_to("t")}, {"t/x", value}});
  for (int i = 0; i < 2; ++i) CHECK(rig.located("l/x", true) == "t/x=" + encoded("t/x", value));
  const Record mark{.kind = Kind::none, .group = true, .payload = {}};
  rig.set("l/x", none, mark);
  for (int i = 0; i < 2; ++i) CHECK(rig.located("l/x", true) == "t/x=" + encoded("t/x", value));
  now_ms += 1000;
  for (int i = 0; i < 2; ++i) CHECK(rig.located("l/x", true) == "t/x=" + encoded("t/x", value));
  rig.set("l/x", mark, value);
  CHECK(rig.located("l/x", true) == "l/x=" + encoded("l/x", value));
}

TEST_CASE("A store without links is asked for the path and nothing else") {
  Rig rig(Records{{"a/b", value_of("1")}});
  for (const bool cached : {false, true}) {
    CHECK(rig.lookups("a/b", cached) == 1);
    CHECK(rig.lookups("a/b/c/d/e", cached) == 1);
    CHECK(rig.located("", cached, 0) == "=-");
    CHECK(rig.to_write("x/y", cached, 0) == "x/y");
  }
}

TEST_CASE("The reserved key and what is below it hold nothing, through links too") {
  const std::string reserved(kReservedKey);
  Rig rig(Records{
      {reserved, link_to("a")}, {reserved + "/x", value_of("1")}, {"l", link_to(reserved)}});
  for (const bool cached : {false, true}) {
    CHECK(rig.located("l", cached) == reserved + "=-");
    CHECK(rig.located("l/x", cached) == reserved + "/x=-");
  }
}

TEST_CASE("A damaged link is an error wherever a path meets it") {
  constexpr std::size_t kPayload = 1 + 8;
  for (const bool cached : {false, true}) {
    Rig rig(
        Records{{"l", link_to("a", true)}, {"k", link_to("l/x", true)}, {"a/x", value_of("1")}});
    rig.damage("l", kPayload, 3);  // to b
    for (const char* path : {"l", "l/x", "k"}) {
      CAPTURE(cached, path);
      CHECK(rig.located(path, cached) == "checksum_mismatch");
      CHECK(rig.located(path, cached) == "checksum_mismatch");
    }
    CHECK(rig.to_write("l/x", cached) == "checksum_mismatch");
    CHECK(rig.to_write("l", cached) == "l");  // a write replaces it and so repairs it
    CHECK(rig.located("a/x", cached) == "a/x=" + encoded("a/x", value_of("1")));
  }
}

TEST_CASE("Tags that are damaged or of another version are errors, not links and not values") {
  for (const bool cached : {false, true}) {
    for (const auto& [flip, word] :
         std::map<unsigned, std::string>{{0x01, "corrupted"}, {0x0c, "unknown_format"}}) {
      CAPTURE(cached, word);
      Rig rig(Records{{"l", link_to("a")}, {"k", link_to("l/x")}, {"a/x", value_of("1")}});
      rig.damage("l", 0, flip);
      for (const char* path : {"l", "l/x", "k"}) CHECK(rig.located(path, cached) == word);
      CHECK(rig.to_write("l/x", cached) == word);
    }
  }
}

// A batch that goes past the buffers is in the tree a moment before readers are shown its number.
// Who read in between learnt for the number of before that nothing lies below a directory: a
// snapshot of before was then led through the directory's link, past the value it held below the
// directory.
TEST_CASE("What lies below a directory is not learnt from a tree that is ahead of its reader") {
  const TempDir temp(memory_directory());
  const EnvPtr env = must_open(temp.path(), kAsync);
  std::atomic<bool> failed{false};
  Links links(PathCache::Limits{}, 1, {}, 0);
  MappedEngine tree(env.get(), kAsync, &links, nullptr, &failed);
  const auto write = [&](std::vector<Op> ops, std::uint64_t seq) {
    Batch batch(std::move(ops));
    tree.write_alone(&batch, seq);
    REQUIRE(outcome(batch.outcome) == "ok");
  };
  constexpr std::uint64_t kShown = 1;
  write({link_op("t", "d"), put_op("t/x", "target's"), put_op("d/x", "own")}, kShown);
  auto before = ReadTxn::begin(env->get());
  write({remove_op("d/x")}, kShown + 1);
  auto after = ReadTxn::begin(env->get());
  const auto read = [&](Result<ReadTxn>& txn) -> std::string {
    const View view(txn.value().get(), env->dbi(), kShown);
    PathView paths(
        view, &links, links.view(view.version()), [] { return now_ms; }, kPlenty);
    PathView::Found found;
    if (auto done = paths.locate("d/x", &found); !done) return outcome(done);
    if (!found.bytes) return "nothing";
    return std::string(decode(*found.bytes).value().payload);
  };
  CHECK(read(before) == "own");
  CHECK(read(after) == "target's");
  CHECK(read(before) == "own");
}
