#include "read/warmth.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>

namespace hyper_lmdb {

Warmth::Start Warmth::of(MDB_env* env) noexcept {
  MDB_stat tree{};
  return mdb_env_stat(env, &tree) == 0 && tree.ms_depth <= 1 ? Start::warm : Start::cold;
}

void Warmth::blocked(Time took, Time now) noexcept {
  Time::rep paid_off = paid_off_at_.load(std::memory_order_relaxed);
  Time::rep later = 0;
  do {
    later = std::max(paid_off, now.count()) + took.count() * kShare;
  } while (!paid_off_at_.compare_exchange_weak(paid_off, later, std::memory_order_relaxed));
  clean_reads_left_.store(kCleanReads, std::memory_order_relaxed);
}

void Warmth::read_elsewhere(bool waited, Time now) noexcept {
  std::uint32_t left = clean_reads_left_.load(std::memory_order_relaxed);
  while (left != 0) {
    if (!waited && left == 1 && now.count() < paid_off_at_.load(std::memory_order_relaxed)) return;
    const std::uint32_t next = waited ? kCleanReads : left - 1;
    if (clean_reads_left_.compare_exchange_weak(left, next, std::memory_order_relaxed)) return;
  }
}

namespace {

// The thread may have been idle since it last asked: no read is thought to have taken longer.
constexpr Warmth::Time kMost = std::chrono::milliseconds(100);
constexpr Warmth::Time kLeast = std::chrono::microseconds(500);

struct LastLook {
  Warmth::Time at{0};
  std::uint64_t waits = 0;
};
thread_local LastLook last_look;

}  // namespace

void forget_waits() noexcept {
  const Warmth::Time now = ticks();
  if (now - last_look.at >= kLeast) last_look = {now, disk_waits()};
}

Warmth::Time waited_for_disk() noexcept {
  LastLook& last = last_look;
  const Warmth::Time now = ticks();
  const Warmth::Time since = now - last.at;
  if (since < kLeast) return Warmth::Time{0};
  // A thread that lost its core to another for a while took as long, but has not waited.
  const std::uint64_t waits = disk_waits();
  const bool more = last.at != Warmth::Time{0} && waits != last.waits;
  last = {now, waits};
  return more ? std::min(since, kMost) : Warmth::Time{0};
}

std::uint64_t disk_waits() noexcept {
#ifdef RUSAGE_THREAD
  rusage used{};
  if (::getrusage(RUSAGE_THREAD, &used) == 0) return static_cast<std::uint64_t>(used.ru_majflt);
#endif
  return 0;
}

}  // namespace hyper_lmdb
