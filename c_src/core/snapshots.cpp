#include "snapshots.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace hyper_lmdb {

namespace {

using End = OpenSnapshot::End;

constexpr auto kLongestWait = std::chrono::milliseconds(1);
constexpr auto kBetweenLooks = std::chrono::microseconds(50);
constexpr std::uint64_t kNothingDueMs = 30'000;

}  // namespace

void Snapshots::forget_ended() noexcept {
  std::erase_if(open_, [](const auto& snapshot) { return snapshot->ended(); });
  count_.store(open_.size(), std::memory_order_relaxed);
}

void Snapshots::end_too_old() noexcept {
  const std::uint64_t now_ms = clock_();
  for (const auto& snapshot : open_) {
    if (too_old(*snapshot, now_ms)) snapshot->end(End::expired);
  }
  forget_ended();
}

/// False where all are taken. Errors: closed.
Result<bool> Snapshots::reserve_place() {
  const std::lock_guard lock(mutex_);
  if (closed_) return Error{.code = Code::closed, .operation = "snapshot"};
  end_too_old();
  if (open_.size() + opening_ >= most_) return false;
  open_.reserve(open_.size() + opening_ + 1);
  ++opening_;
  return true;
}

/// With the lock only at the end: a lease may wait for a slot.
Result<std::shared_ptr<OpenSnapshot>> Snapshots::open_in_place() {
  struct Place {
    Snapshots* of;
    ~Place() {
      const std::lock_guard lock(of->mutex_);
      --of->opening_;
    }
  };
  const Place place{this};
  // The time first: a snapshot is not older than it says.
  const std::uint64_t now_ms = clock_();
  auto lease = pool_->lease(ReadPool::For::snapshot);
  if (!lease) return lease.error();
  auto opened = std::make_shared<OpenSnapshot>(std::move(lease).value(), now_ms);
  const std::lock_guard lock(mutex_);
  if (closed_) return Error{.code = Code::closed, .operation = "snapshot"};
  const auto younger = std::upper_bound(
      open_.begin(), open_.end(), now_ms,
      [](std::uint64_t taken_ms, const auto& other) { return taken_ms < other->taken_ms(); });
  open_.insert(younger, opened);
  count_.store(open_.size(), std::memory_order_relaxed);
  return opened;
}

Result<std::shared_ptr<OpenSnapshot>> Snapshots::open() {
  const auto deadline = std::chrono::steady_clock::now() + kLongestWait;
  for (;;) {
    auto reserved = reserve_place();
    if (!reserved) return reserved.error();
    if (reserved.value()) return open_in_place();
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error{.code = Code::readers_full, .operation = "snapshot"};
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

bool Snapshots::too_old(const OpenSnapshot& snapshot, std::uint64_t now_ms) const noexcept {
  return now_ms >= snapshot.taken_ms() + limits_.age_ms;
}

Result<ReadPool::Lease> Snapshots::lease(OpenSnapshot* snapshot,
                                         std::uint64_t wait_ms) const noexcept {
  if (too_old(*snapshot, clock_())) snapshot->end(End::expired);
  return snapshot->lease(wait_ms);
}

bool Snapshots::holds_too_much() const noexcept {
  return buffers_->retired_bytes([&](const Buffers::State* state) {
    return std::any_of(open_.begin(), open_.end(), [&](const auto& snapshot) {
      return !snapshot->ended() && snapshot->pinned() == state;
    });
  }) > limits_.bytes;
}

void Snapshots::enforce() noexcept {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  end_too_old();
  while (!open_.empty() && holds_too_much()) {
    open_.front()->end(End::expired);
    forget_ended();
  }
}

std::uint64_t Snapshots::due_in_ms() const noexcept {
  if (count_.load(std::memory_order_relaxed) == 0) return kNothingDueMs;
  const std::lock_guard lock(mutex_);
  if (open_.empty()) return kNothingDueMs;
  const std::uint64_t due_ms = open_.front()->taken_ms() + limits_.age_ms;
  const std::uint64_t now_ms = clock_();
  return std::clamp<std::uint64_t>(due_ms > now_ms ? due_ms - now_ms : 0, 1, kNothingDueMs);
}

void Snapshots::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& snapshot : open_) snapshot->end(End::closed);
  forget_ended();
}

Snapshots::Stats Snapshots::stats() const noexcept {
  const std::lock_guard lock(mutex_);
  Stats stats;
  const std::uint64_t now_ms = clock_();
  for (const auto& snapshot : open_) {
    if (snapshot->ended()) continue;
    ++stats.count;
    stats.oldest_ms = std::max(stats.oldest_ms, now_ms - snapshot->taken_ms());
  }
  return stats;
}

}  // namespace hyper_lmdb
