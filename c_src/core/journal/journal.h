// The journal of a running store: the segment that is appended to, the one whose buffer is being
// applied, how far both are on disk; the one that is made for later, and the one that may go.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "journal/journal_mark.h"
#include "journal/journal_segment.h"
#include "os/directory.h"

namespace hyper_lmdb {

/// Thread-safety: `flush`, `appended`, `flushed`, `bytes` and `fullness` may be called from any
/// thread, `retire_frozen` and `remove_retired` by the checkpointer, `make_spare` and
/// `remove_spare` by anybody who may block; the rest by the holder of the write lock. Lock order:
/// flush lock or spare lock, then the lock on which segments there are, or that of the mark.
class Journal {
 public:
  struct Start {
    std::string store_id;
    std::uint64_t last_seq = 0;         ///< everything up to it is in LMDB, durably
    std::uint64_t last_generation = 0;  ///< of the segments there ever were
    std::uint64_t segment_bytes = 0;
    JournalSegment::Append way = JournalSegment::Append::mapped;
  };
  Journal(const Directory& directory, const Start& start, std::atomic<bool>* failed);

  std::uint64_t appended() const noexcept { return appended_.load(std::memory_order_acquire); }
  std::uint64_t flushed() const noexcept { return flushed_.load(std::memory_order_acquire); }
  /// What the segment that is appended to takes.
  std::uint64_t bytes() const noexcept;
  /// The same of what it may take, from 0 to 1.
  double fullness() const noexcept {
    return static_cast<double>(bytes()) / static_cast<double>(start_.segment_bytes);
  }

  /// Takes the descriptor that every segment needs beside its own. Errors: as Directory::open_file.
  Result<void> open_mark() {
    const std::lock_guard lock(mark_mutex_);
    return mark_.open();
  }

  bool has_segment() const noexcept { return active_ != nullptr; }
  /// The spare one, or else makes one, which blocks. Errors: as JournalSegment::create.
  Result<void> open_segment();
  /// Makes the one that the next `open_segment` takes, durably with its name and with room ready.
  /// Blocks. Errors: as JournalSegment::create; then there is none, which does no harm.
  Result<void> make_spare();
  /// For a store at rest, or a disk that is full. Blocks. Errors: as unlink(2), fsync(2); either
  /// does no harm.
  Result<void> remove_spare();
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
  /// Whether a start would find what LMDB does not have yet. Errors: as check_named of directory.h.
  Result<void> check_named() const;
  /// Sets room aside ahead of the appends. Blocks.
  void prepare_ahead() noexcept;
  /// LMDB has all of the frozen segment, durably: it is no longer in the way of the next one. What
  /// was retired before must have been removed.
  void retire_frozen() noexcept;
  /// Removes the retired segment's file. Blocks; `pause` is called again and again, and may take
  /// its time; it answers false where somebody waits. Errors: as unlink(2); may be tried again.
  Result<void> remove_retired(FunctionRef<bool()> pause = [] { return true; });
  /// Lets go of the files, which stay; nothing is appended or flushed any more. A handle may live
  /// long after its store was stopped.
  void close() noexcept;

 private:
  struct Segment {
    std::uint64_t generation;
    std::unique_ptr<JournalSegment> file = {};
    bool removed = false;  // of whoever removes it; the removal may not be durable yet
  };
  std::shared_ptr<Segment> active() const;
  Result<std::shared_ptr<Segment>> create(std::uint64_t first_seq);
  Result<void> remove(Segment* segment);
  Result<void> discard(Segment* segment);

  const Directory& directory_;
  const Start start_;
  std::atomic<bool>* failed_;
  bool flush_failed_ = false;      // guarded by flush_mutex_
  std::uint64_t last_generation_;  // guarded by spare_mutex_
  std::atomic<std::uint64_t> appended_;
  std::atomic<std::uint64_t> flushed_;

  std::mutex mark_mutex_;
  JournalMark mark_;  // guarded by mark_mutex_

  std::mutex flush_mutex_;
  std::mutex spare_mutex_;          // held while a segment is made: their numbers are their order
  std::shared_ptr<Segment> spare_;  // guarded by spare_mutex_
  // Guards the pointers; the holder of the write lock may read active_ without it.
  mutable std::mutex segments_mutex_;
  std::shared_ptr<Segment> active_;
  std::shared_ptr<Segment> frozen_;
  std::shared_ptr<Segment> retired_;  // LMDB has it; its file is still there
};

}  // namespace hyper_lmdb
