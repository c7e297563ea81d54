// What a crash leaves of the journal, and what the next opening makes of it. The names are the
// rules.
#include "engine/recovery.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "buffer/pending_batch.h"
#include "hyper_lmdb/store.h"
#include "journal/journal_mark.h"
#include "journal/journal_segment.h"
#include "lmdb/dirty_mark.h"
#include "lmdb/txn.h"
#include "read/view.h"
#include "support/journal.h"
#include "support/test_env.h"

using namespace hyper_lmdb;
using test::closed;
using test::EnvPtr;
using test::kAsync;
using test::kMiB;
using test::kSynced;
using test::must_open;
using test::outcome;
using test::TempDir;

namespace {

using Names = std::vector<std::string>;
using Files = std::map<std::string, std::string>;

std::string encoded(std::string_view key, std::string_view value) {
  const Record record{.kind = Kind::value, .payload = value};
  std::string bytes(encoded_size(record), '\0');
  encode(key, record, bytes.data());
  return bytes;
}

/// A store's directory with a journal in it.
struct Rig {
  TempDir temp{test::memory_directory()};
  EnvPtr env = must_open(temp.path(), kAsync);
  PendingBatch pending_batch;
  Result<Recovered> recovered = Error{};

  /// A segment of whole batches, flushed: each puts "last" and a key of its own.
  void journal(std::uint64_t generation, std::uint64_t from, std::uint64_t to,
               const std::string& store_id = "") {
    const SegmentId id{.store_id = store_id.empty() ? env->store_id() : store_id,
                       .generation = generation,
                       .first_seq = from,
                       .flushed_seq = from - 1};
    auto segment =
        JournalSegment::create(env->directory(), id, 64 * kMiB, JournalSegment::Append::written);
    REQUIRE(segment.ok());
    for (std::uint64_t seq = from; seq <= to; ++seq) {
      pending_batch.begin(false, 0);
      const std::string number = std::to_string(seq);
      pending_batch.add("last", {.kind = Kind::value, .payload = number});
      pending_batch.add("key " + number, {.kind = Kind::value, .payload = number});
      append(*segment.value(), seq, from - 1);
    }
    REQUIRE(outcome(segment.value()->flush()) == "ok");
  }
  /// One that was made ahead.
  bool spare(std::uint64_t generation, std::uint64_t flushed_seq) {
    const SegmentId id{
        .store_id = env->store_id(), .generation = generation, .flushed_seq = flushed_seq};
    return JournalSegment::create(env->directory(), id, 64 * kMiB, JournalSegment::Append::written)
        .ok();
  }
  void append(JournalSegment& segment, std::uint64_t seq, std::uint64_t flushed_seq) {
    const std::string_view payload = pending_batch.payload();
    REQUIRE(outcome(segment.append(seq, flushed_seq, {&payload, 1})) == "ok");
  }
  /// The file says this of itself at the next opening, which is now.
  void reopen(std::uint64_t applied_seq, std::uint64_t applying_seq) {
    {
      auto txn = WriteTxn::begin(env->get());
      REQUIRE(write_identity(txn.value().get(), env->dbi(),
                             {.store_id = env->store_id(),
                              .applied_seq = applied_seq,
                              .applying_seq = applying_seq})
                  .ok());
      REQUIRE(txn.value().commit().ok());
    }
    reopen(kAsync);
  }
  void reopen(const Settings& settings) {
    REQUIRE(closed(env) == "ok");
    env = must_open(temp.path(), settings);
  }
  std::string recover(const Settings& settings = kAsync) {
    recovered = hyper_lmdb::recover(env.get(), settings);
    return outcome(recovered);
  }

  std::string at(std::string_view key) const {
    auto txn = ReadTxn::begin(env->get());
    const auto found = find_in(txn.value().get(), env->dbi(), key);
    if (!found.value()) return "nothing";
    return std::string(decode(*found.value()).value().payload);
  }
  Identity stored() const {
    auto txn = ReadTxn::begin(env->get());
    return read_identity(txn.value().get(), env->dbi()).value();
  }
  Names segments() const { return journal_segments(env->directory()).value(); }
  Files files() const {
    Files all;
    for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
      const std::string name = entry.path().filename();
      if (name != kLockFile) all[name] = test::read_whole(entry.path());
    }
    return all;
  }
  void check_tree_has_all_up_to(std::uint64_t last) const {
    CHECK(at("last") == std::to_string(last));
    for (std::uint64_t seq = 1; seq <= last; ++seq) {
      REQUIRE(at("key " + std::to_string(seq)) == std::to_string(seq));
    }
    CHECK(at("key " + std::to_string(last + 1)) == "nothing");
    CHECK(stored().applied_seq == last);
    CHECK(stored().applying_seq <= last);
    CHECK(env->applied_seq() == last);
  }
};

}  // namespace

