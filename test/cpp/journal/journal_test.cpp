// What a segment says of those before, one that is made ahead of its use, and one that goes after
// it was of use.
#include "journal/journal.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "journal/journal_reader.h"
#include "support/faults.h"
#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<std::uint64_t>;

struct Rig {
  explicit Rig(Append way = Append::mapped)
      : start{.store_id = kStoreId, .segment_bytes = kMiB, .way = way} {}

  std::string put(std::uint64_t seq) { return outcome(log.append(payload_of(seq, 100))); }
  Names files() const { return journal_segments(directory).value(); }
  /// The flushed numbers in a segment: of its header, then of its records.
  Numbers said(const std::string& name, std::uint64_t seq) const {
    JournalReader reader = JournalReader::open(directory, name).value();
    Numbers all{reader.read_header().value().id.flushed_seq};
    while (const auto record = reader.next(seq++).value()) all.push_back(record->flushed_seq);
    return all;
  }
  /// Whether every segment that a start must find is there.
  bool marked_are_there() const {
    const auto marked = JournalMark(directory, kStoreId).read().value();
    for (auto generation = marked.first; generation <= marked.last; ++generation) {
      if (!std::filesystem::exists(path_of(temp.path(), generation))) return false;
    }
    return true;
  }
  test::Replay replayed(std::uint64_t applied = 0) const { return replay(temp.path(), applied); }

  const TempDir temp{memory_directory()};
  const Directory directory = open_directory(temp.path());
  const Journal::Start start;
  std::atomic<bool> failed{false};
  Journal log{directory, start, &failed};
};

const std::string kFirst = journal::segment_name(1);
const std::string kSecond = journal::segment_name(2);
const std::string kThird = journal::segment_name(3);

}  // namespace

// What replay tells damage from a torn tail by.
TEST_CASE("Records and segments say how far the journal was on disk when they were written") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    Rig rig(way);
    REQUIRE(outcome(rig.log.open_segment()) == "ok");
    REQUIRE((rig.put(1) == "ok" && rig.put(2) == "ok"));
    REQUIRE(outcome(rig.log.flush()) == "ok");
    REQUIRE((rig.put(3) == "ok" && rig.put(4) == "ok"));
    rig.log.rotate();
    REQUIRE(outcome(rig.log.open_segment()) == "ok");
    REQUIRE(rig.put(5) == "ok");
    REQUIRE(outcome(rig.log.flush()) == "ok");
    REQUIRE(rig.put(6) == "ok");
    CHECK(rig.said(kFirst, 1) == Numbers{0, 0, 0, 2, 2});
    CHECK(rig.said(kSecond, 5) == Numbers{2, 2, 5});
  }
}

TEST_CASE("A record that is appended while a flush runs is not counted as flushed by it") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    Rig rig(way);
    REQUIRE(outcome(rig.log.open_segment()) == "ok");
    REQUIRE(rig.put(1) == "ok");
    faults::hold(faults::kMsync | faults::kFdatasync);
    std::string word;
    std::thread flusher([&] { word = outcome(rig.log.flush()); });
    faults::wait_for_held();
    CHECK(rig.put(2) == "ok");
    faults::release_held();
    flusher.join();
    CHECK(word == "ok");
    CHECK(rig.log.flushed() == 1);
    REQUIRE(outcome(rig.log.flush()) == "ok");
    CHECK(rig.log.flushed() == 2);
  }
}

TEST_CASE("A spare segment is opened without a call to the disk, and its records follow") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    Rig rig(way);
    REQUIRE(outcome(rig.log.open_segment()) == "ok");
    REQUIRE(rig.put(1) == "ok");
    REQUIRE(outcome(rig.log.make_spare()) == "ok");
    REQUIRE(outcome(rig.log.make_spare()) == "ok");  // there is one
    CHECK(rig.files() == Names{kFirst, kSecond});
    CHECK(std::filesystem::file_size(path_of(rig.temp.path(), 2)) <= kMiB);
    CHECK(rig.replayed().done.records == 1);
    REQUIRE(rig.put(2) == "ok");
    rig.log.rotate();
    faults::arm({.directory = rig.temp.path()});
    CHECK(outcome(rig.log.open_segment()) == "ok");
    CHECK(rig.log.room_ready(1000));
    CHECK(faults::disarm() == 0);
    CHECK(rig.log.bytes() == 0);
    REQUIRE(rig.put(3) == "ok");
    REQUIRE(outcome(rig.log.flush()) == "ok");
    CHECK(rig.log.flushed() == 3);
    CHECK(rig.replayed().done.records == 3);
    rig.log.retire_frozen();
    CHECK(rig.files() == Names{kFirst, kSecond});
    REQUIRE(outcome(rig.log.remove_retired()) == "ok");
    REQUIRE(outcome(rig.log.remove_retired()) == "ok");  // nothing to do
    CHECK(rig.files() == Names{kSecond});
    CHECK(rig.replayed(2).done.records == 1);
    CHECK(rig.replayed(1).word == "journal_mismatch");
  }
}

