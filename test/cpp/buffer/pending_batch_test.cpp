// The payload of a journal record: it gives back what was decided, and never more than it holds.
#include "buffer/pending_batch.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/apply.h"
#include "support/decider.h"
#include "support/ops.h"
#include "support/tree_changes.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::size_t kLongest = 3000;

using Outcomes = std::vector<std::pair<std::string, std::string>>;  // key and words

struct Made {
  PendingBatch pending_batch;
  Outcomes outcomes;
};

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// Outcomes of all kinds, the longest key among them, with counts or without.
Made some_draft(std::mt19937_64& random, bool counted) {
  Made made;
  made.pending_batch.begin(false, random() % 2 == 0 ? 0 : 5000);
  for (std::size_t n = random() % 20; n > 0; --n) {
    const std::string key = random_bytes(random, random() % 10 == 0 ? kLongest : 1 + random() % 20);
    if (random() % 3 == 0) {
      made.pending_batch.add_removal(key);
      made.outcomes.emplace_back(key, "removed");
      continue;
    }
    const std::string payload = random_bytes(random, random() % 200);
    const Record record{.kind = Kind::value, .group = random() % 2 == 0, .payload = payload};
    made.pending_batch.add(key, record);
    made.outcomes.emplace_back(key, (record.group ? "value group " : "value ") + payload);
  }
  if (counted) made.pending_batch.add_counts({.links = 5, .marks = 6, .link_generation = 7});
  return made;
}

struct Read {
  std::string word;
  Outcomes outcomes;
  RecordCounts counts;
};

Read read(std::string_view payload) {
  Read all;
  all.word = outcome(read_payload(payload, kLongest, &all.counts,
                                  [&](std::string_view key, const BufferOutcome& outcome) {
                                    all.outcomes.emplace_back(key, words_of(outcome));
                                    return Result<void>();
                                  }));
  return all;
}

}  // namespace

TEST_CASE("A payload gives back the outcomes in order, and the counts where it has them") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    const bool counted = round % 2 == 0;
    const Made made = some_draft(random, counted);
    const Read found = read(made.pending_batch.payload());
    REQUIRE(found.word == "ok");
    REQUIRE(found.outcomes == made.outcomes);
    REQUIRE(made.pending_batch.outcomes() == made.outcomes.size());
    CHECK(found.counts.links == (counted ? 5 : 0));
    CHECK(found.counts.marks == (counted ? 6 : 0));
    CHECK(found.counts.link_generation == (counted ? 7 : 0));
  }
}

TEST_CASE("A pending_batch enters the buffer as it stands in the payload, of one key the last") {
  std::mt19937_64 random(2);
  WriteBuffer buffer(8 << 20, 1);
  for (std::uint64_t version = 1; version <= 50; ++version) {
    const Made made = some_draft(random, false);
    REQUIRE(buffer.reserve(made.pending_batch.outcomes(), made.pending_batch.bytes()));
    made.pending_batch.insert_into(&buffer, version);
    for (auto at = made.outcomes.rbegin(); at != made.outcomes.rend(); ++at) {
      const auto found = buffer.find(at->first, version);
      REQUIRE(found.has_value());
      const auto last =
          std::find_if(made.outcomes.rbegin(), made.outcomes.rend(),
                       [&](const auto& outcome) { return outcome.first == at->first; });
      REQUIRE(words_of(*found) == last->second);
    }
  }
}

TEST_CASE("Every truncation of a payload is corrupted, or whole outcomes up to its end") {
  std::mt19937_64 random(3);
  std::size_t corrupted = 0, clean = 0;
  for (int round = 0; round < 20; ++round) {
    const Made made = some_draft(random, round % 2 == 0);
    for (std::size_t size = 0; size < made.pending_batch.payload().size(); ++size) {
      // A copy of its own, so that a read past the end is one the sanitizer sees.
      const std::vector<char> bytes(made.pending_batch.payload().begin(),
                                    made.pending_batch.payload().begin() + static_cast<long>(size));
      const Read found = read({bytes.data(), bytes.size()});
      CAPTURE(round, size, found.word);
      REQUIRE((found.word == "ok" || found.word == "corrupted"));
      ++(found.word == "ok" ? clean : corrupted);
      REQUIRE(found.outcomes.size() <= made.outcomes.size());
      REQUIRE(std::equal(found.outcomes.begin(), found.outcomes.end(), made.outcomes.begin()));
    }
  }
  CHECK(clean > 0);
  CHECK(corrupted > clean);
}

TEST_CASE("No changed byte of a payload makes a key or a record that it does not hold") {
  std::mt19937_64 random(4);
  for (int round = 0; round < 2000; ++round) {
    const Made made = some_draft(random, round % 2 == 0);
    std::string payload(made.pending_batch.payload());
    for (std::size_t n = 1 + random() % 3; n > 0; --n) {
      payload[random() % payload.size()] = static_cast<char>(random());
    }
    const std::vector<char> bytes(payload.begin(), payload.end());
    const Read found = read({bytes.data(), bytes.size()});
    REQUIRE((found.word == "ok" || found.word == "corrupted"));
    std::size_t total = 0;
    for (const auto& [key, words] : found.outcomes) {
      REQUIRE((!key.empty() && key.size() <= kLongest));
      total += key.size();
    }
    REQUIRE(total <= payload.size());
  }
}

