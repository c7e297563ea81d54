#include "read/residency.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace hyper_lmdb {

Residency::Start Residency::of(MDB_env* env) noexcept {
  MDB_stat tree{};
  return mdb_env_stat(env, &tree) == 0 && tree.ms_depth <= 1 ? Start::warm : Start::cold;
}

void Residency::blocked(Time took, Time now) noexcept {
  Time::rep paid_off = paid_off_at_.load(std::memory_order_relaxed);
  Time::rep later = 0;
  do {
    later = std::max(paid_off, now.count()) + took.count() * kShare;
  } while (!paid_off_at_.compare_exchange_weak(paid_off, later, std::memory_order_relaxed));
  clean_reads_left_.store(kCleanReads, std::memory_order_relaxed);
}

void Residency::read_elsewhere(bool waited, Time now) noexcept {
  std::uint32_t left = clean_reads_left_.load(std::memory_order_relaxed);
  while (left != 0) {
    if (!waited && left == 1 && now.count() < paid_off_at_.load(std::memory_order_relaxed)) return;
    const std::uint32_t next = waited ? kCleanReads : left - 1;
    if (clean_reads_left_.compare_exchange_weak(left, next, std::memory_order_relaxed)) return;
  }
}

namespace {

// The thread may have been idle since it last asked: no read is thought to have taken longer.
constexpr Residency::Time kMost = std::chrono::milliseconds(100);
constexpr Residency::Time kLeast = std::chrono::microseconds(500);

struct LastLook {
  Residency::Time at{0};
  std::uint64_t waits = 0;
};
thread_local LastLook last_look;

}  // namespace

void forget_waits() noexcept {
  const Residency::Time now = ticks();
  if (now - last_look.at >= kLeast) last_look = {now, disk_waits()};
}

Residency::Time waited_for_disk() noexcept {
  LastLook& last = last_look;
  const Residency::Time now = ticks();
  const Residency::Time since = now - last.at;
  if (since < kLeast) return Residency::Time{0};
  // A thread that lost its core to another for a while took as long, but has not waited.
  const std::uint64_t waits = disk_waits();
  const bool more = last.at != Residency::Time{0} && waits != last.waits;
  last = {now, waits};
  return more ? std::min(since, kMost) : Residency::Time{0};
}

std::uint64_t disk_waits() noexcept {
#ifdef RUSAGE_THREAD
  rusage used{};
  if (::getrusage(RUSAGE_THREAD, &used) == 0) return static_cast<std::uint64_t>(used.ru_majflt);
#endif
  return 0;
}

namespace {

std::size_t page_bytes() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

/// The whole pages around the bytes.
std::string_view pages_of(std::string_view bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::size_t before = begin % page_bytes();
  const std::size_t size = (before + bytes.size() + page_bytes() - 1) / page_bytes() * page_bytes();
  return {bytes.data() - before, size};
}

}  // namespace

bool in_memory(std::string_view bytes) noexcept {
#ifdef __APPLE__
  std::array<char, 256> present;
#else
  std::array<unsigned char, 256> present;
#endif
  std::string_view left = pages_of(bytes);
  while (!left.empty()) {
    const std::size_t size = std::min(left.size(), present.size() * page_bytes());
    if (::mincore(const_cast<char*>(left.data()), size, present.data()) != 0) return true;
    const auto end = present.begin() + static_cast<std::ptrdiff_t>(size / page_bytes());
    if (!std::all_of(present.begin(), end, [](auto page) { return (page & 1) != 0; })) return false;
    left.remove_prefix(size);
  }
  return true;
}

void bring_in(std::string_view bytes) noexcept {
  if (bytes.empty()) return;
  const std::string_view pages = pages_of(bytes);
  // Only advice: without it the pages come one by one, below.
  if (pages.size() > page_bytes()) {
    (void)::madvise(const_cast<char*>(pages.data()), pages.size(), MADV_WILLNEED);
  }
  for (std::size_t at = 0; at < bytes.size(); at += page_bytes()) {
    (void)*static_cast<const volatile char*>(bytes.data() + at);
  }
  (void)*static_cast<const volatile char*>(&bytes.back());
}

}  // namespace hyper_lmdb
