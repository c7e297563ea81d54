#include "journal/journal_segment.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "support/faults.h"
#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

std::uint64_t blocks_of(const std::string& path) {
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) throw std::runtime_error("stat " + path);
  return static_cast<std::uint64_t>(found.st_blocks) * 512;
}

}  // namespace

TEST_CASE("A fresh segment is one file for its owner, of a MiB at most, and empty") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const mode_t before = ::umask(0);
    const auto segment = must_create(temp.path(), segment_id(3, 1), way);
    ::umask(before);
    CHECK(segment->bytes() == 0);
    CHECK(fs::exists(temp / "journal-0000000000000003"));
    CHECK(blocks_of(path_of(temp.path(), 3)) <= kMiB);
    struct stat found;
    REQUIRE(::stat(path_of(temp.path(), 3).c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
    const auto all = replay(temp.path());
    CHECK(all.word == "ok");
    CHECK(all.done.records == 0);
    CHECK_FALSE(all.done.torn_tail);
    CHECK(all.done.last_generation == 3);
    // A name that is taken is left alone.
    CHECK(outcome(try_segment(temp.path(), segment_id(3, 1), way)) == "journal_mismatch");
    CHECK(fs::exists(path_of(temp.path(), 3)));
  }
}

TEST_CASE("What no caller may ask for is internal and changes nothing") {
  for (const Append way : kBothAppends) {
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 5), way);
    CHECK(append(*segment, 4, 0, "x") == "internal");
    CHECK(append(*segment, 6, 0, "x") == "internal");
    CHECK(append(*segment, 5, 5, "x") == "internal");
    CHECK(append(*segment, 5, 4, "") == "internal");
    CHECK(segment->bytes() == 0);
    CHECK(append(*segment, 5, 4, "x") == "ok");
    CHECK(append(*segment, 5, 4, "x") == "internal");
    CHECK(append(*segment, 6, 4, "x") == "ok");
    CHECK(segment->bytes() == 80);
  }
}

TEST_CASE("A segment is full when its next record, on a fresh page, would not fit") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way, 5 * 4096);
    CHECK(segment->has_room(4 * 4096 - 32));
    CHECK_FALSE(segment->has_room(4 * 4096 - 31));
    CHECK_FALSE(segment->has_room(~std::uint64_t{0}));
    REQUIRE(append(*segment, 1, 0, payload_of(1, 1000)) == "ok");
    const std::uint64_t left = way == Append::mapped ? 3 * 4096 - 32 : 4 * 4096 - 1032 - 32;
    CHECK(segment->has_room(left));
    CHECK_FALSE(segment->has_room(left + 1));
    REQUIRE(outcome(segment->flush()) == "ok");
    REQUIRE(append(*segment, 2, 1, payload_of(2, left)) == "ok");
    CHECK_FALSE(segment->has_room(1));
    CHECK(append(*segment, 3, 1, "x") == "internal");
    REQUIRE(outcome(segment->flush()) == "ok");
    CHECK(fs::file_size(path_of(temp.path(), 1)) == 5 * 4096);
    CHECK(replay(temp.path()).done.records == 2);
  }
}

