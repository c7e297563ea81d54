// What threads do to one segment at the same time.
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "support/faults.h"
#include "support/gate.h"
#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

TEST_CASE("Appends, flushes and preparations at the same time lose nothing") {
  for (const Way way : kBothWays) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way, 512 * kMiB);
    constexpr std::uint64_t kRecords = 4000;
    std::atomic<std::uint64_t> appended{0}, flushed{0};
    std::atomic<bool> stop{false};
    std::string flush_word = "ok", ahead_word = "ok";
    std::uint64_t flushes = 0;
    std::thread flusher([&] {
      while (!stop.load() && flush_word == "ok") {
        const std::uint64_t until = appended.load();
        flush_word = outcome(segment->flush());
        flushed.store(until);
        ++flushes;
      }
    });
    std::thread preparer([&] {
      while (!stop.load() && ahead_word == "ok") ahead_word = outcome(segment->prepare_ahead());
    });
    std::string word = "ok";
    const auto size_of = [](std::uint64_t seq) {
      return 1 + seq * 7919 % (seq % 50 == 0 ? 60000 : 900);
    };
    for (std::uint64_t seq = 1; seq <= kRecords && word == "ok"; ++seq) {
      word = append(*segment, seq, flushed.load(), payload_of(seq, size_of(seq)));
      appended.store(seq);
    }
    stop.store(true);
    flusher.join();
    preparer.join();
    CHECK(word == "ok");
    CHECK(flush_word == "ok");
    CHECK(ahead_word == "ok");
    CHECK(flushes > 1);
    CHECK(outcome(segment->flush()) == "ok");
    const auto all = replay(temp.path());
    CHECK(all.word == "ok");
    REQUIRE(all.done.records == kRecords);
    bool same = true;
    for (const auto& [seq, payload] : all.delivered) {
      same = same && payload == payload_of(seq, size_of(seq));
    }
    CHECK(same);
    CHECK_FALSE(all.done.torn_tail);
  }
}

TEST_CASE("An append does not wait for a flush, and keeps off the pages it writes") {
  const TempDir temp;
  const auto segment = must_create(temp.path(), segment_id(1, 1), Way::mapped);
  REQUIRE(append(*segment, 1, 0, "first") == "ok");
  faults::hold(faults::kMsync);
  std::string word;
  std::thread flusher([&] { word = outcome(segment->flush()); });
  faults::wait_for_held();
  Gate appended;
  std::string second;
  std::thread appender([&] {
    second = append(*segment, 2, 0, "second");
    appended.open();
  });
  CHECK_NOTHROW(appended.wait());
  faults::release_held();
  flusher.join();
  appender.join();
  CHECK(word == "ok");
  CHECK(second == "ok");
  CHECK(segment->bytes() == 4096 + 40);
  // The second record is not what that flush made durable: the next one has something to do.
  faults::arm({.directory = temp.path(), .calls = faults::kMsync});
  CHECK(outcome(segment->flush()) == "ok");
  CHECK(faults::disarm() == 1);
  CHECK(replay(temp.path()).done.records == 2);
}
