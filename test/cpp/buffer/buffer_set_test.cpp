// Which buffers a reader gets, and how long they stay.
#include "buffer/buffer_set.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "read/read_pool.h"
#include "support/faults.h"
#include "support/outcome.h"
#include "support/raw_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

std::shared_ptr<WriteBuffer> new_buffer() {
  return std::make_shared<WriteBuffer>(1 << 20, 1);
}

void insert(WriteBuffer& buffer, std::string_view key, std::uint64_t version,
            std::string_view record) {
  REQUIRE(buffer.reserve(1, key.size() + record.size()));
  buffer.insert(key, version, {.record = record});
}

/// What frees nothing that a lease of the pool holds.
void collect(BufferSet& buffers, const ReadPool& pool) {
  buffers.collect([&](const BufferSet::Generation* state) { return pool.pins(state); });
}

struct Rig {
  RawEnv env;
  BufferSet buffers;
  ReadPool pool{env.get(), 8, &buffers};
  ~Rig() { pool.close(); }

  std::string at(const ReadPool::Lease& lease, std::string_view key) const {
    const auto found = lease.view(env.dbi()).find(key);
    if (!found) return outcome(found);
    return found.value() ? std::string(*found.value()) : "nothing";
  }
  std::string at(std::string_view key) {
    const auto lease = pool.lease();
    return at(lease.value(), key);
  }
};

}  // namespace

TEST_CASE("Without buffers a lease sees the tree, at the transaction's number") {
  Rig rig;
  CHECK(rig.buffers.published() == nullptr);
  CHECK(rig.buffers.active() == nullptr);
  CHECK(rig.buffers.frozen() == nullptr);
  rig.env.put("a", "tree");
  const auto lease = rig.pool.lease();
  const View view = lease.value().view(rig.env.dbi());
  CHECK(view.active() == nullptr);
  CHECK(view.frozen() == nullptr);
  CHECK(view.version() == mdb_txn_id(view.txn()));
  CHECK(rig.at(lease.value(), "a") == "tree");
}

TEST_CASE("A lease sees what was shown when it was taken, and nothing later") {
  Rig rig;
  rig.env.put("a", "tree");
  const auto active = new_buffer();
  rig.buffers.start(active, nullptr, 10);
  CHECK(rig.buffers.visible() == 10);
  insert(*active, "a", 11, "eleven");
  CHECK(rig.at("a") == "tree");
  const auto before = rig.pool.lease();
  rig.buffers.show(11);
  CHECK(rig.at("a") == "eleven");
  CHECK(rig.at(before.value(), "a") == "tree");
  insert(*active, "a", 12, "twelve");
  CHECK(rig.at("a") == "eleven");
  const auto lease = rig.pool.lease();
  CHECK(lease.value().view(rig.env.dbi()).version() == 11);
}

TEST_CASE("A frozen buffer lies between the active one and the tree, until it is dropped") {
  Rig rig;
  rig.env.put("a", "tree");
  rig.env.put("b", "tree");
  rig.env.put("c", "tree");
  const auto first = new_buffer();
  const auto second = new_buffer();
  rig.buffers.start(first, nullptr, 0);
  insert(*first, "a", 1, "first");
  insert(*first, "b", 1, "first");
  rig.buffers.show(1);
  rig.buffers.rotate(second);
  CHECK(rig.buffers.active() == second);
  CHECK(rig.buffers.frozen() == first);
  insert(*second, "a", 2, "second");
  rig.buffers.show(2);
  CHECK(rig.at("a") == "second");
  CHECK(rig.at("b") == "first");
  CHECK(rig.at("c") == "tree");
  rig.env.put("a", "applied");
  rig.env.put("b", "applied");
  rig.buffers.drop_frozen();
  CHECK(rig.buffers.frozen() == nullptr);
  CHECK(rig.at("a") == "second");
  CHECK(rig.at("b") == "applied");
}

TEST_CASE("A lease keeps its buffers and its tree, however much is rotated and dropped") {
  Rig rig;
  rig.env.put("a", "tree");
  auto first = new_buffer();
  const std::weak_ptr<WriteBuffer> watched = first;
  rig.buffers.start(first, nullptr, 0);
  insert(*first, "b", 1, "first");
  rig.buffers.show(1);
  first.reset();
  std::optional<ReadPool::Lease> lease(std::move(rig.pool.lease()).value());
  const BufferSet::Generation* const held = rig.buffers.published();
  CHECK(rig.pool.pins(held));
  for (std::uint64_t version = 2; version < 6; ++version) {
    rig.buffers.rotate(new_buffer());
    rig.env.put("a", std::to_string(version));
    rig.env.put("b", std::to_string(version));
    rig.buffers.drop_frozen();
    collect(rig.buffers, rig.pool);
    CHECK(rig.pool.pins(held));
    CHECK_FALSE(watched.expired());
    CHECK(rig.at(*lease, "a") == "tree");
    CHECK(rig.at(*lease, "b") == "first");
    CHECK(rig.at("b") == std::to_string(version));
  }
  lease.reset();
  CHECK_FALSE(rig.pool.pins(held));
  // The memory goes with the next collection, not before.
  CHECK_FALSE(watched.expired());
  collect(rig.buffers, rig.pool);
  CHECK(watched.expired());
}

