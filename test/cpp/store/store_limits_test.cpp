// What is decided at a limit: exactly there.
#include <catch2/catch.hpp>
#include <string>

#include "lmdb/page_estimate.h"
#include "lmdb/txn.h"
#include "support/faults.h"
#include "support/ops.h"
#include "support/writer_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kCapacity = 4 << 20;

Settings with_limits(Settings settings) {
  settings.capacity = kCapacity;
  settings.write_buffer_bytes = 64 << 10;
  return settings;
}

/// A value under `key` by which the data becomes as large as the capacity, in pages.
std::string filling(const WriterRig& rig, std::string_view key) {
  auto txn = ReadTxn::begin(rig.env->get());
  must(txn ? 0 : EAGAIN, "begin");
  const TreeShape shape = shape_of(txn.value().get(), rig.env->dbi()).value();
  const std::uint64_t free = free_pages(txn.value().get()).value().all;
  REQUIRE(free > 0);
  const auto end_with = [&](const std::string& value) {
    PageEstimate estimate;
    estimate.add(std::vector<Op>{put_op(key, value)}, shape);
    return shape.end_page - free + pages_needed(shape, estimate).growth;
  };
  const std::uint64_t wanted = kCapacity / shape.page_bytes;
  std::string value(shape.page_bytes, 'v');
  while (end_with(value) < wanted) value.append(shape.page_bytes, 'v');
  REQUIRE(end_with(value) == wanted);
  return value;
}

}  // namespace

TEST_CASE("What fills the capacity to its last page is taken, a page more is not") {
  for (const Settings& settings : {kMapped, kSynced, kAsync}) {
    INFO(static_cast<int>(settings.durability));
    WriterRig rig(with_limits(settings));
    rig.start();
    // Free pages inside the file, so that its end is not all that counts.
    const std::string some(200'000, 's');
    rig.push({put_op("some", some)});
    REQUIRE(rig.answers() == "ok");
    rig.push({remove_op("some")});
    REQUIRE(rig.answers() == "ok");
    rig.push({put_op("large", some), remove_op("large")});
    REQUIRE(rig.answers() == "ok");
    const std::string value = filling(rig, "value");
    const std::string more = value + std::string(rig.env->page_bytes(), 'm');
    rig.push({put_op("value", more)});
    CHECK(rig.answers() == "map_full");
    rig.push({put_op("value", value)});
    CHECK(rig.answers() == "ok");
    CHECK(rig.at("value").size() == value.size());
  }
}

// The map has room to spare for what was acknowledged. Should it be full all the same, a buffer has
// to wait as for a full disk: a store that gives up could never be written again.
TEST_CASE("A buffer that LMDB has no room for is tried again, and the store goes on") {
  WriterRig rig(with_limits(kAsync));
  rig.start();
  faults::arm({.directory = "",
               .calls = faults::kCursorPut,
               .fail_at = 1,
               .for_ever = true,
               .error = MDB_MAP_FULL});
  const std::string value(1000, 'v');
  for (int i = 0; rig.checkpointer->given() == 0; ++i) {
    const std::string key = std::to_string(i);
    rig.push({put_op(key, value)});
    REQUIRE(rig.answers() == "ok");
  }
  CHECK(outcome(rig.checkpointer->wait_idle()) == "map_full");
  faults::disarm();
  CHECK_FALSE(rig.failed);
  CHECK(rig.at("0") == value);
  rig.push({put_op("more", value)});
  CHECK(rig.answers() == "ok");
  rig.checkpointer->try_again();
  CHECK(outcome(rig.checkpointer->wait_idle()) == "ok");
  CHECK(rig.identity().applied_seq == rig.checkpointer->given());
}

// LMDB had records of a group that readers were not to see yet, and that a failed flush would have
// answered with an error.
TEST_CASE("A buffer is handed to LMDB after the flush that makes it visible") {
  WriterRig rig(with_limits(kSynced));
  const std::string value(1000, 'v');
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back(std::to_string(i));  // more than a buffer
  rig.push({put_op("first", value)});
  rig.start();
  REQUIRE(rig.answers() == "ok");
  faults::hold(faults::kFdatasync);
  for (const std::string& key : keys) rig.push({put_op(key, value)});
  faults::wait_for_held();
  CHECK(rig.checkpointer->given() <= rig.buffers.visible());
  faults::release_held();
  for (const auto& request : rig.requests) CHECK(request->wait() == "ok");
  CHECK(rig.checkpointer->given() > 0);
  CHECK(rig.buffers.visible() == rig.log->appended());
}
