#include "journal/journal_replay.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPage = journal::kPageBytes;
constexpr std::size_t kRecordOf100 = 32 + 104;

/// Segments of ten records each from generation 1, the last record of each known to be flushed by
/// the next segment's records from the second on.
void write_segments(const std::string& path, std::size_t count) {
  std::uint64_t seq = 1;
  for (std::uint64_t generation = 1; generation <= count; ++generation) {
    const auto segment = must_create(path, segment_id(generation, seq), Append::written);
    const std::uint64_t first = seq;
    for (; seq < first + 10; ++seq) {
      const std::uint64_t flushed = seq > first && generation > 1 ? first - 1 : 0;
      REQUIRE(append(*segment, seq, flushed, payload_of(seq, 100)) == "ok");
    }
  }
}

void flip(const std::string& file, std::size_t at) {
  std::string bytes = read_whole(file);
  bytes[at] = static_cast<char>(~bytes[at]);
  write_whole(file, bytes);
}

/// Takes what was appended last from a segment, as a crash may: zeros instead of the records.
void lose_tail(const std::string& file, std::size_t from) {
  std::string bytes = read_whole(file);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.end(), '\0');
  write_whole(file, bytes);
}

}  // namespace

TEST_CASE("Records of any size come back in order, whichever way they were written") {
  const std::vector<std::size_t> sizes{1,    7,    8,     9,     120,     4055,         4056, 4064,
                                       4065, 4096, 10000, 65536, 300'001, 5 * kMiB + 3, 1,    2};
  for (const Append way : kBothAppends) {
    for (const std::size_t flush_every : {1, 3, 1000}) {
      INFO(name_of(way) << ", a flush each " << flush_every);
      const TempDir temp(memory_directory());
      const auto segment = must_create(temp.path(), segment_id(1, 1), way);
      REQUIRE(segment->way() == way);
      Payloads written;
      std::uint64_t bytes = 0;
      for (const std::size_t size : sizes) {
        const std::uint64_t seq = written.size() + 1;
        const std::string payload = payload_of(seq, size);
        const std::vector<std::string_view> parts{
            std::string_view(payload).substr(0, size / 3),
            {},
            std::string_view(payload).substr(size / 3, size / 2),
            std::string_view(payload).substr(size / 3 + size / 2)};
        REQUIRE(outcome(segment->append(seq, seq - 1, parts)) == "ok");
        if (seq % flush_every == 0) REQUIRE(outcome(segment->flush()) == "ok");
        written.emplace_back(seq, payload);
        bytes += size;
      }
      const auto all = replay(temp.path());
      CHECK(all.word == "ok");
      CHECK((all.delivered == written));
      CHECK(all.done.last_seq == sizes.size());
      CHECK(all.done.records == sizes.size());
      CHECK(all.done.bytes == bytes);
      CHECK_FALSE(all.done.torn_tail);
    }
  }
}

TEST_CASE("What LMDB has is checked and not delivered; what it lacks must be there") {
  const TempDir temp(memory_directory());
  {
    const auto segment = must_create(temp.path(), segment_id(1, 11), Append::written);
    for (std::uint64_t seq = 11; seq <= 30; ++seq) {
      REQUIRE(append(*segment, seq, 10, payload_of(seq, 50)) == "ok");
    }
  }
  CHECK(replay(temp.path(), 9).word == "journal_mismatch");
  CHECK(replay(temp.path(), 9).delivered.empty());
  CHECK(replay(temp.path(), 10).done.records == 20);
  const auto some = replay(temp.path(), 25);
  CHECK(some.delivered.front().first == 26);
  CHECK(some.done.records == 5);
  CHECK(some.done.last_seq == 30);
  const auto none = replay(temp.path(), 99);
  CHECK(none.word == "ok");
  CHECK(none.done.records == 0);
  CHECK(none.done.last_seq == 99);
  const TempDir empty;
  CHECK(replay(empty.path(), 7).done.last_seq == 7);
  CHECK(replay(empty.path(), 7).done.last_generation == 0);
}

TEST_CASE("An error of the one who takes records ends the replay and is answered") {
  const TempDir temp(memory_directory());
  write_segments(temp.path(), 2);
  std::uint64_t last = 0;
  const auto take = [&](std::uint64_t seq, std::string_view) -> Result<void> {
    last = seq;
    if (seq == 13) return Error{.code = Code::map_full};
    return {};
  };
  CHECK(outcome(replay_journal(open_directory(temp.path()), kStoreId, 0, take)) == "map_full");
  CHECK(last == 13);
}

TEST_CASE("Several segments are one journal") {
  const TempDir temp(memory_directory());
  write_segments(temp.path(), 3);
  write_whole(temp / "journal-000000000000000a.bak", "no segment");
  const auto all = replay(temp.path(), 4);
  CHECK(all.word == "ok");
  REQUIRE(all.done.records == 26);
  for (std::size_t i = 0; i < 26; ++i) {
    CHECK((all.delivered[i] == std::pair(std::uint64_t{i + 5}, payload_of(i + 5, 100))));
  }
  CHECK(all.done.last_generation == 3);
  const Directory directory = open_directory(temp.path());
  const auto names = journal_segments(directory);
  REQUIRE(outcome(names) == "ok");
  CHECK(names.value() == std::vector<std::string>{"journal-0000000000000001",
                                                  "journal-0000000000000002",
                                                  "journal-0000000000000003"});
  REQUIRE(outcome(remove_segments(directory, {.last_generation = 2})) == "ok");
  CHECK(journal_segments(directory).value().size() == 1);
  CHECK(replay(temp.path(), 20).done.records == 10);
  CHECK(replay(temp.path(), 19).word == "journal_mismatch");
  REQUIRE(outcome(remove_segments(directory, {.last_generation = 2})) == "ok");
  REQUIRE(outcome(remove_segments(directory, {.last_generation = 3})) == "ok");
  CHECK(fs::exists(temp / "journal-000000000000000a.bak"));
  CHECK(journal_segments(directory).value().empty());
}

TEST_CASE("A missing segment, one of another store and one that overlaps do not belong") {
  const TempDir temp(memory_directory());
  write_segments(temp.path(), 3);
  CHECK(replay(temp.path(), 0, std::string(32, 'f')).word == "journal_mismatch");
  const auto renamed = [&](std::uint64_t from, std::uint64_t to) {
    fs::rename(path_of(temp.path(), from), path_of(temp.path(), to));
    const std::string word = replay(temp.path()).word;
    fs::rename(path_of(temp.path(), to), path_of(temp.path(), from));
    return word;
  };
  CHECK(renamed(3, 4) == "journal_mismatch");
  fs::rename(path_of(temp.path(), 2), temp / "away");
  CHECK(replay(temp.path()).word == "journal_mismatch");
  CHECK(replay(temp.path(), 19).word == "journal_mismatch");
  // LMDB has what is missing.
  CHECK(replay(temp.path(), 20).done.records == 10);
  fs::rename(temp / "away", path_of(temp.path(), 2));
  CHECK(replay(temp.path()).done.records == 30);
  must_create(temp.path(), segment_id(4, 30), Append::written);
  CHECK(replay(temp.path()).word == "journal_mismatch");
  fs::remove(path_of(temp.path(), 4));
  SegmentId foreign = segment_id(4, 31);
  foreign.store_id = std::string(32, 'e');
  must_create(temp.path(), foreign, Append::written);
  CHECK(replay(temp.path()).word == "journal_mismatch");
}

TEST_CASE("The end of a segment may be lost while a later one is there, unless it was flushed") {
  const std::size_t eighth = kPage + 7 * kRecordOf100;
  for (const bool zeros : {true, false}) {
    INFO((zeros ? "zeros" : "a damaged record"));
    const TempDir temp(memory_directory());
    const auto damage = [&](std::uint64_t generation) {
      const std::string file = path_of(temp.path(), generation);
      if (zeros) lose_tail(file, eighth);
      if (!zeros) flip(file, eighth + 40);
    };
    // The second segment's records know that the first one was flushed.
    write_segments(temp.path(), 2);
    damage(1);
    const auto known = replay(temp.path());
    CHECK(known.word == "corrupted");
    CHECK(known.delivered.size() == 7);
    // LMDB has all the first one held.
    CHECK(replay(temp.path(), 10).done.records == 10);
    CHECK_FALSE(replay(temp.path(), 10).done.torn_tail);
    CHECK(replay(temp.path(), 9).word == "corrupted");

    // Nothing in the second segment knows.
    fs::remove(path_of(temp.path(), 2));
    must_create(temp.path(), segment_id(2, 11, 7), Append::written);
    const auto unknown = replay(temp.path());
    CHECK(unknown.word == "ok");
    CHECK(unknown.done.records == 7);
    CHECK(unknown.done.last_seq == 7);
    CHECK(unknown.done.last_generation == 2);
    CHECK(unknown.done.torn_tail);
    CHECK(unknown.done.lost_generation == 2);

    // Its header knows.
    fs::remove(path_of(temp.path(), 2));
    must_create(temp.path(), segment_id(2, 11, 8), Append::written);
    CHECK(replay(temp.path()).word == "corrupted");

    // Only the third one knows.
    fs::remove(path_of(temp.path(), 2));
    must_create(temp.path(), segment_id(2, 11, 7), Append::written);
    must_create(temp.path(), segment_id(3, 21, 20), Append::written);
    CHECK(replay(temp.path()).word == "corrupted");
  }
}

TEST_CASE("A half-made newest segment counts as not there") {
  const TempDir temp(memory_directory());
  write_segments(temp.path(), 2);
  const std::string whole = read_whole(path_of(temp.path(), 2));
  const std::string zeros(kMiB, '\0');
  const std::vector<std::string> halves{"",
                                        zeros.substr(0, 100),
                                        zeros,
                                        whole.substr(0, 50),
                                        whole.substr(0, 50) + zeros,
                                        whole.substr(0, kPage - 1)};
  for (const std::string& half : halves) {
    INFO(half.size() << " bytes");
    write_whole(path_of(temp.path(), 3), half);
    const auto all = replay(temp.path());
    CHECK(all.word == "ok");
    CHECK(all.done.records == 20);
    CHECK(all.done.last_generation == 3);
    CHECK_FALSE(all.done.torn_tail);
    // Not the newest: it was whole once.
    must_create(temp.path(), segment_id(4, 21), Append::written);
    CHECK(replay(temp.path()).word == "corrupted");
    fs::remove(path_of(temp.path(), 4));
  }
  // Something was written behind it, so it was whole once.
  write_whole(path_of(temp.path(), 3), zeros + "x");
  CHECK(replay(temp.path()).word == "corrupted");
  fs::remove(path_of(temp.path(), 3));
  fs::create_directory(path_of(temp.path(), 3));
  CHECK(replay(temp.path()).word == "journal_mismatch");
}
