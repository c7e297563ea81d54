// Where a write finds room on a disk that is full but for a journal which LMDB has no need of.
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "support/faults.h"
#include "support/gate.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

// A write that found no room was disk_full while the room of an applied segment was being freed.
TEST_CASE(
    "A write that finds no room waits for that of a segment which LMDB has, and tries again") {
  const bool direct = GENERATE(true, false);
  const bool room_then = GENERATE(true, false);
  INFO((direct ? "into LMDB" : "a new segment") << (room_then ? ", with room" : ", without"));
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = 1 << 20;
    const StorePtr store = must_open(options);
    const std::string large(500'000, 'l');
    must(store->put("a", "1"));
    // The removal of the first segment is held up; what it is for is done.
    faults::hold(faults::kFsync);
    must(store->put("large", large));
    faults::wait_for_held();

    faults::arm({.directory = temp.path() + (direct ? "/data.mdb" : "/journal-"),
                 .calls = direct ? faults::kAnyWrite : faults::kFallocate,
                 .fail_at = 1,
                 .for_ever = !room_then,
                 .error = ENOSPC});
    Gate answered;
    std::string word;
    std::thread writer([&] {
      word = outcome(store->put("key", direct ? large : "small"));
      answered.open();
    });
    // However busy the machine is, the writer gets there.
    for (int i = 0; i < 60'000 && !faults::has_failed(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(faults::has_failed());
    CHECK_FALSE(answered.opens_within(kWatched));
    faults::release_held();
    writer.join();
    faults::disarm();
    // What finds no room in the journal goes into LMDB.
    CHECK(word == (room_then || !direct ? "ok" : "disk_full"));
    CHECK(get(*store, "key").size() == (!direct ? 5 : room_then ? large.size() : 7));
    CHECK(get(*store, "large") == large);
    CHECK(outcome(store->put("key", "after")) == "ok");
    must(store->close());
    const StorePtr again = must_open(options);
    CHECK(get(*again, "key") == "after");
    CHECK(get(*again, "large") == large);
    must(again->close());
  }
}
