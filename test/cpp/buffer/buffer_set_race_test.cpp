// Readers lease while a writer inserts, rotates, applies and drops: whole batches, and never one
// that was shown before the lease was asked for is missing.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "buffer/buffer_set.h"
#include "read/read_pool.h"
#include "support/raw_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr int kParts = 4;
constexpr std::uint64_t kLast = 20'000;
constexpr std::uint64_t kMiB = 1 << 20;

std::string key_of(int part) {
  return "part " + std::to_string(part);
}

/// Each batch writes its number to all parts and to a key of its own, and removes the key of the
/// one before.
std::string own_key(std::uint64_t batch) {
  return "own " + std::to_string(batch);
}

struct Rig {
  RawEnv env{{.map_bytes = 64 << 20}};
  BufferSet buffers;
  ReadPool pool{env.get(), 64, &buffers};
  std::atomic<std::uint64_t> acknowledged{0};
  std::atomic<bool> over{false};
  std::atomic<const WriteBuffer*> frozen{nullptr};  // to be applied
  std::atomic<std::uint64_t> wrong{0}, leases{0};
};

void write_batch(WriteBuffer& buffer, std::uint64_t batch) {
  if (!buffer.reserve(kParts + 2, 1000)) throw std::length_error("full");
  const std::string record = std::to_string(batch);
  for (int part = 0; part < kParts; ++part) buffer.insert(key_of(part), batch, {.record = record});
  buffer.insert(own_key(batch), batch, {.record = record});
  if (batch > 1) buffer.insert(own_key(batch - 1), batch, {.removed = true});
}

/// The frozen buffer into the tree, in two transactions with the batch torn between them.
void apply(Rig& rig, const WriteBuffer& buffer) {
  BufferCursor cursor(buffer.order(~std::uint64_t{0}), ~std::uint64_t{0});
  const std::uint64_t half = buffer.keys() / 2;
  bool there = cursor.first();
  for (std::uint64_t most : {half, ~std::uint64_t{0}}) {
    MDB_txn* const txn = rig.env.begin();
    for (std::uint64_t n = 0; there && n < most; ++n, there = cursor.next()) {
      if (!cursor.outcome().removed) {
        rig.env.put(txn, cursor.key(), cursor.outcome().record);
        continue;
      }
      MDB_val key{cursor.key().size(), const_cast<char*>(cursor.key().data())};
      const int rc = mdb_del(txn, rig.env.dbi(), &key, nullptr);
      if (rc != MDB_NOTFOUND) must(rc, "mdb_del");
    }
    must(mdb_txn_commit(txn), "commit");
  }
}

void write_all(Rig& rig) {
  std::mt19937_64 random(1);
  std::shared_ptr<WriteBuffer> active = rig.buffers.active();
  for (std::uint64_t batch = 1; batch <= kLast; ++batch) {
    write_batch(*active, batch);
    rig.buffers.show(batch);
    rig.acknowledged.store(batch, std::memory_order_release);
    if (random() % 5 != 0 || rig.frozen.load(std::memory_order_acquire) != nullptr) continue;
    const WriteBuffer* const frozen = active.get();
    active = std::make_shared<WriteBuffer>(8 * kMiB, batch);
    rig.buffers.rotate(active);
    rig.frozen.store(frozen, std::memory_order_release);
  }
}

/// Beside the writer, as the store's checkpointer does.
void apply_all(Rig& rig) {
  while (!rig.over) {
    const WriteBuffer* const frozen = rig.frozen.load(std::memory_order_acquire);
    if (frozen == nullptr) continue;
    apply(rig, *frozen);
    rig.buffers.drop_frozen();
    rig.buffers.collect([&](const BufferSet::Generation* state) { return rig.pool.pins(state); });
    rig.frozen.store(nullptr, std::memory_order_release);
  }
}

/// The number at a key; 0 where there is none.
std::uint64_t number_at(const View& view, const std::string& key) {
  const auto found = view.find(key);
  if (!found || !found.value()) return 0;
  return std::stoull(std::string(*found.value()));
}

bool sees_whole_batches(Rig& rig) {
  const std::uint64_t before = rig.acknowledged.load(std::memory_order_acquire);
  const auto lease = rig.pool.lease();
  if (!lease) return false;
  const View view = lease.value().view(rig.env.dbi());
  const std::uint64_t batch = number_at(view, key_of(0));
  if (batch < before || batch != view.version()) return false;
  for (int part = 1; part < kParts; ++part) {
    if (number_at(view, key_of(part)) != batch) return false;
  }
  if (batch == 0) return true;
  if (number_at(view, own_key(batch)) != batch) return false;
  if (number_at(view, own_key(batch - 1)) != 0 || number_at(view, own_key(batch + 1)) != 0) {
    return false;
  }
  // And listed: the own key of this batch and the parts, in order.
  auto cursor = ViewCursor::open(view, ~std::uint64_t{0});
  if (!cursor) return false;
  ViewCursor& at = cursor.value();
  auto there = at.first();
  if (!there || !there.value() || at.key() != own_key(batch)) return false;
  for (int part = 0; part < kParts; ++part) {
    there = at.next();
    if (!there || !there.value() || at.key() != key_of(part)) return false;
  }
  there = at.next();
  return there && !there.value();
}

}  // namespace

TEST_CASE("A lease sees whole batches, and every one that was shown before") {
  Rig rig;
  rig.buffers.start(std::make_shared<WriteBuffer>(8 * kMiB, 0), nullptr, 0);
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!rig.over) {
        if (!sees_whole_batches(rig)) ++rig.wrong;
        ++rig.leases;
      }
    });
  }
  std::thread checkpointer([&] { apply_all(rig); });
  write_all(rig);
  rig.over = true;
  checkpointer.join();
  for (std::thread& reader : readers) reader.join();
  CHECK(rig.wrong == 0);
  CHECK(rig.leases > 0);
  CHECK(sees_whole_batches(rig));
  rig.pool.close();
}
