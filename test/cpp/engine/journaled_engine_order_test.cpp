// In which order a new segment comes to be on disk, seen at the calls to the system.
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "format/journal_record.h"
#include "hyper_lmdb/store.h"
#include "support/faults.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint32_t kTraced = faults::kPwrite | faults::kWritev | faults::kFsync |
                                  faults::kFdatasync | faults::kMsync | faults::kFallocate;

bool is_segment(const std::string& name) {
  return journal::generation_of(name).has_value();
}

/// What is known to be on disk of a segment: its header, and its name.
struct OnDisk {
  bool header = false;
  bool name = false;
  unsigned record_flushes = 0;
};

/// Goes through the calls; fails at a flush of records in a file that may not be there after it.
std::map<std::string, OnDisk> follow(const std::vector<faults::Call>& calls) {
  std::map<std::string, OnDisk> segments;
  for (const auto& [call, file, offset] : calls) {
    if (call == faults::kFsync && file.empty()) {
      for (auto& [name, segment] : segments) segment.name = true;
    }
    if (!is_segment(file)) continue;
    OnDisk& segment = segments[file];
    if (call == faults::kPwrite && offset < static_cast<std::int64_t>(journal::kPageBytes)) {
      segment.header = false;
    } else if (call == faults::kFsync) {
      segment.header = true;
    } else if (call == faults::kFdatasync || call == faults::kMsync) {
      INFO(file);
      CHECK(segment.header);
      CHECK(segment.name);
      ++segment.record_flushes;
    }
  }
  return segments;
}

}  // namespace

// A flush of records says nothing of the file's name, and one of a map nothing of the page with the
// header: a power cut took the whole segment with what had been answered.
TEST_CASE("A new segment's file and directory are flushed before its first record counts") {
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = 1 << 20;
    options.sync_interval_ms = 24ULL * 60 * 60 * 1000;
    faults::trace(temp.path(), kTraced);
    const StorePtr store = must_open(options);
    // The first is made by the write itself, later ones ahead of the writes.
    for (int i = 0; i < 4000; ++i) {
      must(store->put(std::to_string(i), std::string(1000, 'v')));
      if (mode == Durability::async && i % 100 == 0) must(store->sync());
    }
    must(store->close());
    const auto segments = follow(faults::traced());
    unsigned flushed = 0;
    for (const auto& [name, segment] : segments) flushed += segment.record_flushes != 0 ? 1 : 0;
    CHECK(flushed >= 3);
  }
}
