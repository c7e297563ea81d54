#include "engine/apply.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "format/record.h"
#include "support/ops.h"
#include "support/tree_changes.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

/// What a key holds.
struct Held {
  Kind kind = Kind::none;
  bool group = false;
  std::string payload;
  friend bool operator==(const Held&, const Held&) = default;
};
using Model = std::map<std::string, Held>;

/// A batch on a model: all or nothing, in order.
std::string write(Model& model, const std::vector<Op>& ops) {
  std::map<std::string, Held> changed;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const std::string key(ops[i].key);
    if (changed.count(key) == 0) {
      const auto before = model.find(key);
      changed[key] = before == model.end() ? Held{} : before->second;
    }
    Held& now = changed[key];
    bool good = true;
    switch (ops[i].kind) {
      case OpKind::put:
        now.kind = Kind::value;
        now.payload = ops[i].value;
        break;
      case OpKind::link:
        now.kind = Kind::link;
        now.payload = ops[i].value;
        break;
      case OpKind::group:
        now.group = now.group || now.kind != Kind::link;
        break;
      case OpKind::remove:
        now = {};
        break;
      case OpKind::check_value:
        good = now.kind == Kind::value && now.payload == ops[i].value;
        break;
      case OpKind::check_absent:
        good = now.kind == Kind::none;
        break;
    }
    if (!good) return "check_failed at " + std::to_string(i + 1);
  }
  for (auto& [key, held] : changed) {
    model.erase(key);
    if (held != Held{}) model.emplace(key, std::move(held));
  }
  return "ok";
}

Model contents(const RawEnv& env) {
  Model all;
  MDB_txn* const txn = env.begin(MDB_RDONLY);
  MDB_cursor* cursor = nullptr;
  must(mdb_cursor_open(txn, env.dbi(), &cursor), "mdb_cursor_open");
  MDB_val key{};
  MDB_val value{};
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
    const auto record = decode(to_view(value));
    const bool intact = record && verify(to_view(key), to_view(value));
    all[std::string(to_view(key))] =
        intact
            ? Held{record.value().kind, record.value().group, std::string(record.value().payload)}
            : Held{.kind = Kind::none, .group = false, .payload = "damaged"};
  }
  mdb_cursor_close(cursor);
  mdb_txn_abort(txn);
  return all;
}

Held value(std::string bytes) {
  return {.kind = Kind::value, .group = false, .payload = std::move(bytes)};
}

struct Random {
  explicit Random(unsigned seed) : engine(seed) {}
  std::size_t below(std::size_t bound) { return engine() % bound; }
  std::string bytes(std::size_t size) {
    // Not all alike, so that bytes that land elsewhere are noticed.
    std::string text(size, static_cast<char>(engine()));
    for (std::size_t i = 0; i < size; i += 97) text[i] = static_cast<char>(engine() + i);
    return text;
  }
  std::mt19937_64 engine;
};

std::size_t value_size(Random& random) {
  const std::size_t kind = random.below(1000);
  if (kind < 2) return random.below(3 << 20);
  if (kind < 30) return 1900 + random.below(300);  // where LMDB moves values to their own pages
  if (kind < 60) return 4000 + random.below(9000);
  return random.below(200);
}

/// A batch that mostly succeeds: most of its checks ask for what the model says.
std::vector<Op> random_batch(Random& random, const std::vector<std::string>& keys,
                             const Model& model, std::vector<std::string>& storage) {
  const std::size_t size = random.below(50) == 0 ? 100 + random.below(200) : 1 + random.below(20);
  storage.clear();
  storage.reserve(size);
  std::vector<Op> ops;
  for (std::size_t i = 0; i < size; ++i) {
    // A few keys only within a batch, so that it often meets one again.
    const std::string& key = keys[(random.below(8) + i / 8 * 131) % keys.size()];
    const auto known = model.find(key);
    const bool wrong = random.below(20) == 0;
    switch (random.below(12)) {
      case 0:
        if (known == model.end() || wrong) ops.push_back(absent_op(key));
        break;
      case 1:
        if (known == model.end()) break;
        storage.push_back(wrong ? "other" : known->second.payload);
        ops.push_back(value_op(key, storage.back()));
        break;
      case 2:
      case 3:
      case 4:
        ops.push_back(remove_op(key));
        break;
      case 5:
        ops.push_back(link_op("to/somewhere", key));
        break;
      case 6:
        ops.push_back(group_op(key));
        break;
      default:
        storage.push_back(random.bytes(value_size(random)));
        ops.push_back(put_op(key, storage.back()));
    }
  }
  return ops;
}