TEST_CASE("A spare segment that is not needed goes, and its number is the next one's") {
  Rig rig;
  REQUIRE(outcome(rig.log.make_spare()) == "ok");
  CHECK(rig.files() == Names{kFirst});
  CHECK(rig.replayed().done.records == 0);
  REQUIRE(outcome(rig.log.remove_spare()) == "ok");
  REQUIRE(outcome(rig.log.remove_spare()) == "ok");
  CHECK(rig.files().empty());
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  CHECK(rig.files() == Names{kFirst});
}

// A full disk took the spare segment, whose number then was missing: records that a power cut took
// from the end of the segment before it looked like a segment that somebody had removed, and the
// store did not start.
TEST_CASE(
    "A torn tail before a segment is one, whether or not a spare one was removed in between") {
  for (const bool spare_removed : {false, true}) {
    Rig rig(Append::written);
    REQUIRE(outcome(rig.log.open_segment()) == "ok");
    for (std::uint64_t seq = 1; seq <= 10; ++seq) REQUIRE(rig.put(seq) == "ok");
    REQUIRE(outcome(rig.log.flush()) == "ok");
    const std::uint64_t flushed_bytes = rig.log.bytes();
    for (std::uint64_t seq = 11; seq <= 15; ++seq) REQUIRE(rig.put(seq) == "ok");
    if (spare_removed) {
      REQUIRE(outcome(rig.log.make_spare()) == "ok");
      REQUIRE(outcome(rig.log.remove_spare()) == "ok");
    }
    rig.log.rotate();
    REQUIRE(outcome(rig.log.open_segment()) == "ok");
    for (std::uint64_t seq = 16; seq <= 20; ++seq) REQUIRE(rig.put(seq) == "ok");
    std::filesystem::resize_file(path_of(rig.temp.path(), 1), journal::kPageBytes + flushed_bytes);
    const auto all = rig.replayed();
    INFO(spare_removed);
    CHECK(all.word == "ok");
    CHECK(all.done.last_seq == 10);
    CHECK(all.done.torn_tail);
  }
}

TEST_CASE("A spare segment is not used once its file has no name, whatever the disk says") {
  Rig rig;
  REQUIRE(outcome(rig.log.make_spare()) == "ok");
  faults::arm({.directory = rig.temp.path(), .calls = faults::kFsync, .fail_at = 1, .error = EIO});
  CHECK(outcome(rig.log.remove_spare()) == "io_error");
  CHECK(faults::disarm() == 1);
  CHECK(rig.files().empty());
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  REQUIRE(rig.put(1) == "ok");
  REQUIRE(outcome(rig.log.flush()) == "ok");
  CHECK(rig.files() == Names{kFirst});
  CHECK(rig.replayed().done.records == 1);
}

TEST_CASE("A spare segment that cannot be made is in nobody's way") {
  Rig rig;
  std::uint64_t calls = 0;
  for (int round = 0; round < 2; ++round) {  // the first makes the mark's file, too
    faults::arm({.directory = rig.temp.path()});
    REQUIRE(outcome(rig.log.make_spare()) == "ok");
    calls = faults::disarm();
    REQUIRE(outcome(rig.log.remove_spare()) == "ok");
  }
  CHECK(calls >= 4);
  for (std::uint64_t fail_at = 1; fail_at <= calls; ++fail_at) {
    INFO("call " << fail_at << " of " << calls);
    faults::arm(
        {.directory = rig.temp.path(), .fail_at = fail_at, .for_ever = true, .error = ENOSPC});
    CHECK(outcome(rig.log.make_spare()) == "disk_full");
    faults::disarm();
    // Where it may have been marked (the last two calls write and flush that), and nothing can be
    // written, it stays behind.
    CHECK(rig.files().size() == (fail_at + 1 < calls ? 0 : fail_at + 2 - calls));
  }
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  CHECK(rig.put(1) == "ok");
  CHECK(rig.marked_are_there());
  CHECK(rig.replayed().done.records == 1);
}

