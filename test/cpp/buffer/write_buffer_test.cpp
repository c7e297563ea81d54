// What a write buffer holds: versions, removals, keys and records of all kinds.
#include "buffer/write_buffer.h"

#include <xxhash.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace hyper_lmdb {
namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kSeed = 42;

void put(WriteBuffer& buffer, std::string_view key, std::uint64_t version,
         std::string_view record) {
  REQUIRE(buffer.reserve(1, key.size() + record.size()));
  buffer.insert(key, version, {.record = record});
}

void remove(WriteBuffer& buffer, std::string_view key, std::uint64_t version) {
  REQUIRE(buffer.reserve(1, key.size()));
  buffer.insert(key, version, {.removed = true});
}

std::string text(const WriteBuffer::Outcome& outcome) {
  return outcome.removed ? "(removed)" : std::string(outcome.record);
}

std::string found(const WriteBuffer& buffer, std::string_view key, std::uint64_t version) {
  const auto outcome = buffer.find(key, version);
  return outcome ? text(*outcome) : "(nothing)";
}

using Listed = std::vector<std::pair<std::string, std::string>>;

Listed listed(const WriteBuffer& buffer, std::uint64_t version) {
  Listed all;
  BufferCursor cursor(buffer.order(kAny), version);
  for (bool at = cursor.first(); at; at = cursor.next()) {
    all.emplace_back(cursor.key(), text(cursor.outcome()));
  }
  return all;
}

TEST_CASE("A view sees the newest outcome that is not newer than itself") {
  WriteBuffer buffer(1 << 20, kSeed);
  CHECK(buffer.empty());
  CHECK(buffer.bytes_used() == 0);
  CHECK(found(buffer, "a", 9) == "(nothing)");
  CHECK(listed(buffer, 9).empty());
  put(buffer, "a", 3, "three");
  put(buffer, "a", 5, "five");
  remove(buffer, "a", 7);
  put(buffer, "b", 7, "b");
  CHECK(!buffer.empty());
  CHECK(buffer.keys() == 2);
  CHECK(found(buffer, "a", 2) == "(nothing)");
  CHECK(found(buffer, "a", 3) == "three");
  CHECK(found(buffer, "a", 4) == "three");
  CHECK(found(buffer, "a", 5) == "five");
  CHECK(found(buffer, "a", 7) == "(removed)");
  CHECK(found(buffer, "a", kAny) == "(removed)");
  CHECK(found(buffer, "b", 6) == "(nothing)");
  CHECK(listed(buffer, 2).empty());
  CHECK(listed(buffer, 5) == Listed{{"a", "five"}});
  CHECK(listed(buffer, 7) == Listed{{"a", "(removed)"}, {"b", "b"}});
}

// A batch of one key over and over made a chain that each read through an older snapshot walked.
// What is below it is what LMDB surely has: a later number would have readers trust in what it
// lacks.
TEST_CASE("The first version is that of the first outcome, whatever follows") {
  WriteBuffer buffer(1 << 20, kSeed);
  put(buffer, "a", 5, "five");
  CHECK(buffer.first_version() == 5);
  put(buffer, "b", 6, "six");
  remove(buffer, "a", 7);
  CHECK(buffer.first_version() == 5);
}

TEST_CASE("What a write replaces of its own is nothing to pass for those that look behind it") {
  WriteBuffer buffer(1 << 20, kSeed);
  put(buffer, "a", 1, "before");
  for (int i = 0; i < 1000; ++i) put(buffer, "a", 2, std::to_string(i));
  remove(buffer, "a", 3);
  put(buffer, "a", 3, "after");
  std::string versions;
  const BufferKey* const key = buffer.order(kAny)->runs()[0]->front();
  for (const BufferVersion* version = key->at(kAny); version; version = version->older) {
    versions += std::to_string(version->version) + "=" + text(version->outcome()) + " ";
  }
  CHECK(versions == "3=after 2=999 1=before ");
}

