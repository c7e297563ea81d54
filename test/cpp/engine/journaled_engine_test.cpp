// Groups of a journaled store: decided against everything before, whether anybody sees it or not.
#include "engine/journaled_engine.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "journal/journal_replay.h"
#include "support/faults.h"
#include "support/ops.h"
#include "support/writer_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

using Ops = std::vector<Op>;

Op path(Op op) {
  op.is_path = true;
  return op;
}

Settings with_buffer(Settings settings, std::uint64_t bytes) {
  settings.write_buffer_bytes = bytes;
  return settings;
}

}  // namespace

TEST_CASE("Checks, parents and replaced links are decided against everything appended so far") {
  for (const Settings& settings : {kSynced, kAsync}) {
    WriterRig rig(settings);
    // One group: in sync nothing of it is visible before its end.
    rig.push(Ops{put_op("a", "1")});
    rig.push(Ops{value_op("a", "1"), put_op("a", "2")});
    rig.push(Ops{absent_op("a"), put_op("a", "never")});
    rig.push(Ops{link_op("b", "l")});
    rig.push(Ops{path(put_op("l/x", "through"))});
    rig.push(Ops{link_op("c", "l")});
    rig.push(Ops{path(put_op("l/x", "moved"))});
    rig.push(Ops{group_op("g")});
    rig.push(Ops{put_op("g", "marked")});
    rig.push(Ops{path(put_op("l/y", "1")), path(link_op("l", "l")), path(put_op("l/z", "1"))});
    rig.push(Ops{remove_op("l")});
    rig.push(Ops{path(put_op("l/x", "own")), absent_op("l")});
    rig.start();
    CHECK(rig.answers() ==
          "ok, ok, check_failed at 1, ok, ok, ok, ok, ok, ok, bad_key at 3, ok, ok");
    CHECK(rig.writer->counts().groups == 1);
    CHECK(rig.at("a") == "2");
    CHECK(rig.at("b/x") == "through");
    CHECK(rig.at("c/x") == "moved");
    CHECK(rig.at("l/x") == "own");
    CHECK(rig.at("c/y") == "nothing");
    CHECK(rig.at("l") == "nothing");
    CHECK(rig.links.known().links == 0);
    CHECK(rig.links.known().marks == 1);
    rig.stop();
    CHECK(rig.finished == "ok");
    CHECK(rig.identity().counts.links == 0);
    CHECK(rig.identity().counts.marks == 1);
    CHECK(rig.identity().applied_seq == rig.log->appended());
  }
}

TEST_CASE("Removals of a prefix and resets see what their group appended before them") {
  for (const Settings& settings : {kSynced, kAsync}) {
    WriterRig rig(settings);
    const Ops prefix{remove_op("p")};
    const auto remove = [&]() -> Numbered& {
      auto request = std::make_unique<Numbered>(0, 0);
      request->kind = Request::Kind::remove_prefix;
      request->ops = prefix;
      return rig.push(std::move(request));
    };
    rig.push(Ops{put_op("p1", "1"), put_op("p2", "1"), put_op("q", "1")});
    Numbered& first = remove();
    Numbered& second = remove();
    rig.push(Ops{absent_op("p1"), put_op("p3", "1")});
    rig.push(Request::Kind::reset);
    rig.push(Ops{absent_op("q"), absent_op("p3"), put_op("r", "1")});
    rig.start();
    CHECK(first.wait() == "ok");
    CHECK(first.removed == 2);
    CHECK(second.wait() == "ok");
    CHECK(second.removed == 0);
    CHECK(rig.answers() == "ok, ok, ok, ok, ok, ok");
    CHECK(rig.at("q") == "nothing");
    CHECK(rig.at("r") == "1");
  }
}

TEST_CASE("A group that fills several buffers is answered and seen whole") {
  for (const Settings& chosen : {kSynced, kAsync}) {
    WriterRig rig(with_buffer(chosen, 64 << 10));
    std::vector<std::string> keys;
    for (int i = 0; i < 200; ++i) keys.push_back(std::to_string(i));
    const std::string value(2000, 'v'), large(40'000, 'l');
    // Each rests on the one before, which may be in any buffer or in the tree.
    for (std::size_t i = 0; i < keys.size(); ++i) {
      Ops ops{put_op(keys[i], i % 20 == 7 ? large : value)};
      if (i > 0) ops.push_back(value_op(keys[i - 1], i % 20 == 8 ? large : value));
      rig.push(std::move(ops));
    }
    rig.start();
    for (const auto& request : rig.requests) REQUIRE(request->wait() == "ok");
    CHECK(rig.checkpointer->applied_buffers() > 3);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      REQUIRE(rig.at(keys[i]).size() == (i % 20 == 7 ? large : value).size());
    }
    rig.stop();
    CHECK(rig.finished == "ok");
    CHECK(journal_segments(rig.env->directory()).value().empty());
  }
}