TEST_CASE("A collection frees what nobody holds, and never what is published") {
  Rig rig;
  std::weak_ptr<WriteBuffer> watched[3];
  const auto made = [&](int i) {
    auto buffer = new_buffer();
    watched[i] = buffer;
    return buffer;
  };
  rig.buffers.start(made(0), nullptr, 0);
  collect(rig.buffers, rig.pool);
  CHECK_FALSE(watched[0].expired());
  rig.buffers.rotate(made(1));
  collect(rig.buffers, rig.pool);
  CHECK_FALSE(watched[0].expired());
  rig.buffers.drop_frozen();
  rig.buffers.rotate(made(2));
  collect(rig.buffers, rig.pool);
  CHECK(watched[0].expired());
  CHECK_FALSE(watched[1].expired());
  CHECK_FALSE(watched[2].expired());
  rig.buffers.drop_frozen();
  collect(rig.buffers, rig.pool);
  CHECK(watched[1].expired());
  CHECK_FALSE(watched[2].expired());
}

// Counted once for each state that names it, a buffer ended snapshots before their time.
TEST_CASE("A buffer that held states have in common counts once, a published one not at all") {
  BufferSet buffers;
  const auto filled = [&](std::uint64_t version) {
    auto buffer = new_buffer();
    insert(*buffer, "a", version, std::string(1000 * version, 'v'));
    return buffer;
  };
  const auto first = filled(1), second = filled(2);
  std::vector<const BufferSet::Generation*> states;
  const auto held = [&](std::initializer_list<std::size_t> which) {
    return buffers.retired_bytes([&](const BufferSet::Generation* state) {
      return std::any_of(which.begin(), which.end(),
                         [&](std::size_t i) { return states[i] == state; });
    });
  };
  const auto note = [&] { states.push_back(buffers.published()); };
  buffers.start(first, nullptr, 1);
  note();
  buffers.rotate(second);
  note();
  CHECK(held({0, 1}) == 0);
  buffers.drop_frozen();
  note();
  CHECK(held({2}) == 0);
  CHECK(held({0}) == first->bytes_used());
  CHECK(held({0, 1, 2}) == first->bytes_used());
  buffers.rotate(filled(3));
  buffers.drop_frozen();
  CHECK(held({0}) == first->bytes_used());
  CHECK(held({2}) == second->bytes_used());
  CHECK(held({0, 1, 2}) == first->bytes_used() + second->bytes_used());
  CHECK(held({}) == 0);
}

// What a refused lease had pinned stayed in memory until its slot was used again.
TEST_CASE("A lease that gets no reader slot pins no buffers") {
  const RawEnv env(RawEnv::Settings{.readers = 2});
  BufferSet buffers;
  ReadPool pool(env.get(), 8, &buffers);
  buffers.start(new_buffer(), nullptr, 1);
  MDB_txn* const taken[] = {env.begin(MDB_RDONLY), env.begin(MDB_RDONLY)};
  CHECK(outcome(pool.lease()) == "readers_full");
  CHECK_FALSE(pool.pins(buffers.published()));
  for (MDB_txn* txn : taken) mdb_txn_abort(txn);
  {
    const auto lease = pool.lease();
    CHECK(outcome(lease) == "ok");
    CHECK(pool.pins(buffers.published()));
  }
  pool.close();
}

TEST_CASE("A lease that is taken while buffers turn over sees all that was shown by then") {
  Rig rig;
  const auto first = new_buffer();
  const auto second = new_buffer();
  rig.buffers.start(first, nullptr, 0);
  insert(*first, "a", 1, "first");
  insert(*first, "b", 1, "first");
  rig.buffers.show(1);
  REQUIRE(rig.at("a") == "first");  // from here on the slot has a transaction to renew
  const bool applied = GENERATE(false, true);
  bool turned = false;
  const auto turn_over = [&] {
    rig.buffers.rotate(second);
    if (applied) {
      rig.env.put("a", "first");
      rig.env.put("b", "first");
      rig.buffers.drop_frozen();
    }
    insert(*second, "a", 2, "second");
    rig.buffers.show(2);
    // What the lease has pinned by now must not go from under it.
    collect(rig.buffers, rig.pool);
    turned = true;
  };
  faults::around_next_renewal(turn_over, nullptr);
  const auto lease = rig.pool.lease();
  REQUIRE(turned);
  CHECK(lease.value().view(rig.env.dbi()).version() == 2);
  CHECK(rig.at(lease.value(), "a") == "second");
  CHECK(rig.at(lease.value(), "b") == "first");
}