TEST_CASE("A key in a payload is as long as a key can be, and no longer") {
  for (const std::size_t size : {kLongest, kLongest + 1}) {
    PendingBatch pending_batch;
    pending_batch.begin(false, 0);
    pending_batch.add_removal(std::string(size, 'k'));
    const Read found = read(pending_batch.payload());
    CHECK(found.word == (size == kLongest ? "ok" : "corrupted"));
    CHECK(found.outcomes.size() == (size == kLongest ? 1 : 0));
  }
}

TEST_CASE("An error of whom the outcomes are handed to ends the reading") {
  PendingBatch pending_batch;
  pending_batch.begin(false, 0);
  pending_batch.add_removal("a");
  pending_batch.add_removal("b");
  int calls = 0;
  RecordCounts counts;
  const auto refuse = [&](std::string_view, const BufferOutcome&) -> Result<void> {
    ++calls;
    return Error{.code = Code::no_memory, .operation = "test"};
  };
  CHECK(outcome(read_payload(pending_batch.payload(), kLongest, &counts, refuse)) == "no_memory");
  CHECK(calls == 1);
}

TEST_CASE("A pending_batch that begins anew has nothing of the one before") {
  PendingBatch pending_batch;
  pending_batch.begin(true, 4 << 20);
  pending_batch.add("a", {.kind = Kind::value, .payload = std::string(2 << 20, 'v')});
  pending_batch.add_counts({.links = 1});
  pending_batch.begin(true, 10);
  CHECK(pending_batch.outcomes() == 0);
  CHECK(pending_batch.bytes() == 0);
  CHECK_FALSE(pending_batch.find("a").has_value());
  CHECK(read(pending_batch.payload()).word == "ok");
  CHECK(read(pending_batch.payload()).outcomes.empty());
}

TEST_CASE("A batch comes to the same in a buffer as in the tree") {
  const std::vector<std::string> keys{"a", "b", "c", "a/x", "b/x", "a/x/y", "b/x/y", "c/x/y"};
  const std::vector<std::string> paths{"a", "/b/", "c", "a//x", "b/x", "a/x/y", "c/x/y", "b/x/y"};
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    std::mt19937_64 random(seed);
    const RawEnv env;
    TreeChanges tree(env);
    Decider buffer;
    for (int round = 0; round < 300; ++round) {
      std::vector<std::string> values;
      values.reserve(8);
      std::vector<Op> ops;
      for (std::size_t n = 1 + random() % 6; n > 0; --n) {
        values.push_back(std::to_string(round) + "." + std::to_string(n));
        const bool is_path = random() % 2 == 0;
        const std::string& key = is_path ? paths[random() % 8] : keys[random() % 8];
        switch (random() % 8) {
          case 0:
            ops.push_back(link_op(paths[random() % 8], key));
            break;
          case 1:
            ops.push_back(group_op(key));
            break;
          case 2:
          case 3:
            ops.push_back(remove_op(key));
            break;
          default:
            ops.push_back(put_op(key, values.back()));
        }
        ops.back().is_path = is_path;
      }
      CAPTURE(seed, round);
      REQUIRE(buffer.write(ops) == tree.write(ops));
      for (const std::string& key : keys) {
        const auto stored = env.get(key);
        REQUIRE(buffer.at(key) == (stored ? words_of(*stored) : "nothing"));
      }
      REQUIRE(buffer.links().count() == tree.links());
    }
  }
}

// The library's own hash of texts is the same in every process: a batch of keys that were chosen to
// share a place in its table held the store's write lock for as long as their number squared.
TEST_CASE("Keys chosen by a hash that anybody can compute cost what other keys cost") {
  constexpr std::size_t kKeys = 3000;
  std::unordered_map<std::size_t, int> table;  // of as many as there will be
  while (table.size() < kKeys) table[table.size()] = 0;
  const std::size_t places = table.bucket_count();
  std::vector<std::string> chosen, others;
  for (std::uint64_t n = 0; chosen.size() < kKeys; ++n) {
    std::string key = "key " + std::to_string(n);
    if (std::hash<std::string>()(key) % places == 0) chosen.push_back(key);
    if (n < kKeys) others.push_back(std::move(key));
  }
  const auto least_time = [](const std::vector<std::string>& keys) {
    auto least = std::chrono::steady_clock::duration::max();
    for (int round = 0; round < 5; ++round) {
      const auto begun = std::chrono::steady_clock::now();
      PendingBatch pending_batch;
      pending_batch.begin(true, 0);
      for (const std::string& key : keys) pending_batch.add_removal(key);
      for (const std::string& key : keys) REQUIRE(pending_batch.find(key));
      least = std::min(least, std::chrono::steady_clock::now() - begun);
    }
    return least;
  };
  CHECK(least_time(chosen) < 4 * least_time(others));
}
