#include "read/snapshots.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hyper_lmdb {

namespace {

using End = OpenSnapshot::End;

constexpr std::uint64_t kForgottenMs = 1000;  // a turn nobody asks for any more
constexpr std::uint64_t kLeastRestMs = 100, kMostRestMs = 30'000;

}  // namespace

void Snapshots::forget_ended() noexcept {
  std::erase_if(open_, [](const auto& snapshot) { return snapshot->ended(); });
  count_.store(open_.size(), std::memory_order_relaxed);
}

void Snapshots::end_too_old(std::uint64_t now_ms) noexcept {
  for (const auto& snapshot : open_) {
    if (too_old(*snapshot, now_ms)) snapshot->end(End::expired);
  }
  forget_ended();
}

/// Where the number is in the line, or would be.
Snapshots::Line::iterator Snapshots::place_in_line(std::uint64_t number) noexcept {
  if (number == 0) return line_.end();
  return std::lower_bound(
      line_.begin(), line_.end(), number,
      [](const Waiting& waiting, std::uint64_t sought) { return waiting.number < sought; });
}

void Snapshots::wait_in_line(SnapshotTurn* turn, std::uint64_t now_ms) {
  auto at = place_in_line(turn->number);
  if (turn->number == 0) turn->number = ++last_number_;
  if (at == line_.end() || at->number != turn->number) at = line_.insert(at, {turn->number, 0});
  at->asked_ms = now_ms;
  turn->ahead = static_cast<std::uint64_t>(at - line_.begin());
}

/// First come, first served. Errors: closed, busy.
Result<void> Snapshots::reserve_place(SnapshotTurn* turn) {
  const std::lock_guard lock(mutex_);
  if (closed_) return Error{.code = Code::closed, .operation = "snapshot"};
  const std::uint64_t now_ms = clock_();
  end_too_old(now_ms);
  while (!line_.empty() && now_ms >= line_.front().asked_ms + kForgottenMs) line_.pop_front();
  // A number of the store's last run, which had another line.
  if (turn != nullptr && turn->number > last_number_) turn->number = 0;
  const std::uint64_t number = turn != nullptr ? turn->number : 0;
  const auto at = place_in_line(number);
  const auto ahead = static_cast<std::uint64_t>(at - line_.begin());
  if (open_.size() + opening_ + ahead >= most_) {
    if (turn != nullptr) wait_in_line(turn, now_ms);
    return Error{.code = Code::busy, .operation = "snapshot"};
  }
  if (at != line_.end() && at->number == number) line_.erase(at);
  open_.reserve(open_.size() + opening_ + 1);
  ++opening_;
  return {};
}

void Snapshots::leave(const SnapshotTurn& turn) noexcept {
  const std::lock_guard lock(mutex_);
  const auto at = place_in_line(turn.number);
  if (at != line_.end() && at->number == turn.number) line_.erase(at);
}

/// With the lock only at the end: a lease may wait for a slot.
Result<std::shared_ptr<OpenSnapshot>> Snapshots::open_in_place(std::uint64_t wait_ms) {
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
  auto lease = pool_->lease(ReadPool::For::snapshot, wait_ms);
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

Result<std::shared_ptr<OpenSnapshot>> Snapshots::open(SnapshotTurn* turn, std::uint64_t wait_ms) {
  if (auto reserved = reserve_place(turn); !reserved) return reserved.error();
  auto opened = open_in_place(wait_ms);
  if (!opened && opened.error().code == Code::busy && turn != nullptr) {
    const std::lock_guard lock(mutex_);
    wait_in_line(turn, clock_());
  }
  return opened;
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
  return buffers_->retired_bytes([&](const BufferSet::Generation* state) {
    return std::any_of(open_.begin(), open_.end(), [&](const auto& snapshot) {
      return !snapshot->ended() && snapshot->pinned() == state;
    });
  }) > limits_.bytes;
}

void Snapshots::enforce() noexcept {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex_);
  end_too_old(clock_());
  while (!open_.empty() && holds_too_much()) {
    open_.front()->end(End::expired);
    forget_ended();
  }
}

std::uint64_t Snapshots::due_in_ms() const noexcept {
  // Nobody is woken for a snapshot that is taken meanwhile.
  const std::uint64_t at_rest_ms = std::clamp(limits_.age_ms, kLeastRestMs, kMostRestMs);
  if (count_.load(std::memory_order_relaxed) == 0) return at_rest_ms;
  const std::lock_guard lock(mutex_);
  if (open_.empty()) return at_rest_ms;
  const std::uint64_t due_ms = open_.front()->taken_ms() + limits_.age_ms;
  const std::uint64_t now_ms = clock_();
  return std::clamp<std::uint64_t>(due_ms > now_ms ? due_ms - now_ms : 0, 1, at_rest_ms);
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
