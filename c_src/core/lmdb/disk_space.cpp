#include "lmdb/disk_space.h"

#include <sys/statvfs.h>

#include <algorithm>

#include "os/file_blocks.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kUnknown = ~std::uint64_t{0} / 2;
// With LMDB's page of 4 KiB a store at rest keeps less than 1 MiB beside its data.
constexpr std::uint64_t kMostKeptPages = 224;
constexpr std::uint64_t kLeastStepBytes = 4096;

}  // namespace

void DiskSpace::use(int fd, std::uint64_t page_bytes) noexcept {
  fd_ = fd;
  most_kept_bytes_ = kMostKeptPages * page_bytes;
}

std::uint64_t DiskSpace::kept_bytes() const noexcept {
  const std::uint64_t until = kept_until();
  return until - std::min(until, used_bytes_.load(std::memory_order_relaxed));
}

std::uint64_t DiskSpace::bytes_for_removals() const noexcept {
  return can_keep_.load(std::memory_order_relaxed) ? most_kept_bytes_ / 2 : 0;
}

bool DiskSpace::keep(std::uint64_t from, std::uint64_t to) noexcept {
  const int rc = keep_blocks(fd_, from, to);
  if (rc != 0 && !is_short_of_room(rc)) can_keep_.store(false, std::memory_order_relaxed);
  return rc == 0;
}

void DiskSpace::look(std::uint64_t used_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t wanted = used_bytes + most_kept_bytes_;
  std::uint64_t until = std::max(kept_until(), used_bytes);
  // Near the end of the disk: as much of it as there is.
  for (std::uint64_t step = wanted - std::min(until, wanted);
       step >= kLeastStepBytes && can_keep_.load(std::memory_order_relaxed); step /= 2) {
    while (until + step <= wanted && keep(until, until + step)) until += step;
  }
  used_bytes_.store(used_bytes, std::memory_order_relaxed);
  kept_until_.store(until, std::memory_order_relaxed);
  struct statvfs disk;
  // A file system that does not know its size says that it has none.
  const bool known = ::fstatvfs(fd_, &disk) == 0 && disk.f_blocks != 0;
  std::uint64_t free = known ? disk.f_bavail * disk.f_frsize : kUnknown;
  // A quota, or whatever else keeps blocks back that the file system calls free.
  const bool refused = can_keep_.load(std::memory_order_relaxed) && until < wanted;
  if (refused) free = 0;
  free_bytes_.store(std::min(free, kUnknown), std::memory_order_relaxed);
}

}  // namespace hyper_lmdb