std::size_t links_in(const Model& model) {
  return static_cast<std::size_t>(std::count_if(
      model.begin(), model.end(), [](const auto& e) { return e.second.kind == Kind::link; }));
}

std::size_t marks_in(const Model& model) {
  return static_cast<std::size_t>(
      std::count_if(model.begin(), model.end(), [](const auto& e) { return e.second.group; }));
}

}  // namespace

TEST_CASE("Random batches do what they do to a map") {
  for (const unsigned flags : {unsigned{MDB_NOSYNC}, unsigned{MDB_NOSYNC | MDB_WRITEMAP}}) {
    for (const bool checksum : {false, true}) {
      Random random(flags + checksum);
      std::vector<std::string> keys;
      for (int i = 0; i < 1000; ++i) {
        keys.push_back(random.bytes(1 + random.below(i % 4 == 0 ? 511 : 24)));
      }
      const RawEnv env({.map_bytes = 1ULL << 30, .flags = flags});
      TreeChanges changes(env, checksum);
      Model model;
      std::vector<std::string> storage;
      std::size_t operations = 0, refused = 0, batches = 0;
      while (operations < 26'000) {
        const auto ops = random_batch(random, keys, model, storage);
        operations += ops.size();
        ++batches;
        const std::string expected = write(model, ops);
        const std::string found = changes.write(ops);
        if (found != expected) FAIL("batch " << batches << ": " << found << ", not " << expected);
        if (expected != "ok") ++refused;
        if (batches % 500 == 0) REQUIRE((contents(env) == model));
      }
      CHECK((contents(env) == model));
      CHECK(changes.links() == links_in(model));
      CHECK(changes.marks() == marks_in(model));
      CHECK(refused > 20);
      CHECK(refused < batches / 2);
    }
  }
}

TEST_CASE("A mark on a record that fails its checksum is refused, not given a new checksum") {
  const RawEnv env;
  const Record record{.kind = Kind::value, .checksum = true, .payload = "value"};
  std::string rotten(encoded_size(record), '\0');
  encode("g", record, rotten.data());
  rotten.back() = 'E';
  env.put("g", rotten);
  TreeChanges changes(env, true);
  CHECK(changes.write(std::vector<Op>{group_op("g")}) == "checksum_mismatch");
  CHECK(changes.marks() == 0);
  CHECK(contents(env).at("g").payload == "damaged");
}

TEST_CASE("A value of any size is replaced by one of any other") {
  const std::vector<std::size_t> sizes{0,    1,    8,    100,  1000, 1950, 1980,    1984,
                                       2000, 2010, 2020, 2030, 2040, 2100, 4070,    4080,
                                       4087, 4096, 4200, 8170, 8192, 9000, 100'000, 2'000'000};
  Random random(7);
  std::map<std::size_t, std::pair<std::string, std::string>> values;
  for (const std::size_t size : sizes) values[size] = {random.bytes(size), random.bytes(size)};
  for (const bool checksum : {false, true}) {
    for (const std::size_t key_size : {20, 511}) {
      const RawEnv env({.flags = MDB_NOSYNC | MDB_WRITEMAP});
      TreeChanges changes(env, checksum);
      const std::string key(key_size, 'k');
      std::string wrong;
      for (const std::size_t before : sizes) {
        for (const std::size_t after : sizes) {
          const std::string& first = values[before].first;
          const std::string& second = values[after].second;
          // The neighbours must not notice.
          const std::vector<Op> ops{put_op("a", "left"), put_op(key, first), put_op("z", "right")};
          const std::vector<Op> again{put_op(key, second)};
          const bool done = changes.write(ops) == "ok" && changes.write(again) == "ok";
          const Model expected{{"a", value("left")}, {key, value(second)}, {"z", value("right")}};
          if (!done || contents(env) != expected) {
            wrong += std::to_string(before) + " to " + std::to_string(after) + " ";
          }
        }
      }
      INFO("key of " << key_size << " bytes, checksum " << checksum);
      CHECK(wrong == "");
    }
  }
}