TEST_CASE("Recovery never appends to an old segment and leaves none") {
  Rig rig;
  rig.journal(3, 1, 10);
  rig.journal(4, 11, 15);
  const bool half_made = GENERATE(false, true);
  if (half_made) test::write_whole(rig.temp / journal::segment_name(5), std::string(4096, '\0'));
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.segments().empty());
  CHECK(rig.recovered.value().buffer == nullptr);
  CHECK(rig.recovered.value().replayed.records == 15);
  CHECK(rig.recovered.value().replayed.last_seq == 15);
  // The next segment is a newer one, whatever becomes of the removals.
  CHECK(rig.recovered.value().replayed.last_generation == (half_made ? 5 : 4));
  rig.check_tree_has_all_up_to(15);
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.recovered.value().replayed.records == 0);
  CHECK(rig.recovered.value().replayed.last_seq == 15);
}

TEST_CASE("Without a journal there is nothing to do") {
  Rig rig;
  rig.reopen(7, 0);
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.recovered.value().replayed.last_seq == 7);
  CHECK(rig.recovered.value().replayed.records == 0);
  CHECK(rig.stored().applied_seq == 7);
}

TEST_CASE("A file marked as applying with no journal that covers it is corrupted") {
  Rig rig;
  rig.reopen(3, 6);
  CHECK(rig.recover() == "corrupted");
  rig.journal(1, 1, 5);
  const Files before = rig.files();
  for (const bool read_only : {false, true}) {
    Settings settings = kAsync;
    settings.read_only = read_only;
    CHECK(rig.recover(settings) == "corrupted");
  }
  CHECK((rig.files() == before));
  rig.journal(2, 6, 6);
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.at("last") == "6");
  CHECK(rig.stored().applied_seq == 6);
  CHECK(rig.stored().applying_seq <= 6);
}

TEST_CASE("A journal of another store id, or with a gap to applied_seq, is journal_mismatch") {
  Rig rig;
  SECTION("another store") {
    rig.journal(1, 1, 3, std::string(32, 'f'));
  }
  SECTION("another store, with nothing in it") {
    rig.journal(1, 1, 0, std::string(32, 'f'));
  }
  SECTION("a gap to the tree") {
    rig.reopen(5, 0);
    rig.journal(1, 7, 9);
  }
  SECTION("a gap inside") {
    rig.journal(1, 1, 3);
    rig.journal(3, 5, 9);
  }
  const Files before = rig.files();
  CHECK(rig.recover() == "journal_mismatch");
  CHECK((rig.files() == before));
}

// A journal that was there at a kill and is gone at the start was a start without a word, or
// `corrupted` where only the first segment was gone.
TEST_CASE("A segment that was there when the store was left is missed") {
  for (const bool read_only : {false, true}) {
    for (const std::uint64_t gone : {0, 3, 4, 5, 99}) {
      INFO((read_only ? "read-only, " : "") << "segment " << gone << " is gone");
      Rig rig;
      rig.journal(3, 1, 10);
      rig.journal(4, 11, 15);
      REQUIRE(rig.spare(5, 15));
      JournalMark mark(rig.env->directory(), rig.env->store_id());
      for (const std::uint64_t generation : {3, 4, 5}) REQUIRE(mark.add(generation));
      for (const std::string& name : rig.segments()) {
        const bool goes = gone == 99 || name == journal::segment_name(gone);
        if (goes) std::filesystem::remove(rig.temp / name);
      }
      Settings settings = kAsync;
      settings.read_only = read_only;
      const bool whole = gone == 0;
      CHECK(rig.recover(settings) == (whole ? "ok" : "journal_mismatch"));
      CHECK(rig.recover(settings) == (whole ? "ok" : "journal_mismatch"));
      // What was applied is not missed any more, and what is only read still is.
      CHECK(mark.read().value().none() == (whole && !read_only));
    }
  }
}

TEST_CASE("A mark that is another store's, damaged or gone says nothing of segments") {
  for (const std::string what : {"another store's", "damaged", "cut", "gone"}) {
    INFO(what);
    Rig rig;
    const std::string id = what == "another store's" ? std::string(32, '0') : rig.env->store_id();
    JournalMark mark(rig.env->directory(), id);
    REQUIRE(mark.add(7));
    const std::string file = rig.temp / std::string(kMarkFile);
    std::string bytes = test::read_whole(file);
    if (what == "damaged") bytes[kMarkBytes + 41] ^= 1;
    if (what == "cut") bytes.resize(bytes.size() - 1);
    test::write_whole(file, bytes);
    if (what == "gone") std::filesystem::remove(file);
    CHECK(rig.recover() == "ok");
  }
}