TEST_CASE("Of several outcomes of one key and version the last counts") {
  WriteBuffer buffer(1 << 20, kSeed);
  put(buffer, "a", 1, "before");
  put(buffer, "a", 2, "first");
  remove(buffer, "a", 2);
  put(buffer, "a", 2, "last");
  CHECK(found(buffer, "a", 2) == "last");
  CHECK(found(buffer, "a", 1) == "before");
  remove(buffer, "a", 2);
  CHECK(found(buffer, "a", 2) == "(removed)");
  CHECK(listed(buffer, 2) == Listed{{"a", "(removed)"}});
  CHECK(buffer.keys() == 1);
}

TEST_CASE("Keys are bytes of any length, ordered as LMDB orders them") {
  using namespace std::string_literals;
  const std::vector<std::string> ordered{"\0"s,
                                         "\0\0"s,
                                         "\0a"s,
                                         "a",
                                         "a\0"s,
                                         "a\0\0\0\0\0\0\0\0"s,
                                         "a\0\0\0b"s,
                                         "a" + "b"s,
                                         "b",
                                         "\x7f",
                                         "\x80\0"s,
                                         std::string(510, '\xff'),
                                         std::string(511, '\xff')};
  WriteBuffer buffer(1 << 20, kSeed);
  std::vector<std::string> shuffled = ordered;
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(1));
  for (const std::string& key : shuffled) put(buffer, key, 1, "of " + key);
  for (const std::string& key : ordered) CHECK(found(buffer, key, 1) == "of " + key);
  CHECK(found(buffer, std::string(509, '\xff'), 1) == "(nothing)");
  CHECK(found(buffer, "\0\0\0"s, 1) == "(nothing)");
  Listed expected;
  for (const std::string& key : ordered) expected.emplace_back(key, "of " + key);
  CHECK(listed(buffer, 1) == expected);
}

TEST_CASE("Records are as long as they are") {
  WriteBuffer buffer(64 << 20, kSeed);
  std::map<std::string, std::string> model;
  for (const std::size_t size : {1, 7, 8, 4000, 5000, 130'000, 131'073, 1 << 20, 16 << 20, 3}) {
    model[std::to_string(size)] = std::string(size, static_cast<char>('a' + model.size()));
    put(buffer, std::to_string(size), 1, model[std::to_string(size)]);
  }
  for (const auto& [key, record] : model) CHECK(buffer.find(key, 1)->record == record);
}

// With 256 buckets, these pairs share the bucket, the bits of the hash that a node keeps and those
// that the filter goes by, so that only the keys themselves tell them apart.
TEST_CASE("Keys that collide are told apart") {
  WriteBuffer buffer(64 << 10, kSeed);
  std::unordered_map<std::uint64_t, std::string> by_bits;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int i = 100'000; i < 500'000; ++i) {
    const std::string key = std::to_string(i);
    const std::uint64_t hash = XXH3_64bits_withSeed(key.data(), key.size(), kSeed);
    const auto [other, fresh] = by_bits.emplace((hash & 255) << 24 | hash >> 40, key);
    if (!fresh) pairs.emplace_back(other->second, key);
  }
  REQUIRE(pairs.size() > 3);
  pairs.resize(std::min<std::size_t>(pairs.size(), 50));
  for (const auto& [a, b] : pairs) {
    put(buffer, a, 1, "of " + a);
    CHECK(found(buffer, b, 1) == "(nothing)");
    put(buffer, b, 1, "of " + b);
    CHECK(found(buffer, a, 1) == "of " + a);
    CHECK(found(buffer, b, 1) == "of " + b);
  }
  // More keys than buckets, so some share theirs.
  for (int i = 0; i < 300; ++i) put(buffer, "k" + std::to_string(i), 2, std::to_string(i));
  for (int i = 0; i < 300; ++i) {
    REQUIRE(found(buffer, "k" + std::to_string(i), 2) == std::to_string(i));
  }
}

}  // namespace
}  // namespace hyper_lmdb
