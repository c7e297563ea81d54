// What a check sees: the store, and the elements before it.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/apply.h"
#include "format/record.h"
#include "support/ops.h"
#include "support/tree_changes.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

/// An environment with a way to write batches into it.
struct Rig {
  RawEnv env;
  TreeChanges changes{env};
  std::string write(const std::vector<Op>& ops) { return changes.write(ops); }

  void put_record(std::string_view key, const Record& record) {
    std::string bytes(encoded_size(record), '\0');
    encode(key, record, bytes.data());
    env.put(key, bytes);
  }
  /// What is stored at a key, in words.
  std::string at(std::string_view key) {
    const auto bytes = env.get(key);
    if (!bytes) return "nothing";
    const auto record = decode(*bytes);
    if (!record) return outcome(record);
    const char* const kinds[] = {"none", "value", "link"};
    return std::string(kinds[static_cast<int>(record.value().kind)]) +
           (record.value().group ? " group " : " ") + std::string(record.value().payload);
  }
};

}  // namespace

TEST_CASE("Of several changes of one key the last counts, and checks see those before them") {
  Rig rig;
  CHECK(rig.write({put_op("k", "1"), put_op("k", "2"), remove_op("k"), put_op("k", "3")}) == "ok");
  CHECK(rig.at("k") == "value 3");
  CHECK(rig.write({put_op("k", "4"), remove_op("k")}) == "ok");
  CHECK(rig.at("k") == "nothing");
  CHECK(rig.write({absent_op("k"), put_op("k", "1"), value_op("k", "1"), remove_op("k"),
                   absent_op("k"), put_op("k", "2"), value_op("k", "2")}) == "ok");
  CHECK(rig.at("k") == "value 2");
  CHECK(rig.write({put_op("k", "5"), value_op("k", "2")}) == "check_failed at 2");
  CHECK(rig.write({remove_op("k"), value_op("k", "2")}) == "check_failed at 2");
  CHECK(rig.write({put_op("new", ""), absent_op("new")}) == "check_failed at 2");
  CHECK(rig.write({put_op("x", "y"), value_op("k", "2"), absent_op("k")}) == "check_failed at 3");
  CHECK(rig.write({value_op("none", "")}) == "check_failed at 1");
  CHECK(rig.at("k") == "value 2");
  CHECK(rig.at("x") == "nothing");
  CHECK(rig.write({}) == "ok");
}

TEST_CASE("A check compares all bytes of a value") {
  Rig rig;
  const std::string large(3'000'000, 'v');
  std::string other = large;
  other.back() = 'w';
  REQUIRE(rig.write({put_op("large", large), put_op("empty", "")}) == "ok");
  CHECK(rig.write({value_op("large", large), value_op("empty", "")}) == "ok");
  CHECK(rig.write({value_op("large", other)}) == "check_failed at 1");
  CHECK(rig.write({value_op("large", large.substr(1))}) == "check_failed at 1");
  CHECK(rig.write({value_op("empty", std::string(1, '\0'))}) == "check_failed at 1");
}

TEST_CASE("A put keeps a group's mark and replaces a link; a removal takes all") {
  Rig rig;
  rig.put_record("group", {.kind = Kind::none, .group = true, .payload = {}});
  rig.put_record("both", {.kind = Kind::value, .group = true, .payload = "old"});
  REQUIRE(rig.write({link_op("target", "link")}) == "ok");
  CHECK(rig.write({absent_op("group"), put_op("group", "1"), put_op("both", "2"),
                   put_op("link", "3")}) == "ok");
  CHECK(rig.at("group") == "value group 1");
  CHECK(rig.at("both") == "value group 2");
  CHECK(rig.at("link") == "value 3");
  CHECK(rig.write({remove_op("group"), remove_op("both"), remove_op("link"), remove_op("none")}) ==
        "ok");
  for (const char* key : {"group", "both", "link", "none"}) CHECK(rig.at(key) == "nothing");
}

TEST_CASE("A mark keeps a value and leaves a link alone; a link keeps the mark") {
  Rig rig;
  REQUIRE(rig.write({put_op("value", "v"), link_op("t", "link"), group_op("new")}) == "ok");
  CHECK(rig.write({group_op("value"), group_op("link"), group_op("new")}) == "ok");
  CHECK(rig.at("value") == "value group v");
  CHECK(rig.at("link") == "link t");
  CHECK(rig.at("new") == "none group ");
  CHECK(rig.write({link_op("//a///b/", "value"), link_op("t", "new")}) == "ok");
  CHECK(rig.at("value") == "link group a/b");
  CHECK(rig.at("new") == "link group t");
}

TEST_CASE("A link is no value and not absent") {
  Rig rig;
  REQUIRE(rig.write({link_op("target", "link")}) == "ok");
  CHECK(rig.write({absent_op("link")}) == "check_failed at 1");
  CHECK(rig.write({value_op("link", "target")}) == "check_failed at 1");
}

TEST_CASE("Checks see links and marks made before them") {
  // A link made earlier in the batch counted as absent, and a mark hid the value before it.
  Rig rig;
  CHECK(rig.write({link_op("t", "k"), absent_op("k")}) == "check_failed at 2");
  CHECK(rig.write({link_op("t", "k"), value_op("k", "t")}) == "check_failed at 2");
  CHECK(rig.write({put_op("k", "v"), group_op("k"), value_op("k", "v")}) == "ok");
  CHECK(rig.write({group_op("k"), value_op("k", "v")}) == "ok");
  CHECK(rig.write({group_op("k"), absent_op("k")}) == "check_failed at 2");
  CHECK(rig.write({group_op("g"), absent_op("g")}) == "ok");
  CHECK(rig.write({remove_op("k"), group_op("k"), absent_op("k")}) == "ok");
}

TEST_CASE("A damaged record fails a check with its damage, and a put repairs it") {
  Rig rig;
  rig.put_record("sum", {.kind = Kind::value, .checksum = true, .payload = "value"});
  std::string bytes = *rig.env.get("sum");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  rig.env.put("sum", bytes);
  rig.env.put("empty", "");
  rig.env.put("later", "\x11later");
  rig.env.put("odd", "\x01value");
  CHECK(rig.write({value_op("sum", "value")}) == "checksum_mismatch");
  CHECK(rig.write({value_op("empty", "")}) == "corrupted");
  CHECK(rig.write({absent_op("empty")}) == "corrupted");
  CHECK(rig.write({absent_op("odd")}) == "corrupted");
  CHECK(rig.write({absent_op("later")}) == "unknown_format");
  CHECK(rig.write({put_op("sum", "1"), put_op("empty", "2"), put_op("later", "3"),
                   put_op("odd", "4")}) == "ok");
  CHECK(rig.at("sum") == "value 1");
  CHECK(rig.at("empty") == "value 2");
  CHECK(rig.at("later") == "value 3");
  CHECK(rig.at("odd") == "value 4");
}
