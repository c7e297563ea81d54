// Ranges of a store beside a plain map.
#include "read/range.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/test_store.h"

namespace hyper_lmdb {
namespace {

using test::must;
using test::must_open;
using test::options_for;
using Model = std::map<std::string, std::string>;
using Entries = std::vector<std::pair<std::string, std::string>>;

struct Asked {
  std::string prefix;
  std::optional<std::string> from, to, after;
  bool reverse = false;
  std::uint64_t limit = kNoLimit;

  Range range() const {
    Range range{.prefix = prefix, .reverse = reverse, .limit = limit};
    if (from) range.from = *from;
    if (to) range.to = *to;
    if (after) range.after = *after;
    return range;
  }
  /// What the model says, key by key, with no idea of bounds.
  Entries expected(const Model& model) const {
    Entries entries;
    for (const auto& [key, value] : model) {
      if (!key.starts_with(prefix) || (from && key < *from) || (to && key >= *to)) continue;
      if (after && (reverse ? key >= *after : key <= *after)) continue;
      entries.emplace_back(key, value);
    }
    if (reverse) std::reverse(entries.begin(), entries.end());
    if (entries.size() > limit) entries.resize(limit);
    return entries;
  }
};

struct Part {
  Entries entries;
  std::optional<std::string> next;
};

Part part_of(const Reader& store, const Range& range, const Effort& effort = {}) {
  Part part;
  auto next = store.range(
      range,
      [&](std::string_view key, std::string_view value) {
        part.entries.emplace_back(key, value);
        return true;
      },
      effort);
  must(next);
  part.next = next.value();
  // Else a loop over parts would never end.
  if (part.next && range.after) {
    REQUIRE((range.reverse ? *part.next < *range.after : *part.next > *range.after));
  }
  return part;
}

/// Bytes at both ends of the order, and few of them, so that keys begin with one another.
std::string random_key(std::mt19937& random, std::size_t least = 1) {
  std::string key;
  for (std::size_t n = least + random() % 4; n > 0; --n) key += "\0\1a\xfe\xff"[random() % 5];
  return key;
}

template <typename F>
std::optional<std::string> perhaps(std::mt19937& random, F make) {
  return random() % 3 == 0 ? std::optional<std::string>(make()) : std::nullopt;
}

/// A store whose keys lie in LMDB and in both buffers, removed and written again on the way.
void write_at_random(Store& store, Model* model, std::mt19937& random, int writes) {
  for (int i = 0; i < writes; ++i) {
    const std::string key = random_key(random);
    const std::string value = std::to_string(random() % 1000);
    switch (random() % 8) {
      case 0:
      case 1:
        must(store.remove(key));
        model->erase(key);
        break;
      case 2: {  // a link: no value any more
        const Op op{.kind = OpKind::link, .key = key, .value = "a"};
        must(store.batch_write({&op, 1}));
        model->erase(key);
        break;
      }
      case 3: {  // a mark: what is there stays
        const Op op{.kind = OpKind::group, .key = key};
        must(store.batch_write({&op, 1}));
        break;
      }
      default:
        must(store.put(key, value));
        (*model)[key] = value;
    }
  }
}

TEST_CASE("A range is what a map has in it, over the buffers and LMDB, both ways and in parts") {
  std::size_t seen = 0;
  for (const Durability durability : test::kAllModes) {
    for (unsigned seed = 0; seed < 12; ++seed) {
      CAPTURE(test::name_of(durability), seed);
      std::mt19937 random(seed);
      const test::TempDir directory;
      Options options = options_for(directory.path(), durability);
      Model model;
      auto store = must_open(options);
      write_at_random(*store, &model, random, 150);
      must(store->close());  // all of it in LMDB
      store = must_open(options);
      write_at_random(*store, &model, random, 100);
      for (int i = 0; i < 60; ++i) {
        Asked asked;
        if (random() % 2 == 0) asked.prefix = random_key(random, 0);
        asked.from = perhaps(random, [&] { return random_key(random, 0); });
        asked.to = perhaps(random, [&] { return random_key(random, 0); });
        asked.after = perhaps(random, [&] { return random_key(random); });
        asked.reverse = random() % 2 == 0;
        const Entries whole = asked.expected(model);
        seen += whole.size();
        const Part all = part_of(*store, asked.range());
        CHECK(all.entries == whole);
        CHECK_FALSE(all.next.has_value());

        asked.limit = 1 + random() % 5;
        CHECK(part_of(*store, asked.range()).entries == asked.expected(model));
        Entries together;
        for (;;) {
          const Part part = part_of(*store, asked.range());
          CHECK(part.entries.size() <= asked.limit);
          together.insert(together.end(), part.entries.begin(), part.entries.end());
          if (!part.next) break;
          asked.after = *part.next;
        }
        CHECK(together == whole);
      }
    }
  }
  CHECK(seen > 10'000);
}

TEST_CASE("Removed keys in the way end a part, not the range") {
  const test::TempDir directory;
  auto store = must_open(options_for(directory.path(), Durability::async));
  constexpr int kRemoved = 1000;
  for (int i = 0; i < kRemoved; ++i) must(store->put("k" + std::to_string(10'000 + i), "v"));
  must(store->put("a", "first"));
  must(store->put("z", "last"));
  must(store->close());
  store = must_open(options_for(directory.path(), Durability::async));
  for (int i = 0; i < kRemoved; ++i) must(store->remove("k" + std::to_string(10'000 + i)));
  // Sorted once, so that parts of little effort may be had.
  CHECK(part_of(*store, {}).entries == Entries{{"a", "first"}, {"z", "last"}});
  for (const bool reverse : {false, true}) {
    Range range{.reverse = reverse};
    Entries together;
    std::string after;
    int parts = 0;
    for (;; ++parts) {
      const Part part = part_of(*store, range, {.lookups = 100});
      together.insert(together.end(), part.entries.begin(), part.entries.end());
      if (!part.next) break;
      after = *part.next;
      range.after = after;
    }
    CHECK(together.size() == 2);
    CHECK(parts == 10);
  }
}

// A range through a snapshot passed all keys of later writes in one go, however many.
TEST_CASE("Keys that came after a snapshot end a part of its range, not the range") {
  const test::TempDir directory;
  const auto store = must_open(options_for(directory.path(), Durability::async));
  must(store->put("k999", "v"));
  const auto snapshot = store->snapshot();
  REQUIRE(snapshot.ok());
  for (int i = 0; i < 500; ++i) must(store->put("k" + std::to_string(i), "later"));
  std::uint64_t parts = 0;
  Entries all;
  std::optional<std::string> after;
  do {
    Range range{.prefix = "k"};
    if (after) range.after = *after;
    const Part part = part_of(*snapshot.value(), range, {.lookups = 100});
    all.insert(all.end(), part.entries.begin(), part.entries.end());
    after = part.next;
    ++parts;
  } while (after);
  CHECK(all == Entries{{"k999", "v"}});
  CHECK(parts == 6);
}

TEST_CASE("A part ends before the value that is too much, and one value may be so by itself") {
  const test::TempDir directory;
  auto store = must_open(options_for(directory.path(), Durability::async));
  must(store->put("a", std::string(60, 'a')));
  must(store->put("b", std::string(60, 'b')));
  const Part part = part_of(*store, {}, {.value_bytes = 100});
  CHECK(part.entries.size() == 1);
  CHECK(part.next == "a");
  const auto too_much = store->range({}, [](std::string_view, std::string_view) { return true; },
                                     {.value_bytes = 59});
  CHECK(test::outcome(too_much) == "work_limit");
  const Part keys = part_of(*store, {.keys_only = true}, {.value_bytes = 0});
  CHECK(keys.entries == Entries{{"a", ""}, {"b", ""}});
}

// A store was to be copied by its ranges: links and marks were in none, so that the copy had
// neither.
TEST_CASE("Records are all that keys hold, the keys of links and marks among them") {
  const test::TempDir directory;
  for (const Durability durability : test::kAllModes) {
    CAPTURE(test::name_of(durability));
    auto store = must_open(options_for(directory.path() + test::name_of(durability), durability));
    const std::vector<Op> ops = {
        {.kind = OpKind::put, .key = "a", .value = "value"},
        {.kind = OpKind::group, .key = "b"},
        {.kind = OpKind::group, .key = "c"},
        {.kind = OpKind::link, .key = "c", .value = "//to//a"},
        {.kind = OpKind::put, .key = "d", .value = ""},
        {.kind = OpKind::group, .key = "d"},
    };
    must(store->batch_write(ops));
    std::vector<std::string> seen;
    const auto note = [&](const Entry& entry) {
      std::string text(entry.key);
      if (entry.marked) text += " group";
      if (entry.value) text += " value:" + std::string(*entry.value);
      if (entry.target) text += " link:" + std::string(*entry.target);
      seen.push_back(text);
      return true;
    };
    const auto records = [&](const Range& range, const Effort& effort = {}) {
      seen.clear();
      auto next = store->records(range, note, effort);
      must(next);
      return next.value();
    };
    CHECK(records({}) == std::nullopt);
    CHECK(seen == std::vector<std::string>{"a value:value", "b group", "c group link:to/a",
                                           "d group value:"});
    CHECK(records({.limit = 3}) == "c");
    CHECK(seen.size() == 3);
    CHECK(records({.after = "a", .reverse = false}, {.lookups = 2}) == "c");
    CHECK(records({.keys_only = true}, {.value_bytes = 0}) == std::nullopt);
    CHECK(seen == std::vector<std::string>{"a", "b", "c", "d"});
    CHECK(test::outcome(store->records({}, note, {.value_bytes = 4})) == "work_limit");

    std::string target;
    const auto keep = [&](std::string_view found) { target = found; };
    CHECK(store->read_link("c", keep).value());
    CHECK(target == "to/a");
    for (const char* key : {"a", "b", "none"}) CHECK_FALSE(store->read_link(key, keep).value());
    CHECK(test::outcome(store->read_link("", keep)) == "bad_key");
    must(store->close());
    CHECK(test::outcome(store->read_link("c", keep)) == "closed");
    CHECK(test::outcome(store->records({}, note)) == "closed");
  }
}

TEST_CASE("An entry that is not taken is the next one") {
  const test::TempDir directory;
  auto store = must_open(options_for(directory.path(), Durability::async));
  for (const char* key : {"a", "b", "c"}) must(store->put(key, "v"));
  int count = 0;
  const auto next =
      store->range({}, [&](std::string_view, std::string_view) { return ++count < 3; });
  must(next);
  CHECK(next.value() == "b");
}

TEST_CASE("The store's own record is not what a limit leaves over") {
  const test::TempDir directory;
  auto store = must_open(options_for(directory.path(), Durability::async));
  must(store->put(std::string(1, '\0'), "v"));
  const Part part = part_of(*store, {.limit = 1});
  CHECK(part.entries.size() == 1);
  CHECK_FALSE(part.next.has_value());
}

TEST_CASE("Bounds that no key reaches, and longer ones than a key can be") {
  const test::TempDir directory;
  auto store = must_open(options_for(directory.path(), Durability::async));
  const std::string top(store->info().value().max_key_bytes, '\xff');
  for (const std::string& key : {std::string(1, '\0'), std::string("m"), top}) {
    must(store->put(key, "v"));
  }
  const auto count = [&](const Range& range) { return part_of(*store, range).entries.size(); };
  for (const bool reverse : {false, true}) {
    CAPTURE(reverse);
    CHECK(count({.prefix = "\xff", .reverse = reverse}) == 1);
    CHECK(count({.prefix = top, .reverse = reverse}) == 1);
    const std::string longer = top + "\xff\xff";
    CHECK(count({.prefix = longer, .reverse = reverse}) == 0);
    CHECK(count({.from = longer, .reverse = reverse}) == 0);
    CHECK(count({.to = longer, .reverse = reverse}) == 3);
    CHECK(count({.to = "", .reverse = reverse}) == 0);
    CHECK(count({.from = "", .reverse = reverse}) == 3);
    CHECK(count({.from = "m", .to = "m", .reverse = reverse}) == 0);
    CHECK(count({.from = "n", .to = "m", .reverse = reverse}) == 0);
    CHECK(count({.prefix = "m", .from = "n", .reverse = reverse}) == 0);
    CHECK(count({.prefix = "m", .to = "m", .reverse = reverse}) == 0);
  }
  CHECK(count({.after = top + "\xff", .reverse = true}) == 3);
}

}  // namespace
}  // namespace hyper_lmdb
