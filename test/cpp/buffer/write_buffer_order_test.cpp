// The keys of a write buffer in order: beside a plain map of versions, and at what cost.
#include "buffer/write_buffer_order.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "buffer/write_buffer.h"

namespace hyper_lmdb {
namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kSeed = 42;

void put(WriteBuffer& buffer, std::string_view key, std::uint64_t version,
         std::string_view record) {
  if (!buffer.reserve(1, key.size() + record.size())) throw std::length_error("full");
  buffer.insert(key, version, {.record = record});
}

std::string text(const WriteBuffer::Outcome& outcome) {
  return outcome.removed ? "(removed)" : std::string(outcome.record);
}

/// Keys, each with what every version of it holds.
using Model = std::map<std::string, std::map<std::uint64_t, std::string>>;
using Seen = std::vector<std::pair<std::string, std::string>>;

Seen seen_at(const Model& model, std::uint64_t version) {
  Seen seen;
  for (const auto& [key, versions] : model) {
    const auto after = versions.upper_bound(version);
    if (after != versions.begin()) seen.emplace_back(key, std::prev(after)->second);
  }
  return seen;
}

/// Short keys of few bytes, so that many are given twice and begin alike.
std::string random_key(std::mt19937& random) {
  std::string key = random() % 2 == 0 ? "common/prefix/of/keys/" : "";
  for (std::size_t n = 1 + random() % 4; n > 0; --n) {
    key += std::string_view("\0\x01/az\x7f\x80\xff", 8)[random() % 8];
  }
  return key;
}

void write_batch(WriteBuffer& buffer, Model& model, std::uint64_t version, std::mt19937& random) {
  const std::size_t outcomes = 1 + random() % 8;
  std::vector<std::string> keys;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < outcomes; ++i) {
    keys.push_back(random_key(random));
    bytes += keys.back().size() + 20;
  }
  REQUIRE(buffer.reserve(outcomes, bytes));
  for (const std::string& key : keys) {
    const bool removed = random() % 4 == 0;
    const std::string record = std::to_string(random());
    buffer.insert(key, version, {.removed = removed, .record = record});
    model[key][version] = removed ? "(removed)" : record;
  }
}

/// Takes steps of all kinds and compares each with what `seen` has. The cursor is at `at`: -1 is
/// before the first.
void walk(BufferCursor& cursor, const Seen& seen, std::mt19937& random, int steps) {
  const auto end = static_cast<std::ptrdiff_t>(seen.size());
  std::ptrdiff_t at = -1;
  const auto not_before = [&](const std::string& key) {
    return std::lower_bound(seen.begin(), seen.end(), key,
                            [](const auto& one, const auto& other) { return one.first < other; }) -
           seen.begin();
  };
  for (int i = 0; i < steps; ++i) {
    const std::string sought =
        random() % 2 == 0 && end > 0 ? seen[random() % seen.size()].first : random_key(random);
    const unsigned step = random() % 16;
    bool there = false;
    if (step == 0) {
      there = cursor.seek(sought);
      at = not_before(sought);
    } else if (step == 1) {
      there = cursor.seek_before(sought);
      at = not_before(sought) - 1;
    } else if (step == 2) {
      there = cursor.first();
      at = 0;
    } else if (step == 3) {
      there = cursor.last();
      at = end - 1;
    } else if (step < 10) {
      there = cursor.next();
      at = std::min(at + 1, end);
    } else {
      there = cursor.previous();
      at = std::max<std::ptrdiff_t>(at - 1, -1);
    }
    CAPTURE(step, sought, at);
    REQUIRE(there == (at >= 0 && at < end));
    if (!there) continue;
    REQUIRE(std::string(cursor.key()) == seen[static_cast<std::size_t>(at)].first);
    REQUIRE(text(cursor.outcome()) == seen[static_cast<std::size_t>(at)].second);
  }
}

TEST_CASE("At any version, found and walked, the buffer is what a map of versions is") {
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    WriteBuffer buffer(1 << 20, random());
    Model model;
    std::uint64_t version = 10;
    for (int batch = 0; batch < 60; ++batch) {
      // A view from before the batch, walked after it.
      const Seen before = seen_at(model, version);
      BufferCursor cursor(buffer.order(kAny), version);
      version += 1 + random() % 3;
      write_batch(buffer, model, version, random);
      walk(cursor, before, random, 20);

      const std::uint64_t view = version - random() % (2 * (version - 9));
      BufferCursor later(buffer.order(kAny), view);
      const Seen seen = seen_at(model, view);
      walk(later, seen, random, 50);
      for (const auto& [key, held] : seen) {
        const auto found = buffer.find(key, view);
        REQUIRE(found.has_value());
        REQUIRE(text(*found) == held);
      }
      const std::string key = random_key(random);
      if (!model.contains(key)) REQUIRE(!buffer.find(key, view).has_value());
    }
    REQUIRE(buffer.keys() == model.size());
  }
}

