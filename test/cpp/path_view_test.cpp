// Where paths lead in a snapshot, beside a slow reference that keeps whole strings; with what was
// remembered of earlier look-ups and without.
#include "path_view.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/outcome.h"
#include "support/raw_env.h"
#include "txn.h"
#include "value.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kPlenty = 1'000'000;
constexpr const char* kDead = "(dead)";

using Records = std::map<std::string, Record>;  // payloads are the test's own strings

std::string encoded(std::string_view key, const Record& record) {
  std::string bytes(encoded_size(record), '\0');
  encode(key, record, bytes.data());
  return bytes;
}
Record value_of(std::string_view bytes) {
  return {.kind = Kind::value, .payload = bytes};
}
Record link_to(std::string_view target, bool checksum = false) {
  return {.kind = Kind::link, .checksum = checksum, .payload = target};
}

/// An environment, and what two processes know of the links in it: one with a cache, one without.
class Rig {
 public:
  explicit Rig(const Records& store) {
    std::uint64_t links = 0;
    for (const auto& [key, record] : store) {
      env_.put(key, encoded(key, record));
      links += record.kind == Kind::link;
    }
    const RecordCounts counts{.links = links};
    cached_.emplace(PathCache::Limits{}, 1, false, counts, version());
    plain_.emplace(PathCache::Limits{.entries = 0}, 1, false, counts, version());
  }

  /// `work` with a view of the present.
  template <typename Work>
  auto with_view(bool cached, std::uint64_t most_lookups, Work work) {
    auto txn = ReadTxn::begin(env_.get());
    Links& links = cached ? *cached_ : *plain_;
    const View snapshot(txn.value().get(), env_.dbi(), mdb_txn_id(txn.value().get()));
    const auto known = links.view(snapshot);
    PathView view(
        snapshot, &links, known.value(), [] { return std::uint64_t{1000}; }, most_lookups);
    return work(view);
  }
  /// Where a read looks, and the record it finds there.
  std::string located(std::string_view path, bool cached, std::uint64_t most_lookups = kPlenty) {
    return with_view(cached, most_lookups, [&](PathView& view) -> std::string {
      const auto found = view.locate(path);
      if (!found) return outcome(found);
      if (found.value().resolved == Resolved::dead) return kDead;
      const auto bytes = found.value().bytes;
      return std::string(found.value().key.view()) + "=" + std::string(bytes.value_or("-"));
    });
  }
  std::string to_write(std::string_view path, bool cached, std::uint64_t most_lookups = kPlenty) {
    return with_view(cached, most_lookups, [&](PathView& view) -> std::string {
      PathText key;
      const auto found = view.locate_for_write(path, &key);
      if (!found) return outcome(found);
      return found.value() == Resolved::dead ? kDead : std::string(key.view());
    });
  }
  /// Look-ups that a read takes.
  std::uint64_t lookups(std::string_view path, bool cached) {
    return with_view(cached, kPlenty, [&](PathView& view) {
      REQUIRE(view.locate(path).ok());
      return kPlenty - view.lookups_left();
    });
  }

  /// Replaces what is at a key, as one transaction.
  void set(const std::string& key, const Record& before, const Record& after) {
    auto txn = WriteTxn::begin(env_.get());
    for (Links* links : {&*cached_, &*plain_}) {
      links->begin(mdb_txn_id(txn.value().get()));
      const bool was = before.kind == Kind::link;
      const bool is = after.kind == Kind::link;
      if (was || is) links->change(key, int{is} - int{was});
    }
    env_.put(txn.value().get(), key, encoded(key, after));
    REQUIRE(txn.value().commit().ok());
    for (Links* links : {&*cached_, &*plain_}) links->end(true);
  }
  /// Stores bytes behind everyone's back.
  void damage(const std::string& key, std::size_t at, unsigned flip) {
    std::string bytes = *env_.get(key);
    bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(flip));
    env_.put(key, bytes);
  }

 private:
  std::uint64_t version() {
    auto txn = ReadTxn::begin(env_.get());
    return mdb_txn_id(txn.value().get());
  }

  RawEnv env_;
  std::optional<Links> cached_, plain_;
};

// -- the reference
// ---------------------------------------------------------------------------------

