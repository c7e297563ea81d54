// Links followed by pure rules, beside a slow reference that keeps whole strings.
#include "paths/path_resolver.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>

namespace hyper_lmdb {
namespace {

using Links = std::map<std::string, std::string>;

constexpr const char* kDead = "(dead)";
constexpr std::size_t kLongest = 700;  // more than a text has in place

std::string follow(const Links& links, std::string_view path, unsigned steps = kMostSteps) {
  PathText text;
  text.assign(path);
  const auto link_at = [&](std::string_view key) -> Result<std::optional<std::string_view>> {
    const auto found = links.find(std::string(key));
    if (found == links.end()) return std::optional<std::string_view>();
    return std::optional<std::string_view>(found->second);
  };
  const auto resolved = follow_links(&text, 0, &steps, kLongest, link_at);
  REQUIRE(resolved.ok());
  return resolved.value() == Resolved::dead ? kDead : std::string(text.view());
}

/// The shortest prefix that is a link gives way to its target, and everything begins anew.
std::string reference(const Links& links, std::string path) {
  for (unsigned steps = 0; steps <= kMostSteps; ++steps) {
    std::size_t end = path.empty() ? std::string::npos : 0;
    const std::string* target = nullptr;
    while (end != std::string::npos && target == nullptr) {
      end = path.find('/', end + 1);
      const auto found = links.find(path.substr(0, end));
      if (found != links.end()) target = &found->second;
    }
    if (target == nullptr) return path;
    const std::string rest = end == std::string::npos ? "" : path.substr(end + 1);
    path = *target + (target->empty() || rest.empty() ? "" : "/") + rest;
    if (path.size() > kLongest) return kDead;
  }
  return kDead;
}

std::string random_path(std::mt19937& random, std::size_t most_segments) {
  std::string path;
  for (std::size_t n = random() % (most_segments + 1); n > 0; --n) {
    if (!path.empty()) path += '/';
    path += static_cast<char>('a' + random() % 4);
  }
  return path;
}

TEST_CASE("Random link graphs resolve as the reference resolves them") {
  std::mt19937 random(20261122);
  int dead = 0;
  int moved = 0;
  for (int graph = 0; graph < 3000; ++graph) {
    Links links;
    for (std::size_t n = random() % 8; n > 0; --n) {
      const std::string at = random_path(random, 3);
      if (!at.empty()) links[at] = random_path(random, 3);
    }
    for (int i = 0; i < 10; ++i) {
      const std::string path = random_path(random, 6);
      const std::string expected = reference(links, path);
      CAPTURE(graph, path);
      CHECK(follow(links, path) == expected);
      dead += expected == kDead;
      moved += expected != kDead && expected != path;
    }
  }
  // The graphs are of all kinds.
  CHECK(dead > 100);
  CHECK(moved > 1000);
}

TEST_CASE("A chain of a thousand links resolves, and one of as many steps as are allowed") {
  Links links;
  for (unsigned i = 0; i < kMostSteps + 1; ++i) {
    links["l" + std::to_string(i)] = "l" + std::to_string(i + 1);
  }
  const std::string end = "l" + std::to_string(kMostSteps + 1);
  CHECK(follow(links, "l" + std::to_string(kMostSteps - 999)) == end);
  CHECK(follow(links, "l1") == end);
  CHECK(follow(links, "l0") == kDead);
}

TEST_CASE("A link visited twice in a path that ends is no cycle") {
  const Links links{{"a", "b"}, {"b/c", "a"}};
  CHECK(follow(links, "a/c/x") == "b/x");
}

TEST_CASE("Cycles and links that outgrow a key lead nowhere") {
  CHECK(follow({{"a", "a"}}, "a") == kDead);
  CHECK(follow({{"a", "b"}, {"b", "a"}}, "a/x") == kDead);
  CHECK(follow({{"a", "a/a"}}, "a") == kDead);
  const std::string longest(kLongest, 'x');
  CHECK(follow({{"a", longest}}, "a") == longest);
  CHECK(follow({{"a", longest}}, "a/b") == kDead);
}

TEST_CASE("The root may be a target") {
  CHECK(follow({{"a", ""}}, "a").empty());
  CHECK(follow({{"a", ""}}, "a/b") == "b");
}

TEST_CASE("A path is canonical without empty segments") {
  for (const char* path : {"/", "//", "a/", "/a", "a//b", "/a//b/"})
    CHECK(!is_canonical_path(path));
  for (const char* path : {"", "a", "a/b", "a/b/c"}) CHECK(is_canonical_path(path));
  CHECK(canonical_path("//a///b//") == "a/b");
  CHECK(canonical_path("///").empty());
  std::mt19937 random(7);
  for (int i = 0; i < 10'000; ++i) {
    std::string path;
    for (std::size_t n = random() % 12; n > 0; --n) path += "/ab"[random() % 3];
    const std::string canonical = canonical_path(path);
    CAPTURE(path);
    CHECK(is_canonical_path(canonical));
    CHECK(canonical.size() == canonical_size(path));
    CHECK(canonical_path(canonical) == canonical);
    CHECK(is_canonical_path(path) == (canonical == path));
  }
}

}  // namespace
}  // namespace hyper_lmdb