TEST_CASE("All keys are walked both ways, whatever runs they lie in") {
  std::mt19937 random(5);
  WriteBuffer buffer(32 << 20, kSeed);
  Model model;
  std::size_t most_runs = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string key = "p/" + std::to_string(random() % 1'000'000);
    put(buffer, key, 1, "r");
    model[key][1] = "r";
    if (random() % 100 != 0) continue;
    most_runs = std::max(most_runs, buffer.order(kAny)->runs().size());
  }
  CHECK(most_runs > 3);
  CHECK(most_runs < 16);  // each at least twice as long as the next
  const Seen seen = seen_at(model, 1);
  BufferCursor cursor(buffer.order(kAny), 1);
  for (const auto& one : seen) {
    REQUIRE(cursor.next());
    REQUIRE(cursor.key() == one.first);
  }
  CHECK(!cursor.next());
  for (auto one = seen.rbegin(); one != seen.rend(); ++one) {
    REQUIRE(cursor.previous());
    REQUIRE(cursor.key() == one->first);
  }
  CHECK(!cursor.previous());
}

TEST_CASE("Many keys that are sorted at once come in order, and how much is done is said") {
  std::mt19937 random(6);
  for (const std::size_t keys : {1U, 4095U, 4096U, 4097U, 50'000U, 70'000U}) {
    WriteBuffer buffer(64 << 20, kSeed);
    Model model;
    while (model.size() < keys) {
      const std::string key = "prefix/of/all/" + std::to_string(random());
      put(buffer, key, 1, "r");
      model[key][1] = "r";
    }
    double done = 0;
    int times = 0;
    const auto order = buffer.order(kAny, [&](double now) {
      CHECK(now >= done);
      done = now;
      ++times;
    });
    CHECK(done <= 1);
    if (keys >= 4096) CHECK(done == 1);
    CHECK(times >= static_cast<int>(3 * keys / 4096));
    REQUIRE(order->runs().size() == 1);
    REQUIRE(order->keys() == keys);
    BufferCursor cursor(order, 1);
    for (const auto& one : seen_at(model, 1)) {
      REQUIRE(cursor.next());
      REQUIRE(cursor.key() == one.first);
    }
    CHECK(!cursor.next());
  }
}

TEST_CASE("Who sorts is told that another thread waits for it") {
  WriteBuffer buffer(1 << 20, kSeed);
  for (int i = 0; i < 100; ++i) put(buffer, std::to_string(i), 1, "r");
  CHECK(!buffer.order_is_awaited());
  std::promise<void> sorting;
  auto other = std::async(std::launch::async, [&] {
    sorting.get_future().wait();
    return buffer.order(kAny)->keys();
  });
  bool told = false, begun = false;
  const auto order = buffer.order(kAny, [&](double) {
    if (!std::exchange(begun, true)) sorting.set_value();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!told && std::chrono::steady_clock::now() < deadline) {
      told = buffer.order_is_awaited();
      std::this_thread::yield();
    }
  });
  CHECK(told);
  CHECK(other.get() == 100);
  CHECK(!buffer.order_is_awaited());
}

TEST_CASE("An order that takes too much is not made") {
  WriteBuffer buffer(1 << 20, kSeed);
  REQUIRE(buffer.order(0) != nullptr);
  for (int i = 0; i < 100; ++i) put(buffer, std::to_string(i), 1, "r");
  CHECK(buffer.order(0) == nullptr);
  CHECK(buffer.order(99) == nullptr);
  const auto order = buffer.order(100);
  REQUIRE(order != nullptr);
  CHECK(order->keys() == 100);
  CHECK(buffer.order(0) == order);  // nothing came since
  put(buffer, "5", 2, "another version is no other key");
  CHECK(buffer.order(0) == order);
  put(buffer, "new", 2, "r");
  CHECK(buffer.order(0) == nullptr);
  REQUIRE(buffer.order(1) != nullptr);
  CHECK(buffer.order(1)->keys() == 101);
  CHECK(order->keys() == 100);  // who has it keeps it
}

// Sorting or copying all keys for each listing would make every one of these too much.
TEST_CASE("A listing after each write does not pay for all keys") {
  WriteBuffer buffer(64 << 20, kSeed);
  for (int i = 0; i < 50'000; ++i) put(buffer, "k" + std::to_string(i * 7919LL), 1, "r");
  REQUIRE(buffer.order(kAny) != nullptr);
  int too_much = 0;
  for (int i = 0; i < 4096; ++i) {
    put(buffer, "n" + std::to_string(i * 7919LL), 2, "r");
    if (buffer.order(64) != nullptr) continue;
    ++too_much;
    REQUIRE(buffer.order(10'000) != nullptr);
  }
  CHECK(too_much > 0);  // merging counts
  CHECK(too_much < 4096 / 16);
}

}  // namespace
}  // namespace hyper_lmdb
