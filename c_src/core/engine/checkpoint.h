// A write buffer goes into LMDB: in key order, in transactions of bounded size.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "buffer/write_buffer.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "lmdb/data_file.h"
#include "lmdb/env.h"

namespace hyper_lmdb {

/// A buffer, what holds once all of it is in the tree, and how far it has come.
/// Thread-safety: one thread at a time, but for `progress`.
struct CheckpointJob {
  const WriteBuffer* buffer = nullptr;
  std::uint64_t seq = 0;  ///< the last number of the journal that is in the buffer
  RecordCounts counts = {};
  std::string last_key;          ///< of the last transaction that was committed
  std::uint64_t committed = 0;   ///< keys
  std::uint64_t small_ones = 0;  ///< transactions to be small, as one has met a full disk

  void begin(const WriteBuffer* of, std::uint64_t through, const RecordCounts& after) {
    buffer = of;
    seq = through;
    counts = after;
    last_key.clear();
    committed = 0;
    small_ones = 0;
    all_.store(before_keys() + 2 * buffer->keys(), std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
  }

  /// The journal is flushed; a job that goes on is as far as it was.
  void flushed() noexcept { committed == 0 ? sorted(0) : came_to(0); }
  /// So much is sorted, from 0 to 1.
  void sorted(double part) noexcept {
    const auto half = static_cast<double>(before_keys()) / 2;
    done_.store(static_cast<std::uint64_t>(half + half * part), std::memory_order_relaxed);
  }
  /// All is sorted, and so many keys beyond those committed are in the transaction under way.
  void came_to(std::uint64_t open) noexcept {
    done_.store(before_keys() + 2 * committed + open, std::memory_order_relaxed);
  }
  /// How much of the work is done, from 0 to 1, about. May be called by any thread.
  double progress() const noexcept {
    const std::uint64_t all = all_.load(std::memory_order_relaxed);
    return all == 0 ? 1
                    : static_cast<double>(done_.load(std::memory_order_relaxed)) /
                          static_cast<double>(all);
  }

 private:
  // By what each takes: a tenth to flush, a tenth to sort; the rest half to change pages and half
  // to write them.
  std::uint64_t before_keys() const noexcept { return buffer->keys() / 2; }

  std::atomic<std::uint64_t> all_{0};
  std::atomic<std::uint64_t> done_{0};
};

/// Applies a buffer that nobody writes any more. Can be done again after a failure or a crash at
/// any point: the first of several transactions marks the tree as half applied, and only the last
/// one says that it has everything up to `seq`. A job that is done again goes on where it was.
/// Blocks; write transactions are begun and ended on this thread, one at a time with others.
/// `pause` is called again and again, with a transaction under way, and may take its time.
/// Errors: disk_full, quota_exceeded, file_too_large, map_full, no_memory: nothing is lost and it
/// may be tried again; others as LMDB.
Result<void> write_checkpoint(Env* env, CheckpointJob* job, FunctionRef<void()> pause);

}  // namespace hyper_lmdb