TEST_CASE("A short write is done at once where the journal has room, and only in async") {
  WriterRig rig(kAsync);
  rig.start();
  // The first write finds no segment.
  CHECK(rig.try_write({put_op("a", "1")}) == "would wait");
  rig.push(Ops{put_op("a", "1")});
  REQUIRE(rig.answers() == "ok");
  // Behind the group pages are made ready ahead of the next writes.
  std::string word = "would wait";
  for (int i = 0; i < 60'000 && word == "would wait"; ++i) {
    word = rig.try_write({value_op("a", "1"), put_op("a", "2")});
    if (word == "would wait") std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(word == "ok");
  CHECK(rig.try_write({value_op("a", "1"), put_op("a", "3")}) == "check_failed at 1");
  CHECK(rig.at("a") == "2");
  CHECK(rig.writer->counts().writes_inline == 1);
  CHECK(rig.log->appended() == 2);
  CHECK(rig.log->flushed() == 0);
}

// A value was compressed and then had to queue all the same, where it was compressed again.
TEST_CASE("That a write has to wait for LMDB, or for a cold disk, is known before it is tried") {
  WriterRig rig(with_buffer(kAsync, 256 << 10));
  const Ops op{put_op("x", "1")};
  rig.start();
  rig.push(Ops{put_op("a", "1")});
  REQUIRE(rig.answers() == "ok");
  CHECK_FALSE(rig.writer->would_wait(op));

  faults::hold(faults::kFdatasync, rig.temp.path());
  const std::string value(2000, 'v');
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) keys.push_back(std::to_string(i));
  for (const std::string& key : keys) rig.push(Ops{put_op(key, value)});
  REQUIRE(rig.requests.back()->wait() == "ok");
  CHECK_FALSE(rig.checkpointer->idle());
  CHECK(rig.writer->would_wait(op));
  faults::release_held();
  REQUIRE(rig.checkpointer->wait_idle());
  CHECK_FALSE(rig.writer->would_wait(op));

  using std::chrono::hours;
  rig.residency.blocked(hours(1), hours(1));
  CHECK_FALSE(rig.writer->would_wait(op));  // there is nothing to look up
  rig.push(Ops{link_op("b", "l")});
  rig.requests.back()->wait();
  CHECK(rig.writer->would_wait(op));
}

// Between its look at the buffer and the lock another rotated: an empty buffer was rotated then,
// behind whatever was being applied and with the lock held for as long.
TEST_CASE("A buffer that another has just rotated is not rotated again by who tends it") {
  WriterRig rig(kAsync);
  rig.start();
  rig.push(Ops{put_op("a", "1")});
  REQUIRE(rig.answers() == "ok");
  // The writer's thread looks again and again, and has seen a buffer that will soon be old.
  faults::hold(faults::kTryLock);
  faults::wait_for_held();
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  // Too large for a buffer: those before it are rotated and applied.
  const std::string large(16 << 20, 'l');
  Batch direct({put_op("b", large)});
  {
    const std::lock_guard lock(rig.write_mutex);
    rig.journal->write_group(&direct, 1);
  }
  REQUIRE(outcome(direct.outcome) == "ok");
  REQUIRE(rig.checkpointer->applied_buffers() == 1);
  faults::release_held();
  // Served once it is done with looking.
  rig.push(Request::Kind::sync);
  REQUIRE(rig.answers() == "ok");
  REQUIRE(outcome(rig.checkpointer->wait_idle()) == "ok");
  CHECK(rig.checkpointer->applied_buffers() == 1);
  CHECK(rig.identity().applied_seq == 2);
}

// Each part of a removed prefix began at the prefix anew, and passed over all that the parts before
// it had removed: 400,000 keys took ten times as long as 100,000, under the write lock.
TEST_CASE("A removal of a prefix that goes on begins where it is told, and nowhere before") {
  for (const Settings& settings : {kMapped, kAsync}) {
    WriterRig rig(settings);
    rig.start();
    rig.push(Ops{put_op("o9", "1"), put_op("p1", "1"), put_op("p5", "1"), put_op("p7", "1"),
                 put_op("q1", "1")});
    REQUIRE(rig.answers() == "ok");
    const Ops prefix{remove_op("p")};
    auto request = std::make_unique<Numbered>(0, 0);
    request->kind = Request::Kind::remove_prefix;
    request->ops = prefix;
    request->from = "p5";
    Numbered& part = rig.push(std::move(request));
    REQUIRE(part.wait() == "ok");
    CHECK(part.removed == 2);
    CHECK(part.continue_at.empty());
    CHECK(rig.at("p1") == "1");
    CHECK(rig.at("p5") == "nothing");
    CHECK(rig.at("q1") == "1");
  }
}
