// The writer's queue: bounded in bytes, first come first served.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "hyper_lmdb/result.h"
#include "hyper_lmdb/write_queue.h"

namespace hyper_lmdb {

/// What the writer serves in one go: requests linked by `next`, oldest first.
struct Group {
  Request* first = nullptr;
  std::size_t requests = 0;
};

/// Thread-safety: all functions may be called from any thread; `take` by the writer thread alone,
/// which is also the only one that grants tickets. One lock guards everything; no
/// callback runs under it.
class RequestQueue {
 public:
  explicit RequestQueue(std::uint64_t most_bytes) noexcept : most_bytes_(most_bytes) {}

  // The four steps of a submitter; see Store.
  Result<Admission> reserve(std::uint64_t bytes);
  Result<Admission> park(const std::shared_ptr<Ticket>& ticket);
  void cancel(Ticket& ticket) noexcept;
  Result<void> push(Request* request, Ticket* ticket);

  /// Whether anybody waits; a hint that needs no lock.
  bool busy() const noexcept { return waiting_.load(std::memory_order_acquire) != 0; }

  /// Waits at most `timeout` for requests or a nudge. False once the queue is closed and empty.
  bool take(Group* group, std::chrono::milliseconds timeout);
  /// The writer has its lock: until now its requests counted as waiting, so that nobody overtook
  /// them.
  void started(const Group& group) noexcept;
  /// Wakes the writer, which then may have no requests to take.
  void nudge() noexcept;
  /// Gives the room of finished requests back.
  void release(std::uint64_t bytes) noexcept;

  /// Refuses what comes from now on; what was pushed is still taken.
  void close() noexcept;

  std::uint64_t queued_bytes() const;
  std::uint64_t waiting_tickets() const;

 private:
  bool has_room(std::uint64_t bytes) const noexcept;
  bool next_may_go(const Ticket& ticket) const noexcept;
  bool grant_next();

  const std::uint64_t most_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Request* head_ = nullptr;
  Request* tail_ = nullptr;
  Request* taken_ = nullptr;  // of the writer thread: taken out, and not in a group yet
  std::deque<std::shared_ptr<Ticket>> parked_;
  std::uint64_t reserved_bytes_ = 0;
  bool closed_ = false;
  std::atomic<bool> nudged_{false};        // set without the lock, so that most nudges cost nothing
  std::atomic<std::uint64_t> waiting_{0};  // pushed requests and parked tickets
};

}  // namespace hyper_lmdb
