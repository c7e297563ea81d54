// What a batch comes to, above what buffers and tree hold.
#include "write/batch_rules.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "support/decider.h"
#include "support/ops.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

using Ops = std::vector<Op>;

Op path(Op op) {
  op.is_path = true;
  return op;
}

std::string counts(const Decider& decider) {
  const RecordCounts& known = decider.links().known();
  return std::to_string(known.links) + " links, " + std::to_string(known.marks) + " marks, " +
         std::to_string(known.link_generation);
}

std::string encoded(std::string_view key, const Record& record) {
  std::string bytes(encoded_size(record), '\0');
  encode(key, record, bytes.data());
  return bytes;
}

}  // namespace

TEST_CASE("Each kind of element comes to one outcome at its key") {
  Decider decider;
  REQUIRE(decider.write(Ops{put_op("a", "1"), link_op("/a//b/", "l"), group_op("g"), remove_op("r"),
                            absent_op("r")}) == "ok");
  CHECK(decider.decided() == "a: value 1; l: link a/b; g: none group ; r: removed; ");
  CHECK(counts(decider) == "1 links, 1 marks, 1");
  REQUIRE(decider.write(Ops{put_op("a", "2")}) == "ok");
  CHECK(decider.decided() == "a: value 2; ");
  REQUIRE(decider.write(Ops{absent_op("none")}) == "ok");
  CHECK(decider.decided() == "");
  CHECK(decider.pending_batch().outcomes() == 0);
}

TEST_CASE("A mark is kept by what replaces the record, and goes with it") {
  Decider decider;
  REQUIRE(decider.write(Ops{put_op("a", "1"), group_op("a")}) == "ok");
  CHECK(decider.at("a") == "value group 1");
  REQUIRE(decider.write(Ops{put_op("a", "2")}) == "ok");
  CHECK(decider.at("a") == "value group 2");
  REQUIRE(decider.write(Ops{link_op("b", "a")}) == "ok");
  CHECK(decider.at("a") == "link group b");
  CHECK(counts(decider) == "1 links, 1 marks, 1");
  REQUIRE(decider.write(Ops{put_op("a", "3")}) == "ok");
  CHECK(decider.at("a") == "value group 3");
  CHECK(counts(decider) == "0 links, 1 marks, 2");
  REQUIRE(decider.write(Ops{remove_op("a"), put_op("a", "4")}) == "ok");
  CHECK(decider.at("a") == "value 4");
  CHECK(counts(decider) == "0 links, 0 marks, 2");
}

TEST_CASE("A mark that is there, or a link in its place, needs none") {
  Decider decider;
  REQUIRE(decider.write(Ops{group_op("g"), group_op("g"), link_op("x", "l")}) == "ok");
  CHECK(decider.pending_batch().outcomes() == 2);
  REQUIRE(decider.write(Ops{group_op("g"), group_op("l")}) == "ok");
  CHECK(decider.decided() == "");
  CHECK(counts(decider) == "1 links, 1 marks, 1");
}

TEST_CASE("A key named several times is decided as its elements come, and the last one stays") {
  Decider decider;
  REQUIRE(decider.write(Ops{link_op("x", "k"), put_op("k", "1"), group_op("k"), remove_op("k"),
                            link_op("y", "k"), link_op("z", "k")}) == "ok");
  CHECK(decider.at("k") == "link z");
  CHECK(counts(decider) == "1 links, 0 marks, 1");
  // Without a link or a mark anywhere nothing is looked up; the order counts all the same.
  Decider plain;
  REQUIRE(plain.write(Ops{put_op("k", "1"), remove_op("k"), put_op("k", "2")}) == "ok");
  CHECK(plain.at("k") == "value 2");
  REQUIRE(plain.write(Ops{put_op("k", "3"), remove_op("k")}) == "ok");
  CHECK(plain.at("k") == "nothing");
}

TEST_CASE("Counts are in the payload where they change, and only there") {
  Decider decider;
  RecordCounts found{.links = 77};
  REQUIRE(decider.write(Ops{put_op("a", "1")}) == "ok");
  decider.decided(&found);
  CHECK(found.links == 77);
  REQUIRE(decider.write(Ops{link_op("a", "l"), link_op("a", "m"), group_op("g")}) == "ok");
  decider.decided(&found);
  CHECK(found.links == 2);
  CHECK(found.marks == 1);
  CHECK(found.link_generation == 1);
  found = {.links = 77};
  REQUIRE(decider.write(Ops{put_op("a", "2"), remove_op("none")}) == "ok");
  decider.decided(&found);
  CHECK(found.links == 77);
  REQUIRE(decider.write(Ops{put_op("l", "over a link"), remove_op("m")}) == "ok");
  decider.decided(&found);
  CHECK(found.links == 0);
  CHECK(found.marks == 1);
  CHECK(found.link_generation == 2);
}

