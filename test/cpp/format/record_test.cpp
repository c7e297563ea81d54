#include "format/record.h"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/outcome.h"

using namespace hyper_lmdb;
using test::outcome;

namespace {

constexpr std::uint8_t kKnownBits = 0x80 | 0x40 | 0x20 | 0x0f;

std::string encoded(std::string_view key, const Record& record) {
  // Exactly the size that was promised: the sanitizer sees a byte too many.
  std::vector<char> bytes(encoded_size(record));
  encode(key, record, bytes.data());
  return {bytes.begin(), bytes.end()};
}

/// What was wrong with one record after a round trip; empty if nothing.
std::string round_trip(std::string_view key, const Record& record) {
  const std::string bytes = encoded(key, record);
  if (bytes.size() != encoded_size(record)) return "size";
  const auto back = decode(bytes);
  if (!back) return test::word_of(back.error());
  if (back.value().kind != record.kind) return "kind";
  if (back.value().group != record.group) return "group";
  if (back.value().checksum != record.checksum) return "checksum";
  if (back.value().payload != record.payload) return "payload";
  return outcome(verify(key, bytes)) == "ok" ? "" : "verify";
}

std::string random_bytes(std::mt19937_64& random, std::size_t count) {
  std::string bytes(count, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
  return bytes;
}

}  // namespace

TEST_CASE("A value comes back whatever two bytes it begins with") {
  for (const bool checksum : {false, true}) {
    std::string wrong;
    for (int pair = 0; pair < 65536; ++pair) {
      std::string payload = "xx and more";
      payload[0] = static_cast<char>(pair >> 8);
      payload[1] = static_cast<char>(pair);
      for (const std::size_t size : {std::size_t{1}, std::size_t{2}, payload.size()}) {
        const Record record{
            .kind = Kind::value, .checksum = checksum, .payload = {payload.data(), size}};
        const std::string problem = round_trip("key", record);
        if (!problem.empty()) wrong = problem + " of pair " + std::to_string(pair);
      }
    }
    CHECK(wrong == "");
  }
}

TEST_CASE("Every kind, mark and size comes back") {
  std::mt19937_64 random(1);
  for (const Kind kind : {Kind::none, Kind::value, Kind::link}) {
    for (const bool group : {false, true}) {
      for (const bool checksum : {false, true}) {
        for (const std::size_t size : {0, 1, 7, 8, 9, 63, 64, 511, 4096, 70'000}) {
          const std::string payload = random_bytes(random, size);
          const Record record{kind, group, checksum, payload};
          INFO("kind " << int(kind) << " group " << group << " checksum " << checksum << " size "
                       << size);
          CHECK(round_trip(random_bytes(random, 1 + size % 511), record) == "");
          CHECK(is_present(record) == (kind != Kind::none));
        }
      }
    }
  }
}

TEST_CASE("Of all tags only those of this format are read") {
  std::size_t known = 0;
  for (int tag = 0; tag < 256; ++tag) {
    // Behind a checksum or none the size of a compressed value, larger than the rest.
    const std::string bytes = std::string(1, static_cast<char>(tag)) + std::string(20, '\x01');
    const bool even = std::popcount(static_cast<unsigned>(tag)) % 2 == 0;
    const bool ours = (tag & ~kKnownBits) == 0 && (tag & 0x0f) <= 4;
    known += even && ours ? 1 : 0;
    INFO("tag " << tag);
    CHECK(outcome(decode(bytes)) == (!even ? "corrupted" : ours ? "ok" : "unknown_format"));
  }
  CHECK(known == 20);  // five kinds, each with or without a mark and a checksum
}

TEST_CASE("A compressed value keeps its codec, its mark and its checksum, and says its size") {
  const std::string payload = std::string("\x39\x30\x00\x00", 4) + "what a codec made";
  for (const Compression codec : {Compression::lz4, Compression::zstd}) {
    for (const bool group : {false, true}) {
      for (const bool checksum : {false, true}) {
        const Record record{Kind::value, group, checksum, payload, codec};
        CHECK(round_trip("key", record) == "");
        const std::string bytes = encoded("key", record);
        CHECK(decode(bytes).value().codec == codec);
        CHECK(value_size(decode(bytes).value()) == 12345);
      }
    }
  }
  CHECK(value_size({.kind = Kind::value, .payload = "12345"}) == 5);
}

TEST_CASE("A record cut short is corrupted") {
  CHECK(outcome(decode("")) == "corrupted");
  CHECK(outcome(verify("key", "")) == "corrupted");
  const std::string bytes =
      encoded("key", {.kind = Kind::value, .checksum = true, .payload = "payload"});
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    INFO("first " << size << " bytes");
    CHECK(outcome(decode(bytes.substr(0, size))) == (size < 9 ? "corrupted" : "ok"));
    CHECK(outcome(verify("key", bytes.substr(0, size))) ==
          (size < 9 ? "corrupted" : "checksum_mismatch"));
  }
}

TEST_CASE("Random bytes decode to an error or to a part of themselves") {
  std::mt19937_64 random(2);
  std::size_t accepted = 0;
  std::string wrong;
  for (int i = 0; i < 300'000; ++i) {
    // A copy on the heap of exactly this size: reading past its end is seen.
    const std::string drawn = random_bytes(random, random() % 24);
    const std::vector<char> bytes(drawn.begin(), drawn.end());
    const std::string_view view(bytes.data(), bytes.size());
    const auto record = decode(view);
    const std::string verdict = outcome(verify("key", view));
    if (!record) {
      const std::string word = outcome(record);
      if (word != "corrupted" && word != "unknown_format") wrong = "decode: " + word;
      if (verdict != word) wrong = "verify: " + verdict + " after " + word;
      continue;
    }
    ++accepted;
    const std::string_view payload = record.value().payload;
    if (payload.size() >= view.size() || !view.ends_with(payload)) wrong = "payload";
    if (verdict != "ok" && verdict != "checksum_mismatch") wrong = "verify: " + verdict;
  }
  CHECK(wrong == "");
  CHECK(accepted > 0);
}

TEST_CASE("A checksum catches every flipped bit of a record") {
  std::mt19937_64 random(3);
  for (const std::size_t size : {0, 1, 8, 100, 5000}) {
    const std::string payload = random_bytes(random, size);
    for (const bool group : {false, true}) {
      const std::string good = encoded(
          "key", {.kind = Kind::value, .group = group, .checksum = true, .payload = payload});
      std::string missed;
      for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        if (verify("key", bad)) missed += " " + std::to_string(bit);
      }
      INFO("payload of " << size << " bytes, group " << group);
      CHECK(missed == "");
    }
  }
}

TEST_CASE("A checksum belongs to its key") {
  const std::string bytes =
      encoded("key", {.kind = Kind::value, .checksum = true, .payload = "payload"});
  CHECK(outcome(verify("key", bytes)) == "ok");
  for (const std::string_view other : {"kez", "ke", "keyy", ""}) {
    CHECK(outcome(verify(other, bytes)) == "checksum_mismatch");
  }
}
