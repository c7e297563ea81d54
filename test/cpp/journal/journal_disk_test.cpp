// A journal on a disk that is full, and under a limit on file sizes.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "support/child.h"
#include "support/journal.h"
#include "support/small_disk.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

TEST_CASE(
    "On a full disk an append is disk_full, raises no signal, and goes on when there is room") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const std::string ended = run_child([&] {
      const TempDir temp;
      if (!mount_small_disk(temp.path(), 6 * kMiB)) return kSkipped;
      write_whole(temp / "ballast", std::string(2 * kMiB, 'b'));
      const auto segment = must_create(temp.path(), segment_id(1, 1), way);
      CHILD_REQUIRE(segment->way() == way);
      std::uint64_t seq = 1;
      std::string word;
      const auto fill = [&] {
        for (;; ++seq) {
          (void)segment->prepare_ahead();
          word = append(*segment, seq, seq - 1, payload_of(seq, 10'000));
          if (word != "ok" || outcome(segment->flush()) != "ok") return;
        }
      };
      fill();
      CHILD_EQUAL(word, "disk_full");
      CHILD_EQUAL(outcome(segment->prepare_ahead()), "disk_full");
      // Each takes three pages in a map; the last page of the disk can be had.
      CHILD_REQUIRE(seq > (4 * kMiB - 64 * 1024) / (3 * 4096));
      CHILD_REQUIRE(replay(temp.path()).done.records == seq - 1);
      CHILD_REQUIRE(fs::remove(temp / "ballast"));
      const std::uint64_t before = seq;
      fill();
      CHILD_EQUAL(word, "disk_full");
      CHILD_REQUIRE(seq > before + 100);
      const auto all = replay(temp.path());
      CHILD_EQUAL(all.word, "ok");
      CHILD_REQUIRE(all.done.records == seq - 1);
      for (const auto& [number, payload] : all.delivered) {
        CHILD_REQUIRE(payload == payload_of(number, 10'000));
      }
      // Nor does a second segment find room, or leave anything.
      CHILD_EQUAL(outcome(try_segment(temp.path(), segment_id(2, seq), way)), "disk_full");
      CHILD_REQUIRE(!fs::exists(path_of(temp.path(), 2)));
      return 0;
    });
    require_done_or_skipped(ended, "no tmpfs can be mounted");
  }
}

TEST_CASE("Journal: a limit on file sizes is file_too_large and raises no signal") {
  for (const Append way : kBothAppends) {
    const std::string ended = run_child([&] {
      const TempDir temp;
      const rlimit limit{2 * kMiB, 2 * kMiB};
      CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
      const auto segment = must_create(temp.path(), segment_id(1, 1), way);
      CHILD_EQUAL(append(*segment, 1, 0, payload_of(1, 3 * kMiB)), "file_too_large");
      CHILD_EQUAL(append(*segment, 1, 0, payload_of(1, kMiB)), "ok");
      CHILD_REQUIRE(replay(temp.path()).done.records == 1);
      return 0;
    });
    CHECK(ended == "exit 0");
  }
}
