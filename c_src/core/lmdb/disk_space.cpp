#include "lmdb/disk_space.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

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
  // There a page that has its block needs a new one to be written, the root of the tree too: with
  // blocks for new pages alone a commit would fail at its last step, which LMDB does not survive.
  can_keep_ = !is_copied_on_write(fd);
}

std::uint64_t DiskSpace::kept_bytes() const noexcept {
  const std::uint64_t until = kept_until();
  return until - std::min(until, used_bytes_.load(std::memory_order_relaxed));
}

bool DiskSpace::keep(std::uint64_t from, std::uint64_t to) noexcept {
  const int rc = keep_blocks(fd_, from, to);
  if (rc == 0) return true;
  switch (rc) {
    case EOPNOTSUPP:
    case ENOSYS:
    case EPERM:
    case EINVAL:
    case ENODEV:
      can_keep_ = false;  // there is no such call
      break;
    default:
      refusal_ = rc;
  }
  return false;
}

std::uint64_t DiskSpace::ask_free_bytes() const noexcept {
  struct statvfs disk;
  // A file system that does not know its size says that it has none.
  if (::fstatvfs(fd_, &disk) != 0 || disk.f_blocks == 0) return kUnknown;
  // Not what is kept for the administrator: who that is, a container may hide.
  const std::uint64_t blocks = disk.f_bavail;
  return disk.f_frsize != 0 && blocks > kUnknown / disk.f_frsize ? kUnknown
                                                                 : blocks * disk.f_frsize;
}

int DiskSpace::look(std::uint64_t used_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t wanted = used_bytes + most_kept_bytes_;
  std::uint64_t until = std::max(kept_until(), used_bytes);
  refusal_ = 0;
  // Near the end of the disk: as much of it as there is.
  for (std::uint64_t step = wanted - std::min(until, wanted); step >= kLeastStepBytes && can_keep_;
       step /= 2) {
    while (until + step <= wanted && keep(until, until + step)) until += step;
  }
  used_bytes_.store(used_bytes, std::memory_order_relaxed);
  kept_until_.store(until, std::memory_order_relaxed);
  // Where not even these blocks are to be had, nothing counts as free: there may be a quota.
  // Another failure says nothing of the room.
  const bool refused = can_keep_ && until < wanted && is_short_of_room(refusal_);
  free_bytes_.store(refused ? 0 : ask_free_bytes(), std::memory_order_relaxed);
  return refused ? refusal_ : 0;
}

void DiskSpace::cut(std::uint64_t used_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t end = std::max(used_bytes, kept_until());
  struct stat file;
  if (::fstat(fd_, &file) != 0 || static_cast<std::uint64_t>(file.st_size) <= end) return;
  // Where it fails the blocks stay taken, which the next transaction uses.
  [[maybe_unused]] const int rc = ::ftruncate(fd_, static_cast<off_t>(end));
}

}  // namespace hyper_lmdb
