// What threads do to one segment at the same time.
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "journal/journal.h"
#include "support/faults.h"
#include "support/gate.h"
#include "support/journal.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

TEST_CASE("Appends, flushes and preparations at the same time lose nothing") {
  for (const Append way : kBothAppends) {
    INFO(name_of(way));
    const TempDir temp;
    const auto segment = must_create(temp.path(), segment_id(1, 1), way, 512 * kMiB);
    constexpr std::uint64_t kFewestRecords = 4000;
    std::atomic<std::uint64_t> appended{0}, flushed{0}, flushes{0};
    std::atomic<bool> stop{false};
    std::string flush_word = "ok", ahead_word = "ok";
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
    // A slow disk may take longer for its first flush than that many records take.
    const auto go_on = [&] { return appended < kFewestRecords || flushes < 2; };
    while (word == "ok" && go_on()) {
      const std::uint64_t seq = appended + 1;
      word = append(*segment, seq, flushed.load(), payload_of(seq, size_of(seq)));
      if (word == "ok") appended.store(seq);
    }
    stop.store(true);
    flusher.join();
    preparer.join();
    CHECK(word == "ok");
    CHECK(flush_word == "ok");
    CHECK(ahead_word == "ok");
    CHECK(outcome(segment->flush()) == "ok");
    const auto all = replay(temp.path());
    CHECK(all.word == "ok");
    REQUIRE(all.done.records == appended);
    bool same = true;
    for (const auto& [seq, payload] : all.delivered) {
      same = same && payload == payload_of(seq, size_of(seq));
    }
    CHECK(same);
    CHECK_FALSE(all.done.torn_tail);
  }
}

TEST_CASE("Segments are made ahead, opened, flushed and removed at the same time") {
  const TempDir temp;
  const Directory directory = test::open_directory(temp.path());
  const Journal::Start start{
      .store_id = test::kStoreId, .segment_bytes = test::kMiB, .way = Append::mapped};
  std::atomic<bool> failed{false}, stop{false};
  Journal log(directory, start, &failed);
  std::atomic<std::uint64_t> to_apply{0};  // of the frozen segment; 0: there is none
  std::uint64_t applied = 0;
  std::string applier_word = "ok", flusher_word = "ok", word = "ok";
  // As the checkpointer does: flush, spare, tree, out of the way, gone.
  std::thread checkpointer([&] {
    while (!stop.load() || to_apply.load() != 0) {
      const std::uint64_t through = to_apply.load();
      if (through == 0) continue;
      for (const auto& done : {log.flush(), log.make_spare()}) {
        if (!done) applier_word = outcome(done);
      }
      applied = log.flushed() >= through ? through : 0;
      log.retire_frozen();
      to_apply.store(0);
      if (applied % 3 == 0) (void)log.remove_spare();
      if (const auto removed = log.remove_retired(); !removed) applier_word = outcome(removed);
    }
  });
  std::thread flusher([&] {
    while (!stop.load()) {
      if (const auto flushed = log.flush(); !flushed) flusher_word = outcome(flushed);
    }
  });
  constexpr std::uint64_t kRecords = 1000;
  for (std::uint64_t seq = 1; seq <= kRecords && word == "ok"; ++seq) {
    if (!log.has_segment()) word = outcome(log.open_segment());
    if (word == "ok") word = outcome(log.append(payload_of(seq, 500)));
    if (seq % 20 == 0 && to_apply.load() == 0) {
      log.rotate();
      to_apply.store(seq);
    }
  }
  stop.store(true);
  checkpointer.join();
  flusher.join();
  CHECK(word == "ok");
  CHECK(applier_word == "ok");
  CHECK(flusher_word == "ok");
  CHECK(applied > 0);
  REQUIRE(outcome(log.flush()) == "ok");
  REQUIRE(outcome(log.remove_retired()) == "ok");
  const auto rest = replay(temp.path(), applied);
  CHECK(rest.word == "ok");
  CHECK(rest.done.records == kRecords - applied);
}

TEST_CASE("An append does not wait for a flush, and keeps off the pages it writes") {
  const TempDir temp;
  const auto segment = must_create(temp.path(), segment_id(1, 1), Append::mapped);
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
