// Where paths lead in random stores that change, beside a slow reference that keeps whole strings;
// with what was remembered of earlier look-ups and without.
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "format/path.h"
#include "paths/path_resolver.h"
#include "support/path_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

// -- the reference

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
    if (path.size() > longest_key()) return kDead;
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
  int dead = 0, moved = 0, shortened = 0;
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
        shortened +=
            expected != kDead && !expected.starts_with(path + "=") && rig.lookups(path, true) == 1;
        now_ms += random() % 100;  // so that what lies below a directory is looked at again
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
  CHECK(shortened > 500);
}
