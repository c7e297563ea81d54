#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "buffer/pending_batch.h"
#include "engine/recovery.h"
#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/faults.h"
#include "support/journal.h"
#include "support/test_env.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

// A killed store's last records were in the page cache only when recovery began to apply them in
// several transactions; a power cut between two of those left a tree whose journal was gone.
TEST_CASE("Recovery has the journal on disk before it touches the tree") {
  for (const Durability mode : {Durability::async, Durability::sync}) {
    const TempDir temp(memory_directory());
    const std::string directory = temp / "store";
    const std::string data = directory + "/data.mdb";
    const Options options = options_for(directory, mode);
    REQUIRE(run_child([&] {
              const StorePtr store = must_open(options);
              for (int i = 0; i < 20; ++i) must(store->put("key" + std::to_string(i), "value"));
              ::_exit(0);  // as a kill would: nothing is closed
              return 0;
            }) == "exit 0");
    const std::string before = read_whole(data);

    faults::arm({.directory = directory, .calls = faults::kFdatasync, .fail_at = 1, .error = 5});
    const auto refused = Store::open(options);
    faults::disarm();
    CHECK(outcome(refused) == "io_error");
    CHECK((read_whole(data) == before));

    const StorePtr store = must_open(options);
    CHECK(get(*store, "key19") == "value");
    must(store->close());
  }
}

// A flush of the journal that failed before the kill left pages that the kernel calls clean and the
// disk does not have: another flush of them alone succeeds and writes nothing.
TEST_CASE("Recovery writes the journal over itself before it flushes it and touches the tree") {
  const TempDir temp(memory_directory());
  const std::string directory = temp / "store";
  const Options options = options_for(directory, Durability::async);
  REQUIRE(run_child([&] {
            const StorePtr store = must_open(options);
            for (int i = 0; i < 20; ++i) must(store->put("key" + std::to_string(i), "value"));
            ::_exit(0);
            return 0;
          }) == "exit 0");
  const std::string journal = journal_segments(open_directory(directory)).value().at(0);
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(path_of(directory, 1)));
  faults::trace(directory, faults::kAnyWrite | faults::kFdatasync);
  const StorePtr store = must_open(options);
  std::int64_t written_from = bytes;
  bool flushed = false;
  for (const auto& [call, file, offset] : faults::traced()) {
    if (file == journal && call == faults::kPwrite) {
      CHECK_FALSE(flushed);
      written_from = std::min(written_from, offset);
    } else if (file == journal && call == faults::kFdatasync) {
      CHECK(written_from == 0);
      flushed = true;
    } else if (file == "data.mdb" && call != faults::kFdatasync) {
      CHECK(flushed);
    }
  }
  CHECK(flushed);
  CHECK(store->info().value().entries == 20);
  must(store->close());
}

// Where a segment had lost its end, removals were flushed together: a power cut that kept the later
// segment alone left a journal with a gap, and the store answered journal_mismatch.
TEST_CASE("What follows a lost end is gone from the disk before the segment that lost it") {
  for (std::uint64_t fail_at = 1; fail_at <= 5; ++fail_at) {
    INFO("flush " << fail_at << " of the directory fails");
    const TempDir temp(memory_directory());
    EnvPtr env = must_open(temp.path(), kAsync);
    const auto segment = [&](std::uint64_t generation, std::uint64_t first_seq) {
      auto made = JournalSegment::create(env->directory(),
                                         {.store_id = env->store_id(),
                                          .generation = generation,
                                          .first_seq = first_seq,
                                          .flushed_seq = 0},
                                         kMiB, JournalSegment::Append::written);
      REQUIRE(made.ok());
      return std::move(made).value();
    };
    const SegmentPtr torn = segment(3, 1);
    PendingBatch pending_batch;
    pending_batch.begin(false, 0);
    pending_batch.add_removal("key");
    REQUIRE(append(*torn, 1, 0, pending_batch.payload()) == "ok");
    REQUIRE(outcome(torn->flush()) == "ok");
    segment(4, 3);
    segment(5, 3);

    faults::arm(
        {.directory = temp.path(), .calls = faults::kFsync, .fail_at = fail_at, .error = 5});
    const auto recovered = recover(env.get(), kAsync);
    faults::disarm();
    CHECK(outcome(recovered) == (fail_at < 5 ? "io_error" : "ok"));
    // The first flush is of what is there; each removal has one of its own.
    const auto left = journal_segments(env->directory()).value();
    CHECK(left.size() == (fail_at < 4 ? 4 - fail_at : 0));
    if (!left.empty()) CHECK(left.front() == journal::segment_name(3));
    REQUIRE(closed(env) == "ok");
  }
}
