// The only place that begins write transactions: at once on the caller's thread where nothing has
// to be waited for, else in groups on a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "change.h"
#include "env.h"
#include "flusher.h"
#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/write_queue.h"
#include "links.h"
#include "request_queue.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread, `start` and `stop` once each.
/// Lock order: write lock, then what RequestQueue and Flusher lock inside; no callback under
/// either.
class Writer {
 public:
  /// `flusher` is null where every commit is flushed.
  Writer(Env* env, const Settings& settings, Links* links, RequestQueue* queue, Flusher* flusher,
         std::atomic<bool>* failed);

  Result<void> start(const ThreadApi& threads);
  /// Does what is queued, ends the thread; no write happens afterwards. The queue must be closed.
  void stop(const ThreadApi& threads);

  /// Does the write now, or nothing at all where it would have to wait.
  std::optional<Result<void>> try_write(std::span<const Op> ops);

  /// Gives blocks back that were set aside and are not used, unless a write runs.
  void trim() noexcept;

  struct Counts {
    std::uint64_t writes_inline, groups, grouped_writes;
  };
  Counts counts() const noexcept;

 private:
  static constexpr std::uint64_t kMostRemovedAtOnce = 1000;  // of a prefix, in one transaction

  static void* run(void* self);
  static void add_demand(Demand* demand, const Request& request, const TreeShape& shape) noexcept;
  void loop();
  bool lock_soon(std::unique_lock<std::mutex>& lock) const noexcept;
  void serve(Group group);
  Result<void> write_together(Request* first, const Request* end);
  Result<void> perform(Change& change, Request& request, std::uint64_t* pages);
  Result<void> make_room(const TreeShape& shape, Request* first, const Request* end,
                         std::uint64_t* pages);
  Result<void> make_room_near_capacity(const TreeShape& shape, Request* first, const Request* end);
  Result<void> extend_blocks(const TreeShape& shape, std::uint64_t pages);
  Result<void> commit(Change& change);
  Error explain(Error error) const;
  void check_readers() noexcept;

  Env* env_;
  const Settings& settings_;
  Links* links_;
  RequestQueue* queue_;
  Flusher* flusher_;
  std::atomic<bool>* failed_;
  const bool inline_allowed_;
  void* thread_ = nullptr;

  std::mutex write_mutex_;
  bool stopped_ = false;  // guarded by write_mutex_
  std::atomic<std::uint64_t> writes_inline_{0};
  std::atomic<std::uint64_t> groups_{0};
  std::atomic<std::uint64_t> grouped_writes_{0};
};

}  // namespace hyper_lmdb
