// The thread that applies frozen write buffers to LMDB and removes the journal behind them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "buffer/buffer_set.h"
#include "engine/checkpoint.h"
#include "engine/checkpoint_pacing.h"
#include "hyper_lmdb/options.h"
#include "journal/journal.h"
#include "lmdb/env.h"
#include "read/read_pool.h"
#include "read/snapshots.h"

namespace hyper_lmdb {

/// Thread-safety: `give` by the holder of the write lock, `start` and `stop` once each; the
/// rest may be called from any thread.
class Checkpointer {
 public:
  Checkpointer(Env* env, BufferSet* buffers, ReadPool* pool, Journal* log,
               std::atomic<bool>* failed, Snapshots* snapshots = nullptr)
      : env_(env),
        buffers_(buffers),
        pool_(pool),
        log_(log),
        failed_(failed),
        snapshots_(snapshots) {}

  Result<void> start(const ThreadApi& threads);
  /// Ends the thread; a job it cannot finish stays in the journal.
  void stop(const ThreadApi& threads);

  /// Whether more will be written soon: then the next segment is made while the job goes on.
  enum class Next { soon, perhaps_never };
  /// Hands over the buffer that has just been frozen. There must be no job under way.
  void give(std::shared_ptr<const WriteBuffer> buffer, std::uint64_t seq,
            const RecordCounts& counts, Next next);
  bool idle() const noexcept { return idle_.load(std::memory_order_acquire); }
  /// Waits until no job is under way; journal it has no need of may still be there. Errors: what
  /// keeps the job from being finished (it is tried again all the same), env_failed.
  Result<void> wait_idle();
  /// The last number of the journal in the jobs given so far.
  std::uint64_t given() const noexcept { return given_.load(std::memory_order_relaxed); }
  /// Waits until what earlier jobs had no need of is gone. Errors: what keeps it there.
  Result<void> wait_cleaned_up();
  /// A job that could not be finished is tried now, not in a while.
  void try_again();
  /// Waits until the job is further along than `fraction`, or is done, or cannot go on, or it took
  /// `most`. Returns what is left of that.
  std::chrono::nanoseconds wait_past(double fraction, std::chrono::nanoseconds most);

  /// How much of the job is done, from 0 to 1; 1 where there is none.
  double progress() const noexcept;
  /// A job is being tried again and again.
  bool stalled() const noexcept { return stalled_.load(std::memory_order_acquire); }
  std::uint64_t applied_buffers() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  /// While there is one the thread does not rest. Made and destroyed under mutex_.
  class Hurry {
   public:
    explicit Hurry(Checkpointer* checkpointer) noexcept : waiting_(checkpointer->waiting_) {
      ++waiting_;
      checkpointer->wake_.notify_one();
    }
    Hurry(const Hurry&) = delete;
    Hurry& operator=(const Hurry&) = delete;
    ~Hurry() { --waiting_; }

   private:
    int& waiting_;
  };

  enum class Doing { job, cleaning_up };

  static void* run(void* self);
  void loop();
  Result<void> do_job() noexcept;
  bool pause(Doing doing) noexcept;
  Result<void> clean_up() noexcept;

  Env* env_;
  BufferSet* buffers_;
  ReadPool* pool_;
  Journal* log_;
  std::atomic<bool>* failed_;
  Snapshots* snapshots_;
  void* thread_ = nullptr;

  // Of the job: set by `give` before idle_ is cleared, read by the thread after it sees that.
  std::shared_ptr<const WriteBuffer> buffer_;
  CheckpointJob job_;
  Next next_ = Next::perhaps_never;
  bool applied_ = false;   // all of it is in the tree; of the thread
  CheckpointPacing pace_;  // of the thread
  // Of the job before, the thread's own.
  std::shared_ptr<const WriteBuffer> applied_buffer_;
  bool to_rest_ = false;

  std::atomic<bool> idle_{true};
  std::atomic<bool> stalled_{false};
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> given_{0};

  std::mutex mutex_;
  std::condition_variable wake_;      // the thread
  std::condition_variable finished_;  // those who wait for it
  Result<void> stall_;                // guarded by mutex_
  bool cleaned_up_ = true;            // guarded by mutex_; nothing of the jobs before is left
  bool stopping_ = false;             // guarded by mutex_
  bool again_ = false;                // guarded by mutex_
  int waiting_ = 0;                   // guarded by mutex_; those for whom the thread does not rest
  bool ended_ = false;                // guarded by mutex_; no job is tried any more
};

}  // namespace hyper_lmdb
