// Listings of a store beside a plain set of keys.
#include "read/listing.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "hyper_lmdb/path.h"
#include "hyper_lmdb/store.h"
#include "support/temp_dir.h"

namespace hyper_lmdb {
namespace {

using Names = std::vector<std::string>;

std::shared_ptr<Store> open_store(const test::TempDir& directory) {
  Options options;
  options.directory = directory.path();
  options.capacity = 64 << 20;
  auto store = Store::open(options);
  REQUIRE(store.ok());
  return store.value();
}

Names listed(const Store& store, std::string_view path, const Page& page = {}) {
  Names names;
  const auto found = store.list(path, page, [&](std::string_view name) {
    names.emplace_back(name);
    return true;
  });
  REQUIRE(found.ok());
  if (!found.value()) names.emplace_back("(no group)");
  return names;
}

Names keys_with(const Store& store, std::string_view prefix) {
  Names keys;
  REQUIRE(store
              .list_prefix(prefix, {},
                           [&](std::string_view key) {
                             keys.emplace_back(key);
                             return true;
                           })
              .ok());
  return keys;
}

Names expected_children(const std::set<std::string>& keys, const std::string& group) {
  const std::string base = group.empty() ? "" : group + "/";
  std::set<std::string> names;
  for (const std::string& key : keys) {
    if (key.size() <= base.size() || !key.starts_with(base) || !is_canonical_path(key)) continue;
    const std::string below = key.substr(base.size());
    names.insert(below.substr(0, below.find('/')));
  }
  return {names.begin(), names.end()};
}

/// Bytes on both sides of `/`, where the order of keys and that of names part.
std::string random_name(std::mt19937& random) {
  std::string name;
  for (std::size_t n = 1 + random() % 3; n > 0; --n) name += "a-.0!"[random() % 5];
  return name;
}

TEST_CASE("Children are listed as a set of names would be, whole and in parts, both ways") {
  std::mt19937 random(42);
  for (int round = 0; round < 20; ++round) {
    const test::TempDir directory;
    auto store = open_store(directory);
    std::set<std::string> keys;
    for (int i = 0; i < 60; ++i) {
      std::string key = random_name(random);
      for (std::size_t n = random() % 3; n > 0; --n) {
        key += (random() % 12 == 0 ? "//" : "/") + random_name(random);
      }
      REQUIRE(store->put(key, "v").ok());
      keys.insert(key);
    }
    std::set<std::string> groups{""};
    for (const std::string& key : keys) groups.insert(key.substr(0, key.find('/')));
    for (const std::string& group : groups) {
      CAPTURE(round, group);
      Names expected = expected_children(keys, group);
      if (expected.empty() && !group.empty()) expected = {"(no group)"};
      REQUIRE(listed(*store, group) == expected);
      if (expected.front() == "(no group)") continue;
      Names paged;
      for (std::optional<std::string> cursor;;) {
        Page page{.limit = 1 + random() % 4};
        if (cursor) page.cursor = *cursor;
        const Names part = listed(*store, group, page);
        if (part.empty()) break;
        paged.insert(paged.end(), part.begin(), part.end());
        cursor = part.back();
      }
      CHECK(paged == expected);
      const Names backwards(expected.rbegin(), expected.rend());
      CHECK(listed(*store, group, {.reverse = true}) == backwards);
      const std::string between = random_name(random);  // mostly no child
      Names after;
      Names before;
      for (const std::string& name : expected) (name > between ? after : before).push_back(name);
      std::erase(before, between);
      CHECK(listed(*store, group, {.cursor = between}) == after);
      CHECK(listed(*store, group, {.cursor = between, .reverse = true}) ==
            Names(before.rbegin(), before.rend()));
    }
    REQUIRE(store->close().ok());
  }
}

TEST_CASE("An empty group is listed and lists nothing; a value is no group; the root always is") {
  const test::TempDir directory;
  auto store = open_store(directory);
  CHECK(listed(*store, "").empty());
  const Op group{.kind = OpKind::group, .key = "g/empty", .is_path = true};
  REQUIRE(store->batch_write({&group, 1}).ok());
  REQUIRE(store->put("v", "1").ok());
  CHECK(listed(*store, "g") == Names{"empty"});
  CHECK(listed(*store, "g/empty").empty());
  CHECK(listed(*store, "v") == Names{"(no group)"});
  CHECK(listed(*store, "") == Names{"g", "v"});
  REQUIRE(store->close().ok());
}

// One step past removed keys, or those of later writes, took as long as there were such keys.
TEST_CASE("Whether a path has children is looked for behind so many removed keys only") {
  const test::TempDir temp;
  const auto store = open_store(temp);
  // Without a limit first: sorting the keys counts by itself.
  const auto type_of = [](const Reader& reader, std::string_view path) {
    const auto whole = reader.type(path);
    REQUIRE(whole.ok());
    const auto type = reader.type(path, {.lookups = 200});
    if (!type) return type.error().code == Code::work_limit ? "too much" : "?";
    REQUIRE(type.value() == whole.value());
    return type.value() == PathType::composite ? "group" : "nothing";
  };
  for (int i = 0; i < 300; ++i) REQUIRE(store->put("a/" + std::to_string(i), "v").ok());
  CHECK(type_of(*store, "a") == std::string("group"));
  for (int i = 0; i < 300; ++i) REQUIRE(store->remove("a/" + std::to_string(i)).ok());
  CHECK(type_of(*store, "a") == std::string("too much"));
  const auto snapshot = store->snapshot();
  REQUIRE(snapshot.ok());
  for (int i = 0; i < 300; ++i) REQUIRE(store->put("b/" + std::to_string(i), "v").ok());
  CHECK(type_of(*store, "b") == std::string("group"));
  CHECK(type_of(*snapshot.value(), "b") == std::string("too much"));
}

TEST_CASE("What is known of links outlives the store's being open") {
  const test::TempDir directory;
  auto store = open_store(directory);
  const Op link{.kind = OpKind::link, .key = "l", .value = "t"};
  REQUIRE(store->batch_write({&link, 1}).ok());
  REQUIRE(store->put("t/x", "1").ok());
  REQUIRE(store->close().ok());
  store = open_store(directory);
  CHECK(store->info().value().links == 1);
  std::string value;
  const auto keep = [&](std::string_view bytes) { value = bytes; };
  CHECK(store->read("l/x", keep).value());
  CHECK(value == "1");
  REQUIRE(store->put("l", "over the link").ok());
  CHECK(!store->read("l/x", keep).value());
  CHECK(store->info().value().links == 0);
  REQUIRE(store->close().ok());
}

TEST_CASE("A prefix is removed in parts and counted whole") {
  const test::TempDir directory;
  auto store = open_store(directory);
  std::vector<std::string> keys;
  std::vector<Op> ops;
  for (int i = 0; i < 2500; ++i) keys.push_back("p" + std::to_string(i));
  for (const std::string& key : keys) ops.push_back({.key = key, .value = "v"});
  REQUIRE(store->batch_write(ops).ok());
  REQUIRE(store->put("q", "v").ok());
  CHECK(store->remove_prefix("p1").value() == 1111);
  CHECK(store->remove_prefix("").value() == 2500 - 1111 + 1);
  CHECK(keys_with(*store, "").empty());
  CHECK(store->remove_prefix("").value() == 0);
  REQUIRE(store->close().ok());
}

}  // namespace
}  // namespace hyper_lmdb
