// What cuts, flipped bits, lost sectors and old data make of a journal.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPage = journal::kPageBytes;
constexpr std::size_t kRecordOf100 = 32 + 104;

struct Placed {
  std::uint64_t seq, flushed_seq;
  std::size_t marker, begin, end;  // in the file; the bytes before `begin` that must be zeros
};

/// What a header takes of its page; one alone may end in a zero.
std::size_t header_bytes() {
  std::size_t most = 0;
  for (std::uint64_t salt = 1; salt <= 8; ++salt) {
    const std::string page = journal::encode_header({.id = segment_id(1, 1), .salt = salt});
    most = std::max(most, page.find_last_not_of('\0') + 1);
  }
  return most;
}

/// Bytes this process has read from files so far, from the cache or not.
std::uint64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t bytes = 0;
  io >> name >> bytes;
  return name == "rchar:" ? bytes : 0;
}

/// A small journal with flushes in between, as bytes.
struct Small {
  std::string image;
  std::vector<Placed> records;
};

Small small_journal(Append way) {
  const TempDir temp(memory_directory());
  const auto segment = must_create(temp.path(), segment_id(1, 1), way);
  Small small;
  std::uint64_t flushed = 0;
  for (std::uint64_t seq = 1; seq <= 9; ++seq) {
    const std::size_t marker = kPage + segment->bytes();
    if (seq == 4 || seq == 5 || seq == 8) {
      REQUIRE(outcome(segment->flush()) == "ok");
      // The record that comes next still says what was known before, as under load.
      if (seq != 5) flushed = seq - 2;
    }
    const std::size_t begin = kPage + segment->bytes();
    const std::size_t size = 1 + 17 * seq % 40;
    REQUIRE(append(*segment, seq, flushed, payload_of(seq, size)) == "ok");
    small.records.push_back({seq, flushed, marker, begin, begin + journal::kHeadBytes + size});
  }
  small.image = image_of(temp.path(), 1, *segment);
  return small;
}

Replay replayed(const TempDir& temp, const std::string& image) {
  write_whole(path_of(temp.path(), 1), image);
  return replay(temp.path());
}