TEST_CASE("A path goes through the links that elements before it made") {
  Decider decider;
  REQUIRE(decider.write(Ops{path(link_op("b", "a")), path(put_op("a/x", "1")),
                            path(put_op("/b//y", "2"))}) == "ok");
  CHECK(decider.at("b/x") == "value 1");
  CHECK(decider.at("b/y") == "value 2");
  CHECK(decider.at("a/x") == "nothing");
  // A key is taken as it is.
  REQUIRE(decider.write(Ops{put_op("a/x", "3")}) == "ok");
  CHECK(decider.at("a/x") == "value 3");
  // A link that moves within the batch takes along what follows.
  REQUIRE(decider.write(Ops{path(put_op("a/z", "old")), path(link_op("c", "a")),
                            path(put_op("a/z", "new")), path(remove_op("a"))}) == "ok");
  CHECK(decider.at("b/z") == "value old");
  CHECK(decider.at("c/z") == "value new");
  CHECK(counts(decider) == "0 links, 0 marks, 2");
  REQUIRE(decider.write(Ops{path(put_op("a/z", "5"))}) == "ok");
  CHECK(decider.at("a/z") == "value 5");
}

TEST_CASE("A path that leads nowhere is named, and the batch leaves nothing") {
  Decider decider;
  REQUIRE(decider.write(Ops{link_op("o", "o")}) == "ok");
  CHECK(decider.write(Ops{put_op("a", "1"), link_op("b", "l"), path(put_op("o/x", "1"))}) ==
        "bad_key at 3");
  CHECK(decider.at("a") == "nothing");
  CHECK(decider.at("l") == "nothing");
  CHECK(counts(decider) == "1 links, 0 marks, 1");
  CHECK(decider.write(Ops{path(link_op("o/y", "p")), path(put_op("p/z", "1"))}) == "bad_key at 2");
  REQUIRE(decider.write(Ops{remove_op("o"), path(put_op("o/x", "1"))}) == "ok");
  CHECK(decider.at("o/x") == "value 1");
}

TEST_CASE("Checks see the buffers, the tree, and the elements before them") {
  Decider decider;
  decider.env().put("t", encoded("t", {.kind = Kind::value, .payload = "tree"}));
  REQUIRE(decider.write(Ops{put_op("b", "1")}) == "ok");
  CHECK(decider.write(Ops{value_op("b", "1"), value_op("t", "tree"), absent_op("n")}) == "ok");
  CHECK(decider.write(Ops{put_op("x", "1"), absent_op("b")}) == "check_failed at 2");
  CHECK(decider.at("x") == "nothing");
  CHECK(decider.write(Ops{remove_op("t")}) == "ok");
  CHECK(decider.write(Ops{absent_op("t")}) == "ok");
  CHECK(decider.write(Ops{value_op("t", "tree")}) == "check_failed at 1");
  CHECK(decider.write(Ops{put_op("n", "1"), value_op("n", "1"), remove_op("n"), absent_op("n")}) ==
        "ok");
  CHECK(decider.at("n") == "nothing");
}

TEST_CASE("A record that cannot be read is replaced or removed, and not marked") {
  Decider decider(false, {.links = 1});  // so that what is replaced is looked at
  const std::string bad("\x0fstrange", 8);
  for (const char* key : {"p", "l", "r", "g"}) decider.env().put(key, bad);
  CHECK(decider.write(Ops{put_op("p", "1"), link_op("x", "l"), remove_op("r")}) == "ok");
  CHECK(decider.at("p") == "value 1");
  CHECK(decider.at("l") == "link x");
  CHECK(decider.at("r") == "nothing");
  CHECK(decider.write(Ops{group_op("g")}) == "unknown_format");
}

TEST_CASE("A decided mark on a record that fails its checksum is refused, not given a new one") {
  Decider decider(true);
  std::string rotten = encoded("g", {.kind = Kind::value, .checksum = true, .payload = "value"});
  rotten.back() = 'E';
  decider.env().put("g", rotten);
  CHECK(decider.write(Ops{group_op("g")}) == "checksum_mismatch");
  CHECK(counts(decider) == "0 links, 0 marks, 0");
}

TEST_CASE("Records carry a checksum where it is asked for, and a mark keeps what there was") {
  for (const bool checksum : {false, true}) {
    Decider decider(checksum);
    const std::string sum = checksum ? "sum " : "";
    REQUIRE(decider.write(Ops{put_op("a", "1"), link_op("x", "l"), group_op("a")}) == "ok");
    CHECK(decider.at("a") == "value group " + sum + "1");
    CHECK(decider.at("l") == "link " + sum + "x");
  }
}
