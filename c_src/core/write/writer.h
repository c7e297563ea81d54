// Who writes when: at once on the caller's thread where nothing has to be waited for, else in
// groups on a thread of its own. How is for a WriteEngine.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/write_queue.h"
#include "read/snapshots.h"
#include "write/engine.h"
#include "write/request_queue.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread, `start` and `stop` once each.
/// Lock order: write lock, then what RequestQueue, Flusher and WriteEngine lock inside; no callback
/// under any.
class Writer {
 public:
  /// `write_mutex` is the lock that `WriteEngine` speaks of. The thread also ends `snapshots` that
  /// are due, where there are any to look after.
  Writer(MDB_env* env, RequestQueue* queue, WriteEngine* engine, std::mutex* write_mutex,
         std::atomic<bool>* failed, Snapshots* snapshots = nullptr) noexcept;

  Result<void> start(const ThreadApi& threads);
  /// Does what is queued, ends the thread; no write happens afterwards. The queue must be closed.
  void stop(const ThreadApi& threads);

  /// Whether `try_write` would do nothing, as things are now.
  bool would_wait(std::span<const Op> ops) const noexcept;
  /// Does the write now, or nothing at all where it would have to wait.
  std::optional<Result<void>> try_write(std::span<const Op> ops);

  struct Counts {
    std::uint64_t writes_inline, groups, grouped_writes;
  };
  Counts counts() const noexcept;

 private:
  static void* run(void* self);
  void loop();
  bool lock_soon(std::unique_lock<std::mutex>& lock) const noexcept;
  std::chrono::milliseconds longest_sleep() const noexcept;
  void serve(Group group);
  void check_readers() noexcept;

  MDB_env* env_;
  RequestQueue* queue_;
  WriteEngine* engine_;
  std::mutex& write_mutex_;
  std::atomic<bool>* failed_;
  Snapshots* snapshots_;
  void* thread_ = nullptr;

  bool stopped_ = false;  // guarded by write_mutex_
  std::atomic<std::uint64_t> writes_inline_{0};
  std::atomic<std::uint64_t> groups_{0};
  std::atomic<std::uint64_t> grouped_writes_{0};
};

}  // namespace hyper_lmdb
