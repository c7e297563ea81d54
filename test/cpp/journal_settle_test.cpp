// What a copy of LMDB's file asks of the journal: that LMDB has what was appended, and that no
// buffer is half in it while the copy begins.
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "journal_reader.h"
#include "support/faults.h"
#include "support/gate.h"
#include "support/journal.h"
#include "support/ops.h"
#include "support/writer_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

Settings small(Settings settings) {
  settings.write_buffer_bytes = 64 << 10;
  return settings;
}

/// Writes until a buffer is given to the applier.
void give_a_buffer(WriterRig& rig) {
  const std::string value(1000, 'v');
  const std::uint64_t before = rig.applier->given();
  for (int i = 0; rig.applier->given() == before; ++i) {
    const std::string key = std::to_string(i);
    rig.push({put_op(key, value)});
    REQUIRE(rig.answers() == "ok");
  }
}

void wait_idle(WriterRig& rig) {
  REQUIRE(outcome(rig.applier->wait_idle()) == "ok");
}

}  // namespace

TEST_CASE("LMDB has what was appended, and the next buffer waits until the copy has begun") {
  for (const Settings& settings : {kSynced, kAsync}) {
    WriterRig rig(small(settings));
    rig.start();
    rig.push({put_op("key", "value")});
    REQUIRE(rig.answers() == "ok");
    std::atomic<bool> begun{false};
    REQUIRE(outcome(rig.journal->settle([&] { return begun.load(); })) == "ok");
    CHECK(rig.identity().applied_seq == 1);
    CHECK(rig.applier->idle());
    give_a_buffer(rig);
    std::this_thread::sleep_for(kWatched);
    CHECK(!rig.applier->idle());
    CHECK(rig.applier->progress() == 0);
    CHECK(rig.identity().applied_seq == 1);
    CHECK(rig.identity().applying_seq == 0);
    CHECK(rig.at("0") == std::string(1000, 'v'));
    begun.store(true);
    wait_idle(rig);
    CHECK(rig.identity().applied_seq == rig.applier->given());
    // Not held any more.
    give_a_buffer(rig);
    wait_idle(rig);
    rig.stop();
    CHECK(rig.finished == "ok");
  }
}

TEST_CASE("A copy that does not begin lets the next buffer go") {
  WriterRig rig(small(kAsync));
  rig.start();
  REQUIRE(outcome(rig.journal->settle([] { return false; })) == "ok");
  give_a_buffer(rig);
  std::this_thread::sleep_for(kWatched);
  CHECK(rig.identity().applied_seq == 0);
  rig.journal->go_on();
  wait_idle(rig);
  CHECK(rig.identity().applied_seq > 0);
  // Nor does the end of one that had nothing to wait for hold anything.
  REQUIRE(outcome(rig.journal->settle([] { return false; })) == "ok");
  rig.journal->go_on();
  give_a_buffer(rig);
  wait_idle(rig);
}

TEST_CASE("It waits for the buffer that is being applied, and for the one behind it") {
  WriterRig rig(small(kAsync));
  rig.start();
  faults::hold(faults::kFdatasync);
  give_a_buffer(rig);
  faults::wait_for_held();
  rig.push({put_op("behind", "it")});
  REQUIRE(rig.answers() == "ok");
  const std::uint64_t appended = rig.log->appended();
  Gate settled;
  std::string word;
  std::thread copier([&] {
    word = outcome(rig.journal->settle([] { return true; }));
    settled.open();
  });
  CHECK(!settled.opens_within(kWatched));
  // Writers do not wait meanwhile.
  rig.push({put_op("more", "of it")});
  REQUIRE(rig.answers() == "ok");
  faults::release_held();
  settled.wait();
  copier.join();
  CHECK(word == "ok");
  CHECK(rig.identity().applied_seq >= appended);
  CHECK(rig.identity().applying_seq == 0);
}

TEST_CASE("What keeps a buffer from LMDB is the answer, and nothing is held then") {
  WriterRig rig(small(kAsync));
  rig.start();
  rig.push({put_op("key", "value")});
  REQUIRE(rig.answers() == "ok");
  faults::arm({.directory = rig.temp.path() + "/data.mdb",
               .calls = faults::kAnyWrite,
               .fail_at = 1,
               .for_ever = true,
               .error = ENOSPC});
  CHECK(outcome(rig.journal->settle([] { return false; })) == "disk_full");
  faults::disarm();
  rig.applier->try_again();
  wait_idle(rig);
  CHECK(rig.identity().applied_seq == 1);
  give_a_buffer(rig);
  wait_idle(rig);
}

