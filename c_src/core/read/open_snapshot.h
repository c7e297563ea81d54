// A read transaction, and the buffers that belong to it, kept from call to call.
//
// LMDB lets one thread at a time use a read transaction, so reads through one snapshot take turns.
// Whoever ends a snapshot sets a bit, and lets go of what it holds if no read is under way; else
// that read does so when it is over. So an end waits for nobody and takes nothing away from under a
// read: one atomic word decides who lets go, exactly once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "hyper_lmdb/result.h"
#include "read/read_pool.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread.
class OpenSnapshot {
 public:
  enum class End : std::uint8_t { none, released, expired, closed };

  OpenSnapshot(ReadPool::Lease lease, std::uint64_t taken_ms) noexcept
      : slot_(lease.slot_),
        pinned_(slot_->pin.load(std::memory_order_relaxed)),
        version_(slot_->version),
        taken_ms_(taken_ms),
        held_(std::move(lease)) {}
  OpenSnapshot(const OpenSnapshot&) = delete;
  OpenSnapshot& operator=(const OpenSnapshot&) = delete;
  ~OpenSnapshot() { end(End::released); }

  /// For the length of one read. Errors: snapshot_expired, closed; work_limit where another read is
  /// under way for `wait_ms`.
  Result<ReadPool::Lease> lease(std::uint64_t wait_ms) noexcept;

  /// Only the first end counts. Waits for nothing and frees no memory; those that wait for a turn
  /// are told.
  void end(End why) noexcept;
  bool ended() const noexcept { return why_.load(std::memory_order_acquire) != End::none; }

  /// By the clock of whoever opened it.
  std::uint64_t taken_ms() const noexcept { return taken_ms_; }
  /// What it pins until it ends; to be compared only.
  const BufferSet::Generation* pinned() const noexcept { return pinned_; }
  /// Of the store, at the moment the snapshot was taken.
  std::uint64_t version() const noexcept { return version_; }

 private:
  friend class ReadPool::Lease;
  static constexpr unsigned kReading = 1;
  static constexpr unsigned kEnded = 2;

  void give_back() noexcept;
  Error ending() const noexcept;
  bool wait_for_turn(unsigned seen, std::uint64_t wait_ms,
                     std::chrono::steady_clock::time_point began) const noexcept;

  ReadPool::Slot* const slot_;
  const BufferSet::Generation* const pinned_;
  const std::uint64_t version_;
  const std::uint64_t taken_ms_;
  std::atomic<End> why_{End::none};
  std::atomic<unsigned> state_{0};
  std::optional<ReadPool::Lease> held_;  // of whoever finds the snapshot ended and not read
};

}  // namespace hyper_lmdb