TEST_CASE("Room is ready once it was prepared, and used up by appends") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    CHECK(segment->way() == way);  // /tmp is on a file system that keeps blocks
    CHECK(segment->room_ready(100) == (way == Append::written));
    REQUIRE(outcome(segment->prepare_ahead()) == "ok");
    CHECK(segment->room_ready(400'000));
    CHECK_FALSE(segment->room_ready(2 * kMiB));
    CHECK(blocks_of(path_of(temp.path(), 1)) <= kMiB);
    REQUIRE(append(*segment, 1, 0, payload_of(1, 900'000)) == "ok");
    CHECK_FALSE(segment->room_ready(400'000));
    REQUIRE(outcome(segment->prepare_ahead()) == "ok");
    CHECK(segment->room_ready(400'000));
    CHECK(blocks_of(path_of(temp.path(), 1)) >= 2 * kMiB);
    // What was not prepared is appended all the same.
    REQUIRE(append(*segment, 2, 0, payload_of(2, 9'000'000)) == "ok");
    CHECK(blocks_of(path_of(temp.path(), 1)) >= 9'900'000);
    CHECK(replay(temp.path()).done.records == 2);
  }
}

TEST_CASE("A record after a flush starts on a fresh page in a map, and only there") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    REQUIRE(append(*segment, 1, 0, "first") == "ok");
    CHECK(segment->bytes() == 40);
    REQUIRE(outcome(segment->flush()) == "ok");
    REQUIRE(append(*segment, 2, 1, "second") == "ok");
    CHECK(segment->bytes() == (way == Append::mapped ? 4096 + 40 : 80));
    REQUIRE(outcome(segment->flush()) == "ok");
    const std::uint64_t before = segment->bytes();
    for (int i = 0; i < 3; ++i) CHECK(outcome(segment->flush()) == "ok");
    CHECK(segment->bytes() == before);
    CHECK(replay(temp.path()).done.records == 2);
  }
}

TEST_CASE("A flush syncs what was appended since the last one, and nothing where that is nothing") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    const std::uint32_t call = way == Append::mapped ? faults::kMsync : faults::kFdatasync;
    const auto syncs_of_a_flush = [&] {
      faults::arm({.directory = temp.path(), .calls = call});
      REQUIRE(outcome(segment->flush()) == "ok");
      return faults::disarm();
    };
    CHECK(syncs_of_a_flush() == 0);
    REQUIRE(append(*segment, 1, 0, "first") == "ok");
    CHECK(syncs_of_a_flush() == 1);
    CHECK(syncs_of_a_flush() == 0);
  }
}

TEST_CASE("A flush of a map syncs all pages that hold unflushed records, and no others") {
  const TempDir temp;
  const auto segment = must_create(temp.path(), segment_id(1, 1), Append::mapped);
  REQUIRE(append(*segment, 1, 0, payload_of(1, 10)) == "ok");
  REQUIRE(append(*segment, 2, 0, payload_of(2, 5000)) == "ok");
  REQUIRE(outcome(segment->flush()) == "ok");
  const auto first = faults::last_msync();
  CHECK(first.bytes == 2 * 4096);
  REQUIRE(append(*segment, 3, 2, payload_of(3, 4096)) == "ok");
  REQUIRE(append(*segment, 4, 2, payload_of(4, 4096)) == "ok");
  REQUIRE(outcome(segment->flush()) == "ok");
  const auto second = faults::last_msync();
  CHECK(second.bytes == 3 * 4096);
  CHECK(second.address == static_cast<const char*>(first.address) + first.bytes);
}

TEST_CASE("What leaves the page cache is still in the file, and nobody who waits is held up") {
  for (const Append way : kBothAppends) {
    const TempDir temp;  // on a disk, as far as there is one
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    Payloads written;
    for (std::uint64_t seq = 1; seq <= 50; ++seq) {
      written.emplace_back(seq, payload_of(seq, 100'000));
      REQUIRE(append(*segment, seq, 0, written.back().second) == "ok");
    }
    int calls = 0;
    const auto count = [&] { return ++calls < 3; };
    segment->leave_cache(count);
    CHECK(calls == 1);  // nothing but the header was flushed
    REQUIRE(outcome(segment->flush()) == "ok");
    segment->leave_cache(count);
    CHECK(calls == 3);
    segment->leave_cache([&] { return ++calls > 0; });
    CHECK(calls == 3 + 5);  // for each MiB
    INFO(name_of(way));
    CHECK(replay(temp.path()).delivered == written);
  }
}

TEST_CASE("A flush that failed is the segment's last") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    REQUIRE(append(*segment, 1, 0, "first") == "ok");
    faults::arm({.directory = temp.path(),
                 .calls = way == Append::mapped ? faults::kMsync : faults::kFdatasync,
                 .fail_at = 1,
                 .error = ENOSPC});
    CHECK(outcome(segment->flush()) == "io_error");
    faults::disarm();
    CHECK(segment->failed());
    CHECK(outcome(segment->flush()) == "env_failed");
    CHECK(append(*segment, 2, 0, "second") == "env_failed");
    CHECK(outcome(segment->prepare_ahead()) == "env_failed");
    CHECK(replay(temp.path()).done.records == 1);
  }
}

TEST_CASE("An append that fails leaves no record, and the next one takes its place") {
  const TempDir temp;
  const auto segment = must_create(temp.path(), segment_id(1, 1), Append::written);
  REQUIRE(append(*segment, 1, 0, "first") == "ok");
  for (const int error : {ENOSPC, EDQUOT, EFBIG, EIO, 0}) {
    // A write that is cut short once goes on.
    faults::arm({.directory = temp.path(),
                 .calls = faults::kPwrite,
                 .fail_at = 1,
                 .for_ever = error == 0,
                 .error = error});
    const std::string word = append(*segment, 2, 0, "a payload that is longer");
    faults::disarm();
    const std::string expected = error == EDQUOT  ? "quota_exceeded"
                                 : error == EFBIG ? "file_too_large"
                                 : error == EIO   ? "io_error"
                                                  : "disk_full";
    CHECK(word == expected);
    CHECK(segment->bytes() == 40);
    CHECK(replay(temp.path()).done.records == 1);
  }
  REQUIRE(append(*segment, 2, 1, "second") == "ok");
  CHECK(replay(temp.path()).delivered == Payloads{{1, "first"}, {2, "second"}});
}

TEST_CASE("Blocks that cannot be had are an error of the append, and of nothing before") {
  for (const Append way : kBothAppends) {
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    REQUIRE(append(*segment, 1, 0, "first") == "ok");
    const auto failing = [&](int error) {
      faults::arm({.directory = temp.path(),
                   .calls = faults::kFallocate,
                   .fail_at = 1,
                   .for_ever = true,
                   .error = error});
    };
    const std::string large = payload_of(2, 2 * kMiB);
    failing(EDQUOT);
    CHECK(append(*segment, 2, 0, large) == "quota_exceeded");
    failing(EFBIG);
    CHECK(append(*segment, 2, 0, large) == "file_too_large");
    CHECK(append(*segment, 2, 0, "small") == "ok");
    faults::disarm();
    CHECK(append(*segment, 3, 0, large) == "ok");
    CHECK(replay(temp.path()).done.records == 3);
  }
}

TEST_CASE("A preparation that fails gives back what it had, and appends go on") {
  for (const Append way : kBothAppends) {
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way);
    REQUIRE(append(*segment, 1, 0, payload_of(1, 900'000)) == "ok");
    const std::uint64_t before = blocks_of(path_of(temp.path(), 1));
    faults::arm({.directory = temp.path(),
                 .calls = faults::kPwrite | faults::kFallocate,
                 .fail_at = 1,
                 .for_ever = true,
                 .error = ENOSPC});
    CHECK(outcome(segment->prepare_ahead()) == "disk_full");
    faults::disarm();
    CHECK(blocks_of(path_of(temp.path(), 1)) == before);
    CHECK(fs::file_size(path_of(temp.path(), 1)) == kMiB);
    CHECK(append(*segment, 2, 0, "small") == "ok");
    CHECK(append(*segment, 3, 0, payload_of(3, kMiB)) == "ok");
    CHECK(replay(temp.path()).done.records == 3);
  }
}

TEST_CASE("Whichever call of its creation fails, no segment is left") {
  const TempDir temp;
  faults::arm({.directory = temp.path()});
  must_create(temp.path(), segment_id(1, 1), Append::mapped);
  const std::uint64_t calls = faults::disarm();
  CHECK(calls >= 4);
  fs::remove(path_of(temp.path(), 1));
  for (std::uint64_t fail_at = 1; fail_at <= calls; ++fail_at) {
    INFO("call " << fail_at << " of " << calls);
    faults::arm({.directory = temp.path(), .fail_at = fail_at, .for_ever = true, .error = ENOSPC});
    CHECK(outcome(try_segment(temp.path(), segment_id(1, 1), Append::mapped)) == "disk_full");
    faults::disarm();
    CHECK(fs::is_empty(temp.path()));
  }
}