TEST_CASE("A second copy does not take the buffer the first one held for one of its own") {
  WriterRig rig(small(kAsync));
  rig.start();
  for (int i = 0; i < 20; ++i) {
    REQUIRE(outcome(rig.journal->settle([] { return false; })) == "ok");
    give_a_buffer(rig);
    const std::uint64_t given = rig.applier->given();
    rig.journal->go_on();
    // Before the thread has seen that the first is over.
    rig.applier->hold([] { return false; });
    CHECK(outcome(rig.applier->wait_held()) == "ok");
    CHECK(rig.identity().applied_seq >= given);
    rig.journal->go_on();
    wait_idle(rig);
  }
}

TEST_CASE("A copy's file system that does not answer holds up nobody but the applier") {
  WriterRig rig(small(kAsync));
  rig.start();
  Gate asked, answer, went_on;
  REQUIRE(outcome(rig.journal->settle([&] {
            asked.open();
            answer.wait();
            return true;
          })) == "ok");
  give_a_buffer(rig);
  asked.wait();
  std::thread other([&] {
    rig.applier->wait_past(1, std::chrono::nanoseconds(0));
    went_on.open();
  });
  CHECK(went_on.opens_within(std::chrono::seconds(10)));
  answer.open();
  other.join();
  rig.journal->go_on();
  wait_idle(rig);
  CHECK(rig.identity().applied_seq == rig.applier->given());
}

TEST_CASE("A spare segment does not keep room that a buffer was refused") {
  WriterRig rig(small(kAsync));
  rig.start();
  faults::arm({.directory = rig.temp.path() + "/data.mdb",
               .calls = faults::kAnyWrite,
               .fail_at = 1,
               .for_ever = true,
               .error = ENOSPC});
  give_a_buffer(rig);
  for (int tries = 0; tries < 2; ++tries) {
    CHECK(outcome(rig.applier->wait_idle()) == "disk_full");
    // That of the buffer, and the one that is written.
    CHECK(journal_segments(open_directory(rig.temp.path())).value().size() == 2);
    rig.applier->try_again();
  }
  faults::disarm();
  rig.applier->try_again();
  wait_idle(rig);
  CHECK(rig.identity().applied_seq == rig.applier->given());
}

TEST_CASE("A segment holds the records of one buffer, and the next one those of the next") {
  for (const Settings& settings : {kSynced, kAsync}) {
    INFO(static_cast<int>(settings.durability));
    WriterRig rig(small(settings));
    rig.start();
    rig.push({put_op("first", "value")});
    REQUIRE(rig.answers() == "ok");
    // From here on no buffer goes into LMDB, so no segment goes either.
    REQUIRE(outcome(rig.journal->settle([] { return false; })) == "ok");
    give_a_buffer(rig);
    rig.push({put_op("last", "value")});
    REQUIRE(rig.answers() == "ok");
    const Directory directory = open_directory(rig.temp.path());
    std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> segments;  // first and last
    for (const auto& entry : std::filesystem::directory_iterator(rig.temp.path())) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("journal-")) continue;
      auto reader = JournalReader::open(directory, name);
      REQUIRE(reader);
      const auto header = reader.value().read_header();
      REQUIRE(header);
      const auto first = reader.value().first_seq();
      REQUIRE(first);
      REQUIRE(first.value());
      std::uint64_t seq = *first.value();
      for (auto next = reader.value().next(seq); next && next.value();) {
        next = reader.value().next(++seq);
      }
      segments[header.value().id.generation] = {*first.value(), seq - 1};
    }
    REQUIRE(segments.size() == 2);
    const auto [old_first, old_last] = segments.begin()->second;
    const auto [new_first, new_last] = segments.rbegin()->second;
    const auto frozen = rig.buffers.frozen(), active = rig.buffers.active();
    REQUIRE(frozen);
    CHECK(frozen->first_version() == old_first);
    CHECK(frozen->keys() == old_last - old_first + 1);  // each record wrote another key
    CHECK(new_first == old_last + 1);
    CHECK(active->first_version() == new_first);
    CHECK(active->keys() == new_last - new_first + 1);
    CHECK(new_last == rig.log->appended());
    rig.journal->go_on();
  }
}
