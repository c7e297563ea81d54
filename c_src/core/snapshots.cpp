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

Result<std::shared_ptr<OpenSnapshot>> Snapshots::open() {
  const auto deadline = std::chrono::steady_clock::now() + kLongestWait;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return Error{.code = Code::closed, .operation = "snapshot"};
      forget_ended();
      if (open_.size() < most_) {
        open_.reserve(open_.size() + 1);
        // The time first: a snapshot is not older than it says.
        const std::uint64_t now_ms = clock_();
        auto lease = pool_->lease(ReadPool::For::snapshot);
        if (!lease) return lease.error();
        open_.push_back(std::make_shared<OpenSnapshot>(std::move(lease).value(), now_ms));
        count_.store(open_.size(), std::memory_order_relaxed);
        return open_.back();
      }
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error{.code = Code::readers_full, .operation = "snapshot"};
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

bool Snapshots::too_old(const OpenSnapshot& snapshot, std::uint64_t now_ms) const noexcept {
  return now_ms >= snapshot.taken_ms() + limits_.age_ms;
}

Result<ReadPool::Lease> Snapshots::lease(OpenSnapshot* snapshot, bool may_wait) const noexcept {
  if (too_old(*snapshot, clock_())) snapshot->end(End::expired);
  return snapshot->lease(may_wait);
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
  const std::uint64_t now_ms = clock_();
  for (const auto& snapshot : open_) {
    if (too_old(*snapshot, now_ms)) snapshot->end(End::expired);
  }
  forget_ended();
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
