#include "os/file_blocks.h"

#include <fcntl.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "os/errors.h"

namespace hyper_lmdb {

Result<void> write_at(int fd, const char* bytes, std::uint64_t count, std::uint64_t at) noexcept {
  while (count > 0) {
    const ssize_t written = ::pwrite(fd, bytes, count, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return from_errno(errno, "write journal");
    if (written == 0) return from_errno(ENOSPC, "write journal");
    bytes += written;
    count -= static_cast<std::uint64_t>(written);
    at += static_cast<std::uint64_t>(written);
  }
  return {};
}

Result<void> write_zeros(int fd, std::uint64_t from, std::uint64_t to) noexcept {
  static constexpr std::array<char, 64 << 10> kZeros{};
  for (std::uint64_t count; from < to; from += count) {
    count = std::min<std::uint64_t>(to - from, kZeros.size());
    if (auto done = write_at(fd, kZeros.data(), count, from); !done) return done;
  }
  return {};
}

bool is_short_of_room(int code) noexcept {
  return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

#ifndef __APPLE__
int reserve_blocks(int fd, std::uint64_t from, std::uint64_t to) noexcept {
  int rc = 0;
  do {
    rc = ::posix_fallocate(fd, static_cast<off_t>(from), static_cast<off_t>(to - from));
  } while (rc == EINTR);
  return rc;
}
#endif

int keep_blocks(int fd, std::uint64_t from, std::uint64_t to) noexcept {
#ifdef __linux__
  int rc = 0;
  do {
    rc = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                     static_cast<off_t>(to - from));
  } while (rc != 0 && errno == EINTR);
  return rc == 0 ? 0 : errno;
#else
  (void)fd, (void)from, (void)to;
  return EOPNOTSUPP;
#endif
}

Result<void> allocate(int fd, std::uint64_t from, std::uint64_t to) noexcept {
#ifndef __APPLE__
  const int rc = reserve_blocks(fd, from, to);
  if (rc == 0) return {};
  if (is_short_of_room(rc)) return from_errno(rc, "reserve blocks");
#endif
  return write_zeros(fd, from, to);
}

Result<void> write_over_itself(int fd) {
  std::vector<char> bytes(1 << 20);
  for (std::uint64_t at = 0;;) {
    const ssize_t count = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return from_errno(errno, "read file");
    if (count == 0) return {};
    const auto size = static_cast<std::uint64_t>(count);
    if (auto done = write_at(fd, bytes.data(), size, at); !done) return done;
    at += size;
  }
}

bool keeps_blocks(int fd) noexcept {
#ifdef __linux__
  struct statfs info;
  if (::fstatfs(fd, &info) != 0) return false;
  switch (static_cast<unsigned long>(info.f_type)) {
    case 0xEF53:      // ext2, ext3, ext4
    case 0x58465342:  // XFS
    case 0x01021994:  // tmpfs
      return true;
    default:
      return false;
  }
#else
  (void)fd;
  return false;
#endif
}

void keep_in_place([[maybe_unused]] int fd) noexcept {
#ifdef __linux__
  int flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return;
  flags |= FS_NOCOW_FL;
  (void)::ioctl(fd, FS_IOC_SETFLAGS, &flags);  // is_copied_on_write says what came of it
#endif
}

bool is_copied_on_write([[maybe_unused]] int fd) noexcept {
#ifdef __linux__
  struct statfs info;
  if (::fstatfs(fd, &info) != 0) return false;
  int flags = 0;
  switch (static_cast<unsigned long>(info.f_type)) {
    case 0x9123683E:  // btrfs
    case 0xCA451A4E:  // bcachefs
      return ::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_NOCOW_FL) == 0;
    case 0x2FC12FC1:  // ZFS
    case 0x3434:      // NILFS
      return true;
    default:
      return false;
  }
#else
  return false;
#endif
}

int sync_data(int fd) noexcept {
#ifdef __APPLE__
  return ::fcntl(fd, F_FULLFSYNC);
#else
  return ::fdatasync(fd);
#endif
}

#ifdef __linux__
namespace {

/// What a sandbox may answer that refuses sync_file_range. Another number is a failure of the disk,
/// which a second flush would not tell again.
bool no_such_call(int error) noexcept {
  return error == ENOSYS || error == EPERM || error == EINVAL || error == EOPNOTSUPP ||
         error == ESPIPE;
}

int sync_range(int fd, std::uint64_t from, std::uint64_t to, unsigned flags) noexcept {
  return ::sync_file_range(fd, static_cast<off_t>(from), static_cast<off_t>(to - from), flags);
}

}  // namespace
#endif

int begin_write_out(int fd, std::uint64_t from, std::uint64_t to) noexcept {
#ifdef __linux__
  if (sync_range(fd, from, to, SYNC_FILE_RANGE_WRITE) != 0 && !no_such_call(errno)) return -1;
#else
  (void)fd, (void)from, (void)to;
#endif
  return 0;
}

int write_out(int fd, std::uint64_t from, std::uint64_t to) noexcept {
#ifdef __linux__
  constexpr unsigned kFlags =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  if (sync_range(fd, from, to, kFlags) == 0) return 0;
  return no_such_call(errno) ? sync_data(fd) : -1;
#else
  (void)fd, (void)from, (void)to;
  return 0;
#endif
}

}  // namespace hyper_lmdb
