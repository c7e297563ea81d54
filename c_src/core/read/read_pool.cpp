#include "read/read_pool.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "lmdb/tsan_lmdb.h"
#include "os/errors.h"
#include "read/open_snapshot.h"

namespace hyper_lmdb {

namespace {

constexpr unsigned kSlotsLeftToOthers = 8;  // a backup, tools that look at the store
constexpr auto kBetweenLooks = std::chrono::microseconds(50);

/// A small number of this thread's own, so that each thread comes back to the slot it used last.
std::size_t thread_number() noexcept {
  static std::atomic<std::size_t> next{0};
  static thread_local const std::size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

std::size_t pool_size(unsigned reader_slots) noexcept {
  if (reader_slots > 2 * kSlotsLeftToOthers) return reader_slots - kSlotsLeftToOthers;
  return std::max(1U, reader_slots / 2);
}

}  // namespace

ReadPool::ReadPool(MDB_env* env, unsigned reader_slots, const BufferSet* buffers, Reopen reopen)
    : env_(env),
      buffers_(buffers),
      reopen_(std::move(reopen)),
      size_(pool_size(reader_slots)),
      slots_(new Slot[size_ + 1]) {}

ReadPool::~ReadPool() = default;

ReadPool::Among ReadPool::among(For use) const noexcept {
  if (use == For::backup) return {.first = size_, .count = 1, .start = 0};
  return {.first = 0, .count = size_, .start = use == For::call ? thread_number() : size_ / 2};
}

ReadPool::Slot* ReadPool::take(Want want, const Among& among, bool* closed) noexcept {
  for (std::size_t i = 0; i < among.count; ++i) {
    Slot& slot = slots_[among.first + (among.start + i) % among.count];
    unsigned expected = kFree;
    // Acquire: the transaction's last user wrote it before the release below.
    if (slot.state.compare_exchange_strong(expected, kBusy, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      if (want == Want::any || slot.txn != nullptr) return &slot;
      slot.state.store(kFree, std::memory_order_release);
      continue;
    }
    if (expected == kClosed) {
      *closed = true;
      return nullptr;
    }
  }
  return nullptr;
}

Result<void> ReadPool::renew(Slot* slot, DeadReaders dead) noexcept {
  auto done = renew_in(env_, slot, dead);
  if (done || done.error().native != MDB_PANIC || !reopen_) return done;
  // To open files takes its time.
  if (dead == DeadReaders::leave) return Error{.code = Code::work_limit, .operation = "lease"};
  const auto other = reopen_();
  if (!other) return other.error();
  if (slot->txn != nullptr) mdb_txn_abort(std::exchange(slot->txn, nullptr));
  return renew_in(other.value(), slot, dead);
}

Result<void> ReadPool::renew_in(MDB_env* env, Slot* slot, DeadReaders dead) noexcept {
  if (slot->txn != nullptr) {
    if (const int rc = mdb_txn_renew(slot->txn); rc != 0) return from_lmdb(rc, "mdb_txn_renew");
    return {};
  }
  int rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &slot->txn);
  if (rc == MDB_READERS_FULL && dead == DeadReaders::clear) {
    int cleared = 0;
    if ((rc = mdb_reader_check(env, &cleared)) != 0) return from_lmdb(rc, "mdb_reader_check");
    rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &slot->txn);
  }
  if (rc != 0) {
    slot->txn = nullptr;
    return from_lmdb(rc, "mdb_txn_begin");
  }
  has_transactions_.store(true, std::memory_order_relaxed);
  return {};
}

// The order of these steps is explained in buffers.h.
Result<void> ReadPool::renew_with_buffers(Slot* slot, DeadReaders dead) noexcept {
  for (;;) {
    const BufferSet::Generation* const state = buffers_->published();
    if (state == nullptr) {
      if (auto done = renew(slot, dead); !done) return done;
      slot->version = mdb_txn_id(slot->txn);
      return {};
    }
    slot->pin.store(state, std::memory_order_seq_cst);
    if (state != buffers_->published()) continue;
    if (auto done = renew(slot, dead); !done) {
      slot->pin.store(nullptr, std::memory_order_release);
      return done;
    }
    slot->version = buffers_->visible();
    if (state == buffers_->published()) return {};
    mdb_txn_reset(slot->txn);
  }
}

bool ReadPool::pins(const BufferSet::Generation* state) const noexcept {
  for (std::size_t i = 0; i <= size_; ++i) {
    if (slots_[i].pin.load(std::memory_order_seq_cst) == state) return true;
  }
  return false;
}

Result<ReadPool::Lease> ReadPool::lease_now(const Among& slots, DeadReaders dead) noexcept {
  constexpr Error kTaken{.code = Code::busy, .operation = "lease"};
  // Where the environment has no slot left for a new transaction, an idle one that has its own
  // will do.
  bool full = false;
  for (const Want want : {Want::any, Want::with_transaction}) {
    bool closed = false;
    Slot* const slot = take(want, slots, &closed);
    if (closed) return Error{.code = Code::closed, .operation = "lease"};
    if (slot == nullptr) break;
    auto renewed = renew_with_buffers(slot, dead);
    if (renewed) {
      pages_entered(mdb_txn_env(slot->txn));
      return Lease(slot);
    }
    slot->state.store(kFree, std::memory_order_release);
    if (renewed.error().code != Code::readers_full) return renewed.error();
    full = true;
    // Those that have a transaction are in use; where none of these has, there is nothing to wait
    // for.
    if (slots.count == 1 || !has_transactions_.load(std::memory_order_relaxed)) {
      return dead == DeadReaders::clear ? renewed.error()
                                        : Error{.code = Code::work_limit, .operation = "lease"};
    }
  }
  // Slots of dead processes may be had, which a system call tells.
  if (full && dead == DeadReaders::leave) {
    return Error{.code = Code::work_limit, .operation = "lease"};
  }
  return kTaken;
}

Result<ReadPool::Lease> ReadPool::lease(For use, std::uint64_t wait_ms) noexcept {
  using Clock = std::chrono::steady_clock;
  const Among slots = among(use);
  if (wait_ms == 0) return lease_now(slots, DeadReaders::leave);
  const Clock::time_point began = Clock::now();
  for (;;) {
    auto lease = lease_now(slots, DeadReaders::clear);
    if (lease || lease.error().code != Code::busy) return lease;
    if (wait_ms != kForever && Clock::now() - began >= std::chrono::milliseconds(wait_ms)) {
      return lease;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void ReadPool::close() noexcept {
  for (std::size_t i = 0; i <= size_; ++i) {
    unsigned expected = kFree;
    while (!slots_[i].state.compare_exchange_weak(expected, kClosed, std::memory_order_acquire,
                                                  std::memory_order_relaxed)) {
      if (expected == kClosed) break;
      if (expected == kBusy) std::this_thread::sleep_for(kBetweenLooks);
      expected = kFree;
    }
    if (slots_[i].txn != nullptr) mdb_txn_abort(slots_[i].txn);
    slots_[i].txn = nullptr;
  }
}

ReadPool::Lease::~Lease() {
  if (slot_ == nullptr) return;
  pages_left(mdb_txn_env(slot_->txn));
  if (turn_at_ != nullptr) {
    turn_at_->give_back();
    return;
  }
  mdb_txn_reset(slot_->txn);
  slot_->pin.store(nullptr, std::memory_order_release);
  slot_->state.store(kFree, std::memory_order_release);
}

View ReadPool::Lease::view(MDB_dbi dbi) const noexcept {
  const BufferSet::Generation* const state = slot_->pin.load(std::memory_order_relaxed);
  if (state == nullptr) return View(slot_->txn, dbi, slot_->version);
  return View(slot_->txn, dbi, slot_->version, state->active.get(), state->frozen.get());
}

MDB_txn* ReadPool::Lease::txn() const noexcept {
  return slot_->txn;
}

}  // namespace hyper_lmdb
