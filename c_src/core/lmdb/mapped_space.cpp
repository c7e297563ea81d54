#include "lmdb/mapped_space.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "os/errors.h"
#include "os/file_blocks.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kLeastStepBytes = 256 << 10;
constexpr std::uint64_t kMostStepBytes = 64 << 20;
constexpr std::uint64_t kKeepBytes = 896 << 10;  // at rest

/// What holds data, up to `used`, has its blocks.
int try_to_reserve(int fd, std::uint64_t from, [[maybe_unused]] std::uint64_t used,
                   std::uint64_t to) noexcept {
#ifdef __APPLE__
  // No call there reserves blocks inside a sparse file: ask at least whether they would fit.
  struct statvfs info;
  if (::fstatvfs(fd, &info) != 0) return errno;
  return info.f_bavail * info.f_frsize < to - from ? ENOSPC : 0;
#else
  const int rc = reserve_blocks(fd, from, to);
  if (rc == 0 || is_short_of_room(rc)) return rc;
  // Pages are put only where blocks were set aside before, so there is nothing yet.
  const auto filled = write_zeros(fd, std::max(from, used), to);
  return filled ? 0 : filled.error().native;
#endif
}

}  // namespace

Result<void> MappedSpace::extend(std::uint64_t used_bytes, std::uint64_t bytes) {
  if (covers(bytes)) return {};
  const std::uint64_t step = std::clamp(bytes / 8, kLeastStepBytes, kMostStepBytes);
  int rc = try_to_reserve(fd_, reserved_bytes_, used_bytes, bytes + step);
  if (rc == 0) {
    reserved_bytes_ = bytes + step;
    return {};
  }
  // Near the end of the disk: what is needed and no step.
  give_back(bytes, bytes + step);
  rc = try_to_reserve(fd_, reserved_bytes_, used_bytes, bytes);
  if (rc != 0) {
    // What was found before the disk was full must not stay taken; what holds data must.
    const std::uint64_t kept = std::max(reserved_bytes_, used_bytes);
    if (kept < bytes) give_back(kept, bytes);
    return from_errno(rc, "reserve blocks");
  }
  reserved_bytes_ = bytes;
  return {};
}

bool MappedSpace::give_back(std::uint64_t from, std::uint64_t to) noexcept {
#ifdef __linux__
  // Where holes cannot be punched the blocks stay, which costs room and nothing else.
  return ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                     static_cast<off_t>(to - from)) == 0;
#else
  (void)from;
  (void)to;
  return false;
#endif
}

void MappedSpace::trim(std::uint64_t used_bytes) noexcept {
  const std::uint64_t keep = used_bytes + kKeepBytes;
  if (reserved_bytes_ > keep && give_back(keep, reserved_bytes_)) reserved_bytes_ = keep;
}

Result<void> MappedSpace::truncate(std::uint64_t used_bytes) noexcept {
  if (::ftruncate(fd_, static_cast<off_t>(used_bytes)) != 0) {
    return from_errno(errno, "truncate data file");
  }
  reserved_bytes_ = std::min(reserved_bytes_, used_bytes);
  return {};
}

}  // namespace hyper_lmdb