/// That the first `count` records were delivered as they were written, and no other.
bool is_prefix(const Replay& all, const Small& small, std::size_t count) {
  if (all.delivered.size() != count) return false;
  for (std::size_t i = 0; i < count; ++i) {
    const Placed& at = small.records[i];
    const auto size = at.end - at.begin - journal::kHeadBytes;
    if (all.delivered[i] != std::pair(at.seq, payload_of(at.seq, size))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("A file cut at any byte replays exactly the whole records before the cut") {
  for (const Append way : kBothAppends) {
    const Small small = small_journal(way);
    const TempDir temp(memory_directory());
    for (std::size_t cut = 0; cut <= small.image.size(); ++cut) {
      const auto all = replayed(temp, small.image.substr(0, cut));
      const auto whole = std::count_if(small.records.begin(), small.records.end(),
                                       [&](const Placed& at) { return at.end <= cut; });
      INFO(name_of(way) << ", cut at " << cut << ": " << whole << " whole");
      REQUIRE(all.word == "ok");
      REQUIRE(is_prefix(all, small, static_cast<std::size_t>(whole)));
    }
  }
}

TEST_CASE("A flipped byte is corrupted where a later record knew of a flush, else the end") {
  for (const Append way : kBothAppends) {
    const Small small = small_journal(way);
    const TempDir temp(memory_directory());
    std::size_t corrupted = 0, torn = 0, harmless = 0;
    const std::size_t header = header_bytes();
    for (std::size_t at = 0; at < small.image.size(); ++at) {
      std::size_t hit = 0;
      for (; hit < small.records.size(); ++hit) {
        const Placed& record = small.records[hit];
        const bool in_marker = at >= record.marker && at < record.marker + 8;
        if (in_marker || (at >= record.begin && at < record.end)) break;
      }
      const bool known =
          std::any_of(small.records.begin() + static_cast<std::ptrdiff_t>(hit), small.records.end(),
                      [&](const Placed& later) { return later.flushed_seq >= hit + 1; });
      for (const int bits : {1, 0x80, 0xff}) {
        std::string bad = small.image;
        bad[at] = static_cast<char>(bad[at] ^ bits);
        const auto all = replayed(temp, bad);
        INFO(name_of(way) << ", byte " << at << " ^ " << bits << ", record " << hit + 1);
        if (at < header) {
          ++corrupted;
          REQUIRE(all.word == "corrupted");
          REQUIRE(all.delivered.empty());
        } else if (hit == small.records.size()) {
          ++harmless;  // nobody reads it; at the very end it is taken for a record's begin
          REQUIRE(all.word == "ok");
          REQUIRE(is_prefix(all, small, hit));
        } else {
          ++(known ? corrupted : torn);
          REQUIRE(all.word == (known ? "corrupted" : "ok"));
          REQUIRE(is_prefix(all, small, hit));
          REQUIRE(all.done.torn_tail == !known);
        }
      }
    }
    CHECK(corrupted > 300);
    CHECK(torn > 300);
    CHECK(harmless > 100);
  }
}

TEST_CASE("Whatever sectors a power cut leaves after the last flush, flushed records come back") {
  constexpr std::size_t kMost = 256 << 10;
  std::mt19937_64 random(7);
  for (const Append way : kBothAppends) {
    for (int round = 0; round < 150; ++round) {
      const TempDir temp(memory_directory());
      const auto segment = must_create(temp.path(), segment_id(1, 1), way);
      Payloads written;
      const auto append_some = [&](std::uint64_t flushed_seq) {
        const std::size_t count = 1 + random() % 12;
        for (std::size_t i = 0; i < count; ++i) {
          const std::uint64_t seq = written.size() + 1;
          written.emplace_back(seq, payload_of(seq, 1 + random() % (i % 4 == 0 ? 9000 : 300)));
          REQUIRE(append(*segment, seq, flushed_seq, written.back().second) == "ok");
        }
      };
      append_some(0);
      REQUIRE(outcome(segment->flush()) == "ok");
      const std::size_t flushed = written.size();
      const std::string old = read_whole(path_of(temp.path(), 1), kMost);
      append_some(flushed);
      REQUIRE(segment->bytes() + 2 * kPage < kMost);
      std::string torn = read_whole(path_of(temp.path(), 1), kMost);
      // Any mixture of sectors as they were and as they became.
      for (std::size_t at = 0; at < torn.size(); at += 512) {
        if (random() % 3 == 0) torn.replace(at, 512, old, at, 512);
      }
      const auto all = replayed(temp, torn);
      INFO(name_of(way) << ", round " << round);
      REQUIRE(all.word == "ok");
      REQUIRE(all.delivered.size() >= flushed);
      REQUIRE(all.delivered.size() <= written.size());
      REQUIRE(std::equal(all.delivered.begin(), all.delivered.end(), written.begin()));
    }
  }
}

TEST_CASE("A lost sector in what was flushed is corrupted, if a later record knows") {
  const TempDir temp(memory_directory());
  const auto segment = must_create(temp.path(), segment_id(1, 1), Append::written);
  for (std::uint64_t seq = 1; seq <= 200; ++seq) {
    if (seq == 150) REQUIRE(outcome(segment->flush()) == "ok");
    REQUIRE(append(*segment, seq, seq >= 150 ? 149 : 0, payload_of(seq, 100)) == "ok");
  }
  const std::string whole = image_of(temp.path(), 1, *segment);
  for (std::size_t at = kPage; at < kPage + segment->bytes(); at += 512) {
    const std::size_t hit = (at - kPage) / kRecordOf100 + 1;  // the first record that is damaged
    std::string lost = whole;
    lost.replace(at, 512, 512, '\0');
    const auto all = replayed(temp, lost);
    INFO("from record " << hit);
    CHECK(all.word == (hit <= 149 ? "corrupted" : "ok"));
    CHECK(all.delivered.size() == hit - 1);
  }
}

TEST_CASE("A record that knows is found wherever it lies, across two pieces of the search too") {
  constexpr std::size_t kPiece = 256 << 10;  // the file is searched by so many bytes at a time
  for (std::size_t between = kPiece - 64; between <= kPiece + 192; between += 8) {
    for (const std::uint64_t flushed : {0, 1}) {
      const TempDir temp(memory_directory());
      const auto segment = must_create(temp.path(), segment_id(1, 1), Append::written);
      REQUIRE(append(*segment, 1, 0, std::string(100, '\0')) == "ok");
      REQUIRE(outcome(segment->flush()) == "ok");
      const std::string zeros(between - kRecordOf100 - journal::kHeadBytes, '\0');
      REQUIRE(append(*segment, 2, 0, zeros) == "ok");
      REQUIRE(segment->bytes() == between);
      REQUIRE(append(*segment, 3, flushed, payload_of(3, 100)) == "ok");
      std::string bad = read_whole(path_of(temp.path(), 1), kPage + segment->bytes());
      bad[kPage + 50] ^= 1;
      INFO("the record lies " << between << " bytes behind the damage and says " << flushed);
      CHECK(replayed(temp, bad).word == (flushed == 1 ? "corrupted" : "ok"));
    }
  }
}

TEST_CASE("The search behind damage reads the file once, whatever is in it") {
  std::mt19937_64 random(13);
  const TempDir temp(memory_directory());
  const auto segment = must_create(temp.path(), segment_id(1, 1), Append::written);
  for (std::uint64_t seq = 1; seq <= 64; ++seq) {
    std::string payload(128 << 10, '\0');
    for (std::size_t at = 0; at < payload.size(); at += 8) {
      // Small numbers, of which any two may be those of a record.
      payload[at] = static_cast<char>(random());
    }
    REQUIRE(append(*segment, seq, 0, payload) == "ok");
  }
  std::string bad = read_whole(path_of(temp.path(), 1), kPage + segment->bytes());
  bad[kPage + 50] ^= 1;
  write_whole(path_of(temp.path(), 1), bad);
  const std::uint64_t before = bytes_read();
  CHECK(replay(temp.path()).word == "ok");
  CHECK(bytes_read() - before < 2 * bad.size());
}

// Whoever had the file and its salt could fill it with heads of which each claims the rest of it: a
// start took seconds for 1 MiB, and four times as long for twice as much.
TEST_CASE(
    "A journal of heads that claim the bytes of each other is corrupted, and read about once") {
  constexpr std::size_t kBytes = 4 << 20;
  // All that follows, and as much as is read in one piece.
  for (const std::size_t most_claimed : {kBytes, std::size_t{200} << 10}) {
    INFO(most_claimed << " bytes are claimed");
    const TempDir temp(memory_directory());
    const auto segment = must_create(temp.path(), segment_id(1, 1), Append::written);
    REQUIRE(append(*segment, 1, 0, payload_of(1, 100)) == "ok");
    std::string bad = read_whole(path_of(temp.path(), 1), kPage);
    const std::uint64_t salt = journal::decode_header(bad).value().salt;
    bad.resize(kPage + kBytes);
    for (std::size_t at = kPage; at + journal::kHeadBytes < bad.size(); at += journal::kHeadBytes) {
      const std::size_t left = bad.size() - at - journal::kHeadBytes;
      const auto claimed = static_cast<std::uint32_t>(std::min(left, most_claimed));
      journal::encode_head(journal::make_head(salt, claimed, 9, 8), 0, bad.data() + at);
    }
    write_whole(path_of(temp.path(), 1), bad);
    const std::uint64_t before = bytes_read();
    CHECK(replay(temp.path()).word == "corrupted");
    CHECK(bytes_read() - before < 16 * bad.size());
  }
}

TEST_CASE("What an older use of the same blocks left behind the end is no part of the journal") {
  for (const Append way : kBothAppends) {
    const TempDir temp(memory_directory());
    const auto image = [&](std::size_t records) {
      const auto segment = must_create(temp.path(), segment_id(1, 1), way);
      for (std::uint64_t seq = 1; seq <= records; ++seq) {
        REQUIRE(append(*segment, seq, seq - 1, payload_of(seq, 100)) == "ok");
      }
      const std::string bytes = read_whole(path_of(temp.path(), 1), kPage + segment->bytes());
      fs::remove(path_of(temp.path(), 1));
      return bytes;
    };
    const std::string old = image(100);
    const std::string now = image(30);
    const auto all = replayed(temp, now + old.substr(now.size()));
    CHECK(all.word == "ok");
    CHECK(all.done.records == 30);
    CHECK(all.done.torn_tail);
  }
}

TEST_CASE("Random bytes in a journal are answered, never trusted") {
  std::mt19937_64 random(11);
  const Small small = small_journal(Append::written);
  const TempDir temp(memory_directory());
  for (int round = 0; round < 2000; ++round) {
    std::string bad = small.image.substr(0, random() % (small.image.size() + 1));
    for (std::size_t i = 0; i < 1 + random() % 30 && bad.size() > kPage; ++i) {
      bad[kPage + random() % (bad.size() - kPage)] = static_cast<char>(random());
    }
    const auto all = replayed(temp, bad);
    REQUIRE((all.word == "ok" || all.word == "corrupted"));
    REQUIRE(is_prefix(all, small, all.delivered.size()));
  }
}

TEST_CASE("A whole record with another number than the next one does not follow") {
  const TempDir temp(memory_directory());
  const auto segment = must_create(temp.path(), segment_id(1, 1), Append::mapped);
  REQUIRE(append(*segment, 1, 0, payload_of(1, 100)) == "ok");
  REQUIRE(append(*segment, 2, 0, payload_of(2, 100)) == "ok");
  REQUIRE(outcome(segment->flush()) == "ok");
  for (const std::uint64_t flushed : {0, 2}) {
    REQUIRE(append(*segment, 3 + flushed / 2, flushed, payload_of(3, 100)) == "ok");
    // The second record's page end is gone; the third begins where the next page does.
    std::string lost = image_of(temp.path(), 1, *segment);
    lost.replace(kPage + kRecordOf100, kRecordOf100, kRecordOf100, '\0');
    const TempDir copy(memory_directory());
    const auto all = replayed(copy, lost);
    CHECK(all.word == (flushed == 0 ? "ok" : "corrupted"));
    CHECK(all.delivered == Payloads{{1, payload_of(1, 100)}});
    CHECK(all.done.torn_tail == (flushed == 0));
  }
}
