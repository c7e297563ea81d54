#include "write/writer.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/faults.h"
#include "support/ops.h"
#include "support/writer_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

Settings with_capacity(Settings settings, std::uint64_t bytes) {
  settings.capacity = bytes;
  settings.capacity_given = true;
  return settings;
}

}  // namespace

TEST_CASE("Requests that wait together are one group, each with its own answer") {
  for (const Settings& settings : {kMapped, kSynced, kAsync}) {
    WriterRig rig(settings);
    rig.push({put_op("a", "1")});
    rig.push({absent_op("a"), put_op("a", "2"), put_op("never", "1")});
    rig.push({value_op("a", "1"), put_op("b", "1")});
    rig.push({value_op("b", "2")});
    rig.push({remove_op("a"), put_op("c", "1")});
    rig.push({absent_op("a"), value_op("c", "1"), put_op("d", "1")});
    rig.push(std::vector<Op>{});
    rig.start();
    CHECK(rig.answers() == "ok, check_failed at 1, ok, check_failed at 1, ok, ok, ok");
    CHECK(rig.at("a") == "nothing");
    CHECK(rig.at("never") == "nothing");
    CHECK(rig.at("b") == "1");
    CHECK(rig.at("c") == "1");
    CHECK(rig.at("d") == "1");
    CHECK(rig.writer->counts().groups == 1);
    CHECK(rig.writer->counts().grouped_writes == 7);
    CHECK(rig.writer->counts().writes_inline == 0);
  }
}

TEST_CASE("A group of failed checks writes nothing") {
  WriterRig rig(kSynced);
  rig.start();
  rig.push({value_op("a", "1"), put_op("b", "1")});
  CHECK(rig.answers() == "check_failed at 1");
  CHECK(rig.at("b") == "nothing");
}

TEST_CASE("An answer comes after the write can be read, and gives the room back after it") {
  for (const Settings& settings : {kMapped, kSynced, kAsync}) {
    WriterRig rig(settings);
    std::string seen;
    std::uint64_t room = 0;
    Numbered& request = rig.push({put_op("key", "value")});
    request.on_done = [&] {
      seen = rig.at("key");
      room = rig.queue.queued_bytes();
    };
    const std::uint64_t bytes = request.bytes;
    rig.start();
    CHECK(request.wait() == "ok");
    CHECK(seen == "value");
    CHECK(room == bytes);
    rig.stop();
    CHECK(rig.queue.queued_bytes() == 0);
  }
}

TEST_CASE("A reset empties at its place in the group and keeps what the store is") {
  for (const Settings& settings : {kMapped, kSynced, kAsync}) {
    WriterRig rig(settings);
    const std::string store_id = rig.identity().store_id;
    rig.push({put_op("before", "1")});
    rig.push(Request::Kind::reset);
    rig.push({absent_op("before"), put_op("after", "1")});
    rig.start();
    CHECK(rig.answers() == "ok, ok, ok");
    CHECK(rig.at("before") == "nothing");
    CHECK(rig.at("after") == "1");
    CHECK(rig.identity().store_id == store_id);
    CHECK(rig.identity().store_id == rig.env->store_id());
  }
}

TEST_CASE("Removing a prefix takes a bounded number at a time, and says how many") {
  WriterRig rig(kMapped);
  std::vector<std::string> keys;
  for (int i = 0; i < 2500; ++i) keys.push_back("prefix" + std::to_string(i));
  std::vector<Op> puts{put_op("prefiw", "1"), put_op("prefiy", "1")};
  for (const std::string& key : keys) puts.push_back(put_op(key, "1"));
  rig.push(puts);
  const std::vector<Op> prefix{remove_op("prefix")};
  std::vector<Numbered*> removals;
  for (int i = 0; i < 4; ++i) {
    auto request = std::make_unique<Numbered>(0, 0);
    request->kind = Request::Kind::remove_prefix;
    request->ops = prefix;
    removals.push_back(&rig.push(std::move(request)));
  }
  rig.start();
  for (Numbered* removal : removals) CHECK(removal->wait() == "ok");
  std::uint64_t removed = 0;
  for (const Numbered* removal : removals) {
    CHECK(removal->removed <= 1000);
    removed += removal->removed;
  }
  CHECK(removed == keys.size());
  CHECK(removals.back()->removed == 0);
  CHECK(rig.at("prefix0") == "nothing");
  CHECK(rig.at("prefiw") == "1");
  CHECK(rig.at("prefiy") == "1");
}

TEST_CASE("A request that has no room fails alone") {
  for (const Settings& settings : {kMapped, kSynced, kAsync}) {
    WriterRig rig(with_capacity(settings, kMiB));
    const std::string large(2 * kMiB, 'l');
    rig.push({put_op("a", "1")});
    rig.push({put_op("large", large)});
    rig.push({put_op("b", "1"), put_op("large", large)});
    rig.push({remove_op("a"), put_op("c", "1")});
    rig.push({value_op("none", "1"), put_op("large", large)});
    rig.start();
    CHECK(rig.answers() == "ok, map_full, map_full, ok, check_failed at 1");
    CHECK(rig.at("a") == "nothing");
    CHECK(rig.at("b") == "nothing");
    CHECK(rig.at("c") == "1");
    CHECK_FALSE(rig.failed);
  }
}

