// Batches that are too large for a buffer go into LMDB directly, past readers that look at the
// buffers: what such a reader may see.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/faults.h"
#include "support/gate.h"
#include "support/ops.h"
#include "support/test_store.h"
#include "support/writer_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

const std::string kLarge(500'000, 'l');  // more than a quarter of the buffers below

Settings small_buffers(Settings settings) {
  settings.write_buffer_bytes = 1 << 20;
  return settings;
}

std::string read_path(const Store& store, std::string_view path) {
  std::string value;
  const auto found = store.read(path, [&](std::string_view bytes) { value = bytes; });
  if (!found) return outcome(found);
  return found.value() ? value : "nothing";
}

}  // namespace

// A read that had its snapshot of LMDB before such a batch and its version after it found a link's
// old target for the new version, and the path cache kept that: every later read was wrong.
TEST_CASE("A lease that a direct batch overtakes starts again") {
  for (const Durability mode : kJournaled) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = 1 << 20;
    const StorePtr store = must_open(options);
    // Directly too: a buffer with something in it would be exchanged, which is a new state as well.
    must(store->batch_write(std::vector<Op>{put_op("old/x", "old"), put_op("new/x", "new"),
                                            link_op("old", "link"), put_op("large", kLarge)}));
    must(store->exists("old/x"));  // from here on the thread has a transaction to renew
    bool overtaken = false;
    faults::around_next_renewal(nullptr, [&] {
      must(store->batch_write(std::vector<Op>{link_op("new", "link"), put_op("large", kLarge)}));
      overtaken = true;
    });
    const std::string during = read_path(*store, "link/x");
    REQUIRE(overtaken);
    CHECK(during == "new");
    CHECK(read_path(*store, "link/x") == "new");
    must(store->close());
  }
}

// Who sees the version goes by it, whatever snapshot of LMDB it has.
TEST_CASE("The version of a direct batch is shown after the state that readers start again for") {
  WriterRig rig(small_buffers(kAsync));
  rig.start();
  rig.push({put_op("first", kLarge)});  // nothing is left for the next one to wait for
  REQUIRE(rig.answers() == "ok");
  const std::uint64_t before = rig.buffers.visible();
  const BufferSet::Generation* const state = rig.buffers.published();
  faults::hold(faults::kFdatasync);
  rig.push({put_op("second", kLarge)});
  faults::wait_for_held();
  // The state cannot be exchanged while somebody looks at it.
  Gate looking, looked;
  std::thread looker([&] {
    (void)rig.buffers.retired_bytes([&](const BufferSet::Generation*) {
      looking.open();
      looked.wait();
      return false;
    });
  });
  looking.wait();
  faults::release_held();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (rig.identity().applied_seq == before) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(kWatched);
  CHECK(rig.buffers.visible() == before);
  looked.open();
  looker.join();
  CHECK(rig.answers() == "ok");
  CHECK(rig.buffers.visible() == before + 1);
  CHECK(rig.buffers.published() != state);
}