Kind kind_at(const Records& store, const std::string& key) {
  const auto found = store.find(key);
  return found == store.end() ? Kind::none : found->second.kind;
}

/// The shortest prefix that is a link gives way to its target, and everything begins anew.
std::string chase(const Records& store, std::string path) {
  for (unsigned steps = 0; steps <= kMostSteps; ++steps) {
    std::size_t end = path.empty() ? std::string::npos : 0;
    bool found = false;
    while (end != std::string::npos && !found) {
      end = path.find('/', end + 1);
      found = kind_at(store, path.substr(0, end)) == Kind::link;
    }
    if (!found) return path;
    const std::string target(store.at(path.substr(0, end)).payload);
    const std::string rest = end == std::string::npos ? "" : path.substr(end + 1);
    path = target + (target.empty() || rest.empty() ? "" : "/") + rest;
    if (path.size() > kMaxKeyBytes) return kDead;
  }
  return kDead;
}

/// A value at the path itself is the end; a link there goes first.
std::string reference(const Records& store, const std::string& path) {
  std::string end = path;
  const Kind kind = kind_at(store, path);
  if (kind == Kind::link) end = chase(store, std::string(store.at(path).payload));
  if (kind == Kind::none) end = chase(store, path);
  if (end == kDead) return kDead;
  const auto held = store.find(end);
  return end + "=" + (held == store.end() ? "-" : encoded(end, held->second));
}

std::string reference_for_write(const Records& store, const std::string& path) {
  if (kind_at(store, path) != Kind::none) return path;
  const std::string parent = chase(store, std::string(parent_of(path)));
  if (parent == kDead) return kDead;
  return parent + (parent.empty() ? "" : "/") + std::string(name_in(path));
}

// -- random stores
// ---------------------------------------------------------------------------------

/// Few names, so that links, values and marks meet; those of the paths that links lead to.
std::vector<std::string> all_paths() {
  std::vector<std::string> paths{""};
  for (std::size_t i = 0; i < paths.size() && paths.size() < 85; ++i) {
    for (const char* name : {"a", "b", "a-", "c"}) {
      paths.push_back(paths[i] + (paths[i].empty() ? "" : "/") + name);
    }
  }
  return paths;
}

Record random_record(std::mt19937& random, const std::vector<std::string>& paths) {
  switch (random() % 6) {
    case 0:
      return {.kind = Kind::none, .group = true, .payload = {}};
    case 1:
    case 2:
      return value_of("v");
    default:
      return link_to(paths[random() % paths.size()], random() % 2 == 0);
  }
}

}  // namespace

TEST_CASE("Paths lead where the reference says, whatever is remembered and whatever changes") {
  const auto paths = all_paths();
  std::mt19937 random(20261123);
  int dead = 0, moved = 0;
  for (int round = 0; round < 150; ++round) {
    Records store;
    // Mostly short ones, that others pass.
    const auto key = [&] { return paths[1 + random() % (random() % 2 == 0 ? 12 : 80)]; };
    for (std::size_t n = random() % 12; n > 0; --n) store[key()] = random_record(random, paths);
    Rig rig(store);
    for (int version = 0; version < 6; ++version) {
      for (int i = 0; i < 12; ++i) {
        std::string path = paths[random() % paths.size()];
        for (std::size_t n = random() % 3; n > 0 && !path.empty(); --n) path += "/" + key();
        CAPTURE(round, version, path);
        const std::string expected = reference(store, path);
        CHECK(rig.located(path, false) == expected);
        CHECK(rig.located(path, true) == expected);
        CHECK(rig.located(path, true) == expected);
        if (path.empty()) continue;
        const std::string place = reference_for_write(store, path);
        CHECK(rig.to_write(path, false) == place);
        CHECK(rig.to_write(path, true) == place);
        dead += expected == kDead;
        moved += expected != kDead && !expected.starts_with(path + "=");
      }
      const std::string at = key();
      const Record after = random_record(random, paths);
      rig.set(at, store[at], after);
      store[at] = after;
    }
  }
  // The stores are of all kinds.
  CHECK(dead > 500);
  CHECK(moved > 1000);
}

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
  CHECK(rig.lookups("l0/x", true) == 2);
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
