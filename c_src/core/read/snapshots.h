// The open snapshots of a store: how many there may be, how old, and how much memory they may keep.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "buffer/buffer_set.h"
#include "hyper_lmdb/reader.h"
#include "hyper_lmdb/result.h"
#include "read/open_snapshot.h"
#include "read/read_pool.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread. Lock order: this one's, then that of
/// BufferSet. Ending a snapshot takes no lock.
class Snapshots {
 public:
  using Clock = std::uint64_t (*)();  ///< milliseconds that do not go back

  struct Limits {
    std::uint64_t age_ms;
    std::uint64_t bytes;  ///< of buffers that only snapshots keep
  };

  /// Up to half of the pool's slots: the others are for reads that are over soon.
  Snapshots(ReadPool* pool, const BufferSet* buffers, const Limits& limits, Clock clock) noexcept
      : pool_(pool), buffers_(buffers), limits_(limits), clock_(clock), most_(pool->size() / 2) {}

  /// Ends those that are too old first: a store that is only read has no thread that does. Waits
  /// for a reader slot for `wait_ms` at most. Errors: closed; busy where all places are taken or
  /// others have waited for longer, which a `turn`, unless null, remembers; else as the pool's
  /// lease.
  Result<std::shared_ptr<OpenSnapshot>> open(SnapshotTurn* turn = nullptr,
                                             std::uint64_t wait_ms = ReadPool::kForever);

  /// Takes a turn that will not be asked for again out of the line: it keeps nobody waiting.
  void leave(const SnapshotTurn& turn) noexcept;

  /// A read through a snapshot. Errors: as OpenSnapshot.
  Result<ReadPool::Lease> lease(OpenSnapshot* snapshot, std::uint64_t wait_ms) const noexcept;

  /// Ends what is too old, and the oldest ones while they keep too much memory.
  void enforce() noexcept;
  /// Until `enforce` may find one too old, were one taken right now.
  std::uint64_t due_in_ms() const noexcept;

  /// Ends all; later calls answer closed. Reads under way end first or let go when they do.
  void close() noexcept;

  struct Stats {
    std::uint64_t count = 0;
    std::uint64_t oldest_ms = 0;  ///< its age
  };
  Stats stats() const noexcept;

 private:
  bool too_old(const OpenSnapshot& snapshot, std::uint64_t now_ms) const noexcept;
  bool holds_too_much() const noexcept;
  void end_too_old(std::uint64_t now_ms) noexcept;
  struct Waiting {
    std::uint64_t number;
    std::uint64_t asked_ms;  // for the last time
  };
  using Line = std::deque<Waiting>;

  Result<void> reserve_place(SnapshotTurn* turn);
  Line::iterator place_in_line(std::uint64_t number) noexcept;
  void wait_in_line(SnapshotTurn* turn, std::uint64_t now_ms);
  Result<std::shared_ptr<OpenSnapshot>> open_in_place(std::uint64_t wait_ms);
  void forget_ended() noexcept;

  ReadPool* pool_;
  const BufferSet* buffers_;
  const Limits limits_;
  const Clock clock_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<OpenSnapshot>> open_;  // guarded by mutex_; the oldest first
  std::atomic<std::size_t> count_{0};                // of open_
  std::size_t opening_ = 0;                          // places reserved; guarded by mutex_
  Line line_;                                        // guarded by mutex_; ascending numbers
  std::uint64_t last_number_ = 0;                    // guarded by mutex_
  bool closed_ = false;                              // guarded by mutex_
};

}  // namespace hyper_lmdb
