// The background flush of a store, and the flushes callers ask for.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/write_queue.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread, `start` and `stop` once each.
class Flusher {
 public:
  /// `flush_all` makes durable what was written before; an error of it is final, but for
  /// no_such_directory. `at_rest` is
  /// called on the flusher's thread once the store has been idle for an interval.
  Flusher(std::function<Result<void>()> flush_all, std::chrono::milliseconds interval,
          std::atomic<bool>* failed, std::function<void()> at_rest);

  Result<void> start(const ThreadApi& threads);
  /// Serves the callers that wait and ends the thread. Later requests are refused.
  void stop(const ThreadApi& threads);

  /// There is something to flush. Called after the commit that it is about.
  void mark_dirty() noexcept {
    // Read-modify-write on both sides: either the flush sees this commit, or it is the next one's.
    if (!dirty_.exchange(true, std::memory_order_acq_rel)) wake();
  }
  /// Whether a flush runs right now: a commit may then wait for the disk.
  bool flushing() const noexcept { return flushing_.load(std::memory_order_acquire); }

  /// Calls `done` after a flush that began after this call. Errors: closed.
  Result<void> request(Request* request);

  std::uint64_t flushes() const noexcept { return flushes_.load(std::memory_order_relaxed); }

 private:
  static void* run(void* self);
  void loop();
  Result<void> flush() noexcept;
  void wake() noexcept;

  std::function<Result<void>()> flush_all_;
  const std::chrono::milliseconds interval_;
  std::atomic<bool>* failed_;
  std::function<void()> at_rest_;
  void* thread_ = nullptr;
  bool broken_ = false;  // of the thread: a flush failed

  std::atomic<bool> dirty_{false};
  std::atomic<bool> flushing_{false};
  std::atomic<std::uint64_t> flushes_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  Request* waiters_ = nullptr;  // guarded by mutex_
  bool stopping_ = false;       // guarded by mutex_
};

}  // namespace hyper_lmdb
