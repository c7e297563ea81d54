// What a crash leaves of segments that were made ahead of their use: their headers do not tell
// which number comes first, only their records do.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "journal/journal_replay.h"
#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kPage = journal::kPageBytes;
constexpr std::uint64_t kRecord = 32 + 104;

/// Made ahead, then `count` records from `first` on; none makes it a spare one.
void write_ahead(const std::string& path, std::uint64_t generation, std::uint64_t first,
                 std::uint64_t count, std::uint64_t flushed = 0) {
  const auto segment = must_create(path, segment_id(generation, 0), Append::written);
  REQUIRE(append(*segment, first, 0, "not begun") == "internal");
  segment->begin(first);
  for (std::uint64_t seq = first; seq < first + count; ++seq) {
    REQUIRE(append(*segment, seq, flushed, payload_of(seq, 100)) == "ok");
  }
}

void overwrite(const std::string& path, std::uint64_t generation, std::uint64_t from,
               std::uint64_t bytes, char with) {
  const std::string file = path_of(path, generation);
  std::string all = read_whole(file);
  std::fill_n(all.begin() + static_cast<std::ptrdiff_t>(from), bytes, with);
  write_whole(file, all);
}
void lose(const std::string& path, std::uint64_t generation, std::uint64_t record,
          std::uint64_t records) {
  overwrite(path, generation, kPage + record * kRecord, records * kRecord, '\0');
}

}  // namespace

TEST_CASE("A spare segment behind the journal changes nothing") {
  const TempDir temp(memory_directory());
  write_ahead(temp.path(), 1, 1, 0);
  const auto alone = replay(temp.path(), 5);
  CHECK(alone.word == "ok");
  CHECK(alone.done.last_seq == 5);
  CHECK(alone.done.last_generation == 1);
  write_ahead(temp.path(), 2, 1, 10);
  write_ahead(temp.path(), 3, 11, 10);
  write_ahead(temp.path(), 4, 21, 0);
  for (const std::uint64_t applied : {0, 5, 10, 20, 30}) {
    const auto all = replay(temp.path(), applied);
    CHECK(all.word == "ok");
    CHECK(all.done.records == (applied < 20 ? 20 - applied : 0));
    CHECK(all.done.last_generation == 4);
    CHECK_FALSE(all.done.torn_tail);
    CHECK(all.done.lost_generation == 0);
  }
  REQUIRE(outcome(remove_segments(open_directory(temp.path()), replay(temp.path()).done)) == "ok");
  CHECK(journal_segments(open_directory(temp.path())).value().empty());
}

TEST_CASE("The first record of a segment made ahead has to follow") {
  const TempDir temp(memory_directory());
  write_ahead(temp.path(), 1, 11, 10);
  CHECK(replay(temp.path(), 10).done.records == 10);
  CHECK(replay(temp.path(), 9).word == "journal_mismatch");
  write_ahead(temp.path(), 2, 20, 1);
  CHECK(replay(temp.path(), 10).word == "journal_mismatch");
  std::filesystem::remove(path_of(temp.path(), 2));
  write_ahead(temp.path(), 3, 22, 1);
  CHECK(replay(temp.path(), 10).word == "journal_mismatch");
  CHECK(replay(temp.path(), 21).done.records == 1);
}

TEST_CASE("Unflushed records may be lost from the start of a segment made ahead") {
  const TempDir temp(memory_directory());
  write_ahead(temp.path(), 1, 1, 10);
  write_ahead(temp.path(), 2, 11, 10);
  write_ahead(temp.path(), 3, 21, 10);
  write_ahead(temp.path(), 4, 31, 0);
  // The first record of the second is gone: the journal ends before it, whatever follows.
  lose(temp.path(), 2, 0, 1);
  auto all = replay(temp.path());
  CHECK(all.word == "ok");
  CHECK(all.done.last_seq == 10);
  CHECK(all.done.torn_tail);
  CHECK(all.done.lost_generation == 3);
  // All of it is gone.
  lose(temp.path(), 2, 0, 10);
  all = replay(temp.path());
  CHECK(all.word == "ok");
  CHECK(all.done.last_seq == 10);
  CHECK(all.done.lost_generation == 3);
  // LMDB has the first segment, which is gone.
  std::filesystem::remove(path_of(temp.path(), 1));
  all = replay(temp.path(), 10);
  CHECK(all.word == "ok");
  CHECK(all.done.last_seq == 10);
  CHECK(all.done.records == 0);
  CHECK(all.done.torn_tail);
  CHECK(all.done.lost_generation == 3);
  // LMDB has the second as well: nothing is missing.
  all = replay(temp.path(), 20);
  CHECK(all.done.records == 10);
  CHECK_FALSE(all.done.torn_tail);
}

TEST_CASE("A lost end before a spare segment is still a torn tail") {
  const TempDir temp(memory_directory());
  write_ahead(temp.path(), 1, 1, 10);
  write_ahead(temp.path(), 2, 11, 0);
  overwrite(temp.path(), 1, kPage + 9 * kRecord + 40, 1, 'x');
  const auto all = replay(temp.path());
  CHECK(all.word == "ok");
  CHECK(all.done.last_seq == 9);
  CHECK(all.done.torn_tail);
  // So is one in it.
  std::filesystem::remove(path_of(temp.path(), 2));
  write_ahead(temp.path(), 2, 11, 1);
  CHECK(replay(temp.path()).done.torn_tail);
  overwrite(temp.path(), 2, kPage + 40, 1, 'x');
  CHECK(replay(temp.path()).done.torn_tail);
  CHECK(replay(temp.path(), 10).done.torn_tail);
}

TEST_CASE("A record that knows of a flush tells damage in a segment made ahead") {
  const TempDir temp(memory_directory());
  write_ahead(temp.path(), 1, 1, 10, 0);
  const auto segment = must_create(temp.path(), segment_id(2, 0), Append::written);
  segment->begin(11);
  for (std::uint64_t seq = 11; seq <= 20; ++seq) {
    REQUIRE(append(*segment, seq, seq < 15 ? 10 : 13, payload_of(seq, 100)) == "ok");
  }
  CHECK(replay(temp.path()).done.records == 20);
  lose(temp.path(), 2, 0, 1);
  CHECK(replay(temp.path()).word == "corrupted");
  lose(temp.path(), 1, 0, 10);
  CHECK(replay(temp.path()).word == "corrupted");
  CHECK(replay(temp.path(), 10).word == "corrupted");
  // It is in LMDB.
  CHECK(replay(temp.path(), 20).word == "ok");
}