// A store that was killed, and whose journal somebody removed, started without a word and without
// what it had acknowledged.
TEST_CASE("Segments are marked from before their first record until LMDB has all they hold") {
  Rig rig;
  const auto marked = [&] { return JournalMark(rig.directory, kStoreId).read().value(); };
  const auto is = [](std::uint64_t first, std::uint64_t last) {
    return JournalMark::Segments{.first = first, .last = last};
  };
  CHECK(marked().none());
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  CHECK(marked() == is(1, 1));
  REQUIRE(rig.put(1) == "ok");
  REQUIRE(outcome(rig.log.make_spare()) == "ok");
  CHECK(marked() == is(1, 2));
  REQUIRE(outcome(rig.log.remove_spare()) == "ok");
  CHECK(marked() == is(1, 1));
  rig.log.rotate();
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  CHECK(marked() == is(1, 2));
  REQUIRE(rig.put(2) == "ok");
  rig.log.retire_frozen();
  CHECK(marked() == is(1, 2));
  REQUIRE(outcome(rig.log.remove_retired()) == "ok");
  CHECK(marked() == is(2, 2));
  rig.log.rotate();
  rig.log.retire_frozen();
  REQUIRE(outcome(rig.log.remove_retired()) == "ok");
  CHECK(marked().none());
  CHECK(rig.files().empty());
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  CHECK(marked() == is(3, 3));
}

// A spare file that something else had removed stayed in the mark: after a kill the store missed
// it.
TEST_CASE("A spare segment whose file is gone is neither used nor missed") {
  Rig rig;
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  REQUIRE(rig.put(1) == "ok");
  REQUIRE(outcome(rig.log.make_spare()) == "ok");
  std::filesystem::remove(path_of(rig.temp.path(), 2));
  rig.log.rotate();
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  REQUIRE(rig.put(2) == "ok");
  CHECK(rig.marked_are_there());
  CHECK(rig.files() == Names{kFirst, kSecond});
  CHECK(rig.replayed().done.last_seq == 2);
}

// A start refuses where a marked segment is missing: no failure may leave a mark without its
// segment.
TEST_CASE("Whichever call fails, once or from then on, every marked segment is there") {
  for (const bool for_ever : {false, true}) {
    for (std::uint64_t fail_at = 1;; ++fail_at) {
      INFO("call " << fail_at << (for_ever ? " and all later ones" : ""));
      Rig rig;
      faults::arm(
          {.directory = rig.temp.path(), .fail_at = fail_at, .for_ever = for_ever, .error = EIO});
      const auto step = [&](const Result<void>& done) {
        REQUIRE(rig.marked_are_there());
        return done.ok();
      };
      std::uint64_t seq = 0;
      bool goes_on = true;
      for (int round = 0; goes_on && round < 3; ++round) {
        goes_on = step(rig.log.open_segment()) && rig.put(++seq) == "ok";
        (void)step(rig.log.make_spare());
        if (round == 1) (void)step(rig.log.remove_spare());
        goes_on = goes_on && step(rig.log.flush());
        if (!goes_on) break;
        rig.log.rotate();
        rig.log.retire_frozen();
        goes_on = step(rig.log.remove_retired());
      }
      const bool failed = faults::has_failed();
      faults::disarm();
      if (!failed) break;
    }
  }
}

TEST_CASE("A file that could not be removed is removed later") {
  Rig rig;
  REQUIRE(outcome(rig.log.open_segment()) == "ok");
  REQUIRE(rig.put(1) == "ok");
  rig.log.rotate();
  rig.log.retire_frozen();
  faults::arm({.directory = rig.temp.path(), .calls = faults::kFsync, .fail_at = 1, .error = EIO});
  CHECK(outcome(rig.log.remove_retired()) == "io_error");
  faults::disarm();
  CHECK(outcome(rig.log.remove_retired()) == "ok");
  CHECK(rig.files().empty());
}