TEST_CASE("Without a reader slot left a group near the capacity is still answered") {
  // Counting free pages takes a reader. With all slots in use every member was told readers_full.
  Settings settings = with_capacity(kMapped, kMiB);
  settings.max_readers = 2;
  WriterRig rig(settings);
  rig.start();
  const std::string value(50'000, 'v');
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back(std::to_string(i));
  std::size_t written = 0;
  while (rig.push({put_op(keys[written], value)}).wait() == "ok") ++written;
  std::vector<ReadTxn> readers;
  for (;;) {
    auto reader = ReadTxn::begin(rig.env->get());
    if (!reader) break;
    readers.push_back(std::move(reader).value());
  }
  REQUIRE_FALSE(readers.empty());
  rig.requests.clear();
  rig.push({put_op("more", value)});
  rig.push({remove_op("0")});
  CHECK(rig.answers() == "map_full, ok");
}

TEST_CASE("Large crowds are served in several groups") {
  WriterRig rig(kMapped);
  for (int i = 0; i < 25'000; ++i) rig.push({put_op("key", "value")});
  rig.start();
  for (const auto& request : rig.requests) REQUIRE(request->wait() == "ok");
  const Writer::Counts counts = rig.writer->counts();
  CHECK(counts.groups == 3);
  CHECK(counts.grouped_writes == 25'000);
}

TEST_CASE("A short write that need not wait is done at once") {
  WriterRig rig(kMapped);
  // The first write finds no blocks set aside, and only the writer's thread may do that.
  CHECK(rig.try_write({put_op("a", "1")}) == "would wait");
  rig.start();
  rig.push({put_op("first", "1")});
  CHECK(rig.answers() == "ok");
  CHECK(rig.try_write({put_op("a", "1"), put_op("b", "1")}) == "ok");
  CHECK(rig.try_write({absent_op("a"), put_op("b", "2")}) == "check_failed at 1");
  CHECK(rig.at("a") == "1");
  CHECK(rig.at("b") == "1");
  CHECK(rig.writer->counts().writes_inline == 1);
  CHECK(rig.writer->counts().groups == 1);
}

TEST_CASE("What is long, or might wait, is left to the writer's thread") {
  WriterRig rig(kMapped);
  rig.start();
  rig.push({put_op("first", "1")});
  REQUIRE(rig.answers() == "ok");
  const std::vector<Op> short_ops{put_op("a", "1")};
  const std::string large(65 * 1024, 'l');
  CHECK(rig.try_write({put_op("a", large)}) == "would wait");
  CHECK(rig.try_write(std::vector<Op>(101, put_op("a", "1"))) == "would wait");
  CHECK(rig.at("a") == "nothing");
  CHECK(rig.try_write(short_ops) == "ok");

  // While a flush runs a commit may wait for the disk.
  faults::hold(faults::kMsync);
  Numbered flush(0, 0);
  flush.kind = Request::Kind::sync;
  REQUIRE(rig.flusher->request(&flush).ok());
  faults::wait_for_held();
  CHECK(rig.try_write(short_ops) == "would wait");
  faults::release_held();
  CHECK(flush.wait() == "ok");

  rig.stop();
  CHECK(rig.try_write(short_ops) == "would wait");
}

TEST_CASE("Nobody overtakes those who wait") {
  WriterRig rig(kMapped);
  rig.push({put_op("a", "1")});
  CHECK(rig.try_write({put_op("a", "2")}) == "would wait");
  rig.start();
  CHECK(rig.answers() == "ok");
  CHECK(rig.try_write({put_op("a", "2")}) == "ok");
  CHECK(rig.at("a") == "2");
}

TEST_CASE("Where every write is flushed nothing is done at once") {
  WriterRig rig(kSynced);
  rig.start();
  rig.push({put_op("first", "1")});
  REQUIRE(rig.answers() == "ok");
  CHECK(rig.try_write({put_op("a", "1")}) == "would wait");
}

TEST_CASE("Once the environment has failed nothing is written") {
  for (const Settings& settings : {kMapped, kSynced, kAsync}) {
    WriterRig rig(settings);
    rig.start();
    rig.push({put_op("first", "1")});
    REQUIRE(rig.answers() == "ok");
    rig.failed = true;
    rig.push({put_op("a", "1")});
    rig.push(Request::Kind::reset);
    CHECK(rig.answers() == "env_failed, env_failed");
    if (settings.durability == Durability::map_async) {
      CHECK(rig.try_write({put_op("a", "1")}) == "env_failed");
    }
    CHECK(rig.at("a") == "nothing");
    CHECK(rig.at("first") == "1");
  }
}

TEST_CASE("Stopping does what is queued") {
  WriterRig rig(kSynced);
  for (int i = 0; i < 100; ++i) rig.push({put_op("key", "value")});
  rig.start();
  rig.stop();
  for (const auto& request : rig.requests) CHECK(request->answer == "ok");
}

TEST_CASE("A writer thread that cannot be started is an error, and stopping is fine all the same") {
  WriterRig rig(kSynced);
  ThreadApi broken = posix_threads();
  broken.start = [](const char*, void* (*)(void*), void*, void**) { return EAGAIN; };
  CHECK_FALSE(rig.writer->start(broken).ok());
}

TEST_CASE("A write that gets the lock once another is queued goes behind it") {
  WriterRig rig(kAsync);  // not started: what is queued stays so
  REQUIRE(rig.log->open_segment());
  rig.log->prepare_ahead();
  REQUIRE(rig.try_write({put_op("a", "1")}) == "ok");
  std::string answer;
  faults::hold(faults::kTryLock);
  std::thread writer([&] { answer = rig.try_write({put_op("a", "2")}); });
  faults::wait_for_held();  // it has seen an empty queue
  rig.push({put_op("a", "3")});
  faults::release_held();
  writer.join();
  CHECK(answer == "would wait");
  CHECK(rig.at("a") == "1");
  rig.start();
  CHECK(rig.answers() == "ok");
  CHECK(rig.at("a") == "3");
}