TEST_CASE("What the tree has is not applied again, and its journal goes") {
  Rig rig;
  rig.journal(1, 1, 10);
  test::put(*rig.env, "key 4", encoded("key 4", "newer"));
  const std::uint64_t applied = GENERATE(5, 10, 12);
  rig.reopen(applied, 0);
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.segments().empty());
  CHECK(rig.at("key 4") == "newer");
  CHECK(rig.at("last") == (applied == 5 ? "10" : "nothing"));
  CHECK(rig.recovered.value().replayed.records == (applied == 5 ? 5 : 0));
  CHECK(rig.recovered.value().replayed.last_seq == std::max<std::uint64_t>(applied, 10));
  CHECK(rig.stored().applied_seq == std::max<std::uint64_t>(applied, 10));
}

TEST_CASE("A tail that was torn ends the journal; a loss of what was flushed is corrupted") {
  Rig rig;
  rig.journal(1, 1, 10);
  const std::string name = rig.temp / rig.segments().front();
  std::string bytes = test::read_whole(name);
  const std::size_t last = bytes.rfind("key 10");
  REQUIRE(last != std::string::npos);
  const bool flushed = GENERATE(false, true);
  CAPTURE(flushed);
  if (flushed) rig.journal(2, 11, 11);  // it says that 10 was on disk
  ++bytes[last];
  test::write_whole(name, bytes);
  if (flushed) {
    const Files before = rig.files();
    CHECK(rig.recover() == "corrupted");
    CHECK((rig.files() == before));
    CHECK(rig.at("last") == "nothing");
  } else {
    REQUIRE(rig.recover() == "ok");
    CHECK(rig.recovered.value().replayed.torn_tail);
    rig.check_tree_has_all_up_to(9);
    CHECK(rig.segments().empty());
  }
}

TEST_CASE("read_only replays a leftover journal into memory and writes nothing") {
  Rig rig;
  rig.journal(1, 1, 10);
  Settings settings = kSynced;
  settings.read_only = true;
  rig.reopen(settings);
  const Files before = rig.files();
  REQUIRE(rig.recover(settings) == "ok");
  const Recovered& recovered = rig.recovered.value();
  REQUIRE(recovered.buffer != nullptr);
  CHECK(recovered.replayed.last_seq == 10);
  const auto last = recovered.buffer->find("last", 10);
  REQUIRE(last.has_value());
  CHECK(decode(last->record).value().payload == "10");
  CHECK(decode(recovered.buffer->find("last", 4)->record).value().payload == "4");
  CHECK(recovered.buffer->keys() == 11);
  CHECK(rig.at("last") == "nothing");
  CHECK((rig.files() == before));
}

// A journal was read into a table whose hashes anybody could foresee: with 90,000 chosen keys in it
// a start took 16 seconds.
TEST_CASE("Nobody can foresee by which hashes a journal is read") {
  std::set<std::uint64_t> seeds;
  for (int i = 0; i < 4; ++i) {
    Rig rig;
    rig.journal(1, 1, 2);
    Settings settings = kAsync;
    settings.read_only = true;
    rig.recover(settings);
    seeds.insert(rig.recovered.value().buffer->hash_seed());
  }
  CHECK(seeds.count(0) == 0);
  CHECK(seeds.size() == 4);
}

TEST_CASE("Counts are those of the last record that has some") {
  Rig rig;
  rig.journal(1, 1, 3);
  auto segment = JournalSegment::create(
      rig.env->directory(),
      {.store_id = rig.env->store_id(), .generation = 2, .first_seq = 4, .flushed_seq = 3},
      64 * kMiB, JournalSegment::Append::written);
  for (std::uint64_t seq = 4; seq <= 6; ++seq) {
    rig.pending_batch.begin(false, 0);
    rig.pending_batch.add("l", {.kind = Kind::link, .payload = "x"});
    if (seq < 6) rig.pending_batch.add_counts({.links = seq, .marks = 1, .link_generation = seq});
    rig.append(*segment.value(), seq, 3);
  }
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.recovered.value().counts.links == 5);
  CHECK(rig.stored().counts.links == 5);
  CHECK(rig.stored().counts.link_generation == 5);
}

TEST_CASE("A journal of many small records fits the memory that is set aside for it") {
  Rig rig;
  auto segment = JournalSegment::create(
      rig.env->directory(),
      {.store_id = rig.env->store_id(), .generation = 1, .first_seq = 1, .flushed_seq = 0},
      64 * kMiB, JournalSegment::Append::written);
  for (std::uint64_t seq = 1; seq <= 4; ++seq) {
    rig.pending_batch.begin(false, 0);
    for (unsigned i = 0; i < 60'000; ++i) {
      rig.pending_batch.add_removal({reinterpret_cast<const char*>(&i), 2});
    }
    rig.append(*segment.value(), seq, 0);
  }
  segment.value().reset();
  REQUIRE(rig.recover() == "ok");
  CHECK(rig.recovered.value().replayed.records == 4);
  CHECK(rig.segments().empty());
}
