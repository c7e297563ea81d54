// The journal of a running store: the segment that is appended to, the one whose buffer is being
// applied, and how far both are on disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "directory.h"
#include "hyper_lmdb/result.h"
#include "journal_segment.h"

namespace hyper_lmdb {

/// Thread-safety: `flush`, `appended` and `flushed` may be called from any thread, `drop_frozen` by
/// the applier; the rest by the holder of the write lock. Lock order: flush lock, then the lock on
/// which segments there are.
class JournalLog {
 public:
  struct Start {
    std::string store_id;
    std::uint64_t last_seq = 0;         ///< everything up to it is in LMDB, durably
    std::uint64_t last_generation = 0;  ///< of the segments there ever were
    std::uint64_t segment_bytes = 0;
    JournalSegment::Way way = JournalSegment::Way::mapped;
  };
  JournalLog(const Directory& directory, const Start& start, std::atomic<bool>* failed);

  std::uint64_t appended() const noexcept { return appended_.load(std::memory_order_acquire); }
  std::uint64_t flushed() const noexcept { return flushed_.load(std::memory_order_acquire); }
  /// What the segment that is appended to takes.
  std::uint64_t bytes() const noexcept;

  bool has_segment() const noexcept { return active_ != nullptr; }
  /// Makes one, which blocks. Errors: as JournalSegment::create.
  Result<void> open_segment();
  bool has_room(std::uint64_t payload_bytes) const noexcept;
  /// Whether an append needs neither a segment nor blocks nor untouched pages.
  bool room_ready(std::uint64_t payload_bytes) const noexcept;
  bool running_low() const noexcept { return active_ != nullptr && active_->file->running_low(); }
  /// The record that follows `appended()`. Errors: as JournalSegment::append.
  Result<void> append(std::string_view payload);
  /// A number that has no record, since LMDB has it already. There must be no active segment.
  void skip(std::uint64_t seq) noexcept;
  /// The active segment becomes the frozen one; there must be none.
  void rotate();

  /// Makes durable what was appended before the call. Blocks. Errors: io_error, env_failed; both
  /// are final.
  Result<void> flush();
  /// Sets room aside ahead of the appends. Blocks.
  void prepare_ahead() noexcept;
  /// LMDB has all of the frozen segment, durably. Errors: as unlink(2).
  Result<void> drop_frozen();
  /// Lets go of the files, which stay; nothing is appended or flushed any more. A handle may live
  /// long after its store was stopped.
  void close() noexcept;

 private:
  struct Segment {
    std::uint64_t generation;
    std::unique_ptr<JournalSegment> file;
  };
  std::shared_ptr<Segment> active() const;

  const Directory& directory_;
  const Start start_;
  std::atomic<bool>* failed_;
  bool flush_failed_ = false;  // guarded by flush_mutex_
  std::uint64_t last_generation_;
  std::atomic<std::uint64_t> appended_;
  std::atomic<std::uint64_t> flushed_;

  std::mutex flush_mutex_;
  // Guards both pointers; the holder of the write lock may read active_ without it.
  mutable std::mutex segments_mutex_;
  std::shared_ptr<Segment> active_;
  std::shared_ptr<Segment> frozen_;
};

}  // namespace hyper_lmdb
