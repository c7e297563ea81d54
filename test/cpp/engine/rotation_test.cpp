// What a rotation does: the segment goes with its buffer, and the next one begins with the next.
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "journal/journal_reader.h"
#include "support/faults.h"
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

/// Writes until a buffer is given to the checkpointer, which has none.
void give_a_buffer(WriterRig& rig) {
  const std::string value(1000, 'v');
  const auto before = rig.buffers.active();
  for (int i = 0; rig.buffers.active() == before; ++i) {
    const std::string key = std::to_string(i);
    rig.push({put_op(key, value)});
    REQUIRE(rig.answers() == "ok");
  }
}

/// LMDB's file takes nothing more: what the checkpointer is given stays, its segment too.
void fill_disk(const WriterRig& rig) {
  faults::arm({.directory = rig.temp.path() + "/data.mdb",
               .calls = faults::kAnyWrite,
               .fail_at = 1,
               .for_ever = true,
               .error = ENOSPC});
}

}  // namespace

TEST_CASE("A spare segment does not keep room that a buffer was refused") {
  WriterRig rig(small(kAsync));
  rig.start();
  fill_disk(rig);
  give_a_buffer(rig);
  for (int tries = 0; tries < 2; ++tries) {
    CHECK(outcome(rig.checkpointer->wait_idle()) == "disk_full");
    // That of the buffer, and the one that is written.
    CHECK(journal_segments(open_directory(rig.temp.path())).value().size() == 2);
    rig.checkpointer->try_again();
  }
  faults::disarm();
  rig.checkpointer->try_again();
  REQUIRE(outcome(rig.checkpointer->wait_idle()) == "ok");
  // The one that was given has all but the record that did not fit it.
  CHECK(rig.identity().applied_seq == rig.log->appended() - 1);
}

TEST_CASE("A segment holds the records of one buffer, and the next one those of the next") {
  for (const Settings& settings : {kSynced, kAsync}) {
    INFO(static_cast<int>(settings.durability));
    WriterRig rig(small(settings));
    rig.start();
    rig.push({put_op("first", "value")});
    REQUIRE(rig.answers() == "ok");
    fill_disk(rig);
    give_a_buffer(rig);
    // From here on no spare segment is made, either.
    REQUIRE(outcome(rig.checkpointer->wait_idle()) == "disk_full");
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
    faults::disarm();
    rig.checkpointer->try_again();
  }
}
