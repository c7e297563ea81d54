// Whether the pages that readers need are in memory, learnt from how the reads went.
//
// A page that is not in memory blocks the thread that reads it for as long as the disk takes. Reads
// that may not block (those on a scheduler of the VM) are made while the store counts as warm. One
// that the disk has kept waiting turns the store cold: such reads are refused from then on, and
// made where a blocked thread harms nobody. There each tells how it went, and after so many in a
// row that found everything in memory the store is warm again, though not before the time that was
// lost is a small share of the time since: that is the bound, however often it happens.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "os/posix.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread. Nothing is published through it:
/// its values are hints, and relaxed.
class Residency {
 public:
  using Time = std::chrono::nanoseconds;  // since some moment that stays the same

  /// Reads in a row without a wait that show a store to be warm.
  static constexpr std::uint32_t kCleanReads = 256;
  /// At most one part in so many of the time is lost on threads that should not wait.
  static constexpr int kShare = 20;

  enum class Start { cold, warm };
  explicit Residency(Start start) noexcept
      : clean_reads_left_(start == Start::cold ? kCleanReads : 0) {}

  /// At the opening: cold, unless all records are on the one page that it has looked at.
  static Start of(MDB_env* env) noexcept;

  bool cold() const noexcept { return clean_reads_left_.load(std::memory_order_relaxed) != 0; }

  /// A read waited where it should not.
  void blocked(Time took, Time now) noexcept;
  /// A read of a cold store was made where it may wait.
  void read_elsewhere(bool waited, Time now) noexcept;

 private:
  std::atomic<std::uint32_t> clean_reads_left_;
  std::atomic<Time::rep> paid_off_at_{0};
};

/// To be called before a read: what the thread waited for until now, for whomever, is not the
/// read's. Costs a look at the clock; only where that has moved does it ask the system.
void forget_waits() noexcept;

/// Whether the disk has kept this thread waiting since it last asked, and for how long at most.
/// Asked after each read, this costs a look at the clock: only where that has moved does it ask the
/// system whether there were waits; so a wait shorter than a tick is noticed in proportion to its
/// length. The first time on a thread the answer is 0.
Residency::Time waited_for_disk() noexcept;

/// Major page faults of the calling thread so far: pages that came from the disk, and waits for a
/// page that was on its way. 0 where the system does not count them by thread.
std::uint64_t disk_waits() noexcept;

/// Whether every page of the bytes is in memory: reading them does not wait for the disk. True
/// where the system does not say. Costs half a microsecond.
bool in_memory(std::string_view bytes) noexcept;

/// Returns when every page of the bytes has been in memory. Asks for all of them before it waits
/// for the first, so that the disk may do them together. Blocks.
void bring_in(std::string_view bytes) noexcept;

}  // namespace hyper_lmdb
