// The path cache: what it keeps, for how long, and that no change leaves a stale answer in it.
#include "paths/path_cache.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

namespace hyper_lmdb {
namespace {

constexpr std::uint64_t kNow = 1'000'000;

PathCache::Resolution to(std::string_view end, Resolved resolved = Resolved::path) {
  PathCache::Resolution resolution;
  // No assertion of Catch2's: threads come here.
  resolution.end.assign(end);
  resolution.resolved = resolved;
  return resolution;
}

void remember(PathCache& cache, std::string_view path, std::string_view end, std::uint64_t version,
              const std::vector<std::string>& keys = {}, std::uint64_t now = kNow) {
  Slots slots;
  for (const std::string& key : keys) slots.push_back(cache.slot_of(key));
  cache.insert(cache.key_of(path), version, now, to(end), std::move(slots));
}

std::string recall(PathCache& cache, std::string_view path, std::uint64_t version,
                   std::uint64_t now = kNow) {
  PathCache::Resolution found;
  if (!cache.find(cache.key_of(path), version, now, &found, nullptr)) return "(miss)";
  return found.resolved == Resolved::dead ? "(dead)" : std::string(found.end.view());
}

TEST_CASE("The least recently used entry goes first") {
  PathCache cache({.entries = 3}, 1);
  for (const char* path : {"a", "b", "c"}) remember(cache, path, path, 1);
  CHECK(recall(cache, "a", 1) == "a");  // now b is the oldest
  remember(cache, "d", "d", 1);
  CHECK(recall(cache, "b", 1) == "(miss)");
  CHECK(recall(cache, "a", 1) == "a");
  CHECK(recall(cache, "c", 1) == "c");
  CHECK(recall(cache, "d", 1) == "d");
  CHECK(cache.stats().evictions == 1);
  CHECK(cache.stats().entries == 3);
}

TEST_CASE("An entry lives its time to the millisecond") {
  PathCache cache({.entries = 10, .ttl_ms = 300'000}, 1);
  remember(cache, "a", "b", 1);
  CHECK(recall(cache, "a", 1, kNow + 299'999) == "b");
  CHECK(recall(cache, "a", 1, kNow + 300'000) == "(miss)");
  CHECK(cache.stats().entries == 0);
}

TEST_CASE("No entries or no time turn the cache off") {
  for (const PathCache::Limits& limits :
       {PathCache::Limits{.entries = 0}, PathCache::Limits{.ttl_ms = 0}}) {
    PathCache cache(limits, 1);
    CHECK(!cache.enabled());
    remember(cache, "a", "b", 1);
    CHECK(recall(cache, "a", 1) == "(miss)");
  }
}

TEST_CASE("A changed link ends the entries that passed through it, and no others") {
  PathCache cache({}, 1);
  remember(cache, "a/x", "b/x", 5, {"a", "b", "b/x"});
  remember(cache, "c/x", "d/x", 5, {"c", "d", "d/x"});
  cache.link_changes("b", 6);
  // The change is not published yet: a view from before it may still use what it knows, or look
  // anew, but a view that sees it must not.
  CHECK(recall(cache, "a/x", 6) == "(miss)");
  CHECK(recall(cache, "c/x", 6) == "d/x");
  CHECK(recall(cache, "c/x", 5) == "d/x");
}

TEST_CASE("What was found before a change and put in after it is not served to later views") {
  PathCache cache({}, 1);
  cache.link_changes("a", 6);
  remember(cache, "a/x", "b/x", 5, {"a"});
  CHECK(recall(cache, "a/x", 6) == "(miss)");
  remember(cache, "a/x", "e/x", 6, {"a"});
  CHECK(recall(cache, "a/x", 6) == "e/x");
  CHECK(recall(cache, "a/x", 7) == "e/x");
}

// A transaction that was given up and one that changes several links both record a version more
// than once; a look-up in between took the entry for checked up to that version.
TEST_CASE("A second change in the same version is seen") {
  PathCache cache({}, 1);
  remember(cache, "a/x", "b/x", 5, {"a"});
  cache.link_changes("other", 6);
  CHECK(recall(cache, "a/x", 5) == "b/x");
  cache.link_changes("a", 6);
  CHECK(recall(cache, "a/x", 6) == "(miss)");
}

TEST_CASE("An older view does not use what a newer one found") {
  PathCache cache({}, 1);
  remember(cache, "a/x", "b/x", 9, {"a"});
  CHECK(recall(cache, "a/x", 8) == "(miss)");
  CHECK(recall(cache, "a/x", 9) == "b/x");
  remember(cache, "a/x", "old", 7, {"a"});  // and does not replace it
  CHECK(recall(cache, "a/x", 9) == "b/x");
}

TEST_CASE("A change of everything leaves nothing") {
  PathCache cache({}, 1);
  remember(cache, "a", "b", 5, {"a"});
  cache.all_change(6);
  CHECK(recall(cache, "a", 6) == "(miss)");
  remember(cache, "a", "b", 5, {"a"});  // by a view from before
  CHECK(recall(cache, "a", 6) == "(miss)");
  remember(cache, "a", "c", 6, {"a"});
  CHECK(recall(cache, "a", 6) == "c");
}

TEST_CASE("Dead ends are remembered too") {
  PathCache cache({}, 1);
  cache.insert(cache.key_of("a"), 1, kNow, to("", Resolved::dead), {});
  CHECK(recall(cache, "a", 1) == "(dead)");
}

TEST_CASE("The bytes are bounded whatever the paths") {
  PathCache cache({.entries = 100'000, .bytes = 1 << 20}, 1);
  for (int i = 0; i < 20'000; ++i) {
    remember(cache, std::string(500, 'x') + std::to_string(i), std::string(511, 'y'), 1);
  }
  CHECK(cache.stats().entries < 1000);
  CHECK(cache.stats().entries > 100);
}

// Readers of a version must never be told what an older version held. The writer moves a link with
// each version: version v leads to "v". What a reader finds it puts in, as the resolver does.
TEST_CASE("Under contention no answer is older than the view that asked") {
  PathCache cache({.entries = 2000}, 1);
  constexpr std::uint64_t kVersions = 20'000;
  std::atomic<std::uint64_t> published{1};
  std::atomic<std::uint64_t> hits{0};
  std::atomic<bool> stale{false};
  const auto read = [&](int thread) {
    for (std::uint64_t i = 0; published.load(std::memory_order_acquire) < kVersions; ++i) {
      const std::uint64_t version = published.load(std::memory_order_acquire);
      const std::string path = "l/" + std::to_string((i + static_cast<unsigned>(thread)) % 50);
      const std::string found = recall(cache, path, version);
      if (found == "(miss)") {
        remember(cache, path, std::to_string(version), version, {"l", path});
      } else {
        hits.fetch_add(1, std::memory_order_relaxed);
        if (found != std::to_string(version)) stale = true;
      }
    }
  };
  std::thread writer([&] {
    for (std::uint64_t version = 2; version <= kVersions; ++version) {
      cache.link_changes("l", version);
      published.store(version, std::memory_order_release);
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(read, i);
  for (std::thread& reader : readers) reader.join();
  writer.join();
  CHECK(!stale);
  CHECK(hits > 0);
  CHECK(cache.stats().entries <= 2000);
}

// A key lies below the directory at even versions and at no odd one; readers look and say so.
TEST_CASE("Under contention nobody is told that nothing lies where a key had appeared") {
  PathCache cache({.entries = 100}, 1);
  constexpr std::uint64_t kVersions = 20'000;
  std::atomic<std::uint64_t> published{1};
  std::atomic<std::uint64_t> told{0};
  std::atomic<bool> wrong{false};
  const auto directory = cache.key_of("d");
  cache.insert(directory, 1, kNow, to("t"), {});
  const auto read = [&] {
    for (;;) {
      const std::uint64_t version = published.load(std::memory_order_acquire);
      if (version >= kVersions) return;
      PathCache::Resolution found;
      (void)cache.find(directory, version, kNow, &found, nullptr);
      if (found.below == PathCache::Below::nothing) {
        told.fetch_add(1, std::memory_order_relaxed);
        if (version % 2 == 0) wrong = true;
      } else if (!cache.may_have_appeared(directory, version)) {
        cache.looked_below(directory, version, kNow, version % 2 != 0);
      }
    }
  };
  std::thread writer([&] {
    for (std::uint64_t version = 2; version <= kVersions; ++version) {
      if (version % 2 == 0) cache.appears("d/x", version);
      published.store(version, std::memory_order_release);
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(read);
  for (std::thread& reader : readers) reader.join();
  writer.join();
  CHECK(!wrong);
  CHECK(told > 0);
}

TEST_CASE("A full cache of many entries lets go of those not used for long") {
  PathCache cache({.entries = 800}, 1);
  const auto name = [](int i) { return "p" + std::to_string(i); };
  for (int i = 0; i < 800; ++i) remember(cache, name(i), "e", 1);
  for (int i = 0; i < 400; ++i) CHECK(recall(cache, name(i), 1) == "e");
  for (int i = 800; i < 1200; ++i) remember(cache, name(i), "e", 1);
  for (int i = 0; i < 400; ++i) CHECK(recall(cache, name(i), 1) == "e");
  for (int i = 400; i < 800; ++i) CHECK(recall(cache, name(i), 1) == "(miss)");
  CHECK(cache.stats().entries == 800);
}

TEST_CASE("Where bytes are what is short, those not used for long make way as well") {
  PathCache cache({.entries = 800, .bytes = 64 << 10}, 1);
  const auto name = [](int i) { return std::string(400, 'p') + std::to_string(i); };
  int fit = 0;
  while (cache.stats().evictions == 0) remember(cache, name(fit++), "e", 1);
  REQUIRE(fit > 40);
  REQUIRE(fit < 200);
  for (int i = 1; i < fit / 2; ++i) CHECK(recall(cache, name(i), 1) == "e");
  for (int i = fit; i < fit + fit / 2 - 1; ++i) remember(cache, name(i), "e", 1);
  for (int i = 1; i < fit / 2; ++i) CHECK(recall(cache, name(i), 1) == "e");
}

}  // namespace
}  // namespace hyper_lmdb
