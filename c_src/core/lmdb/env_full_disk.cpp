// A disk that is full: the part of Env that recognises one and gives room back.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lmdb/data_file.h"
#include "lmdb/env.h"

namespace hyper_lmdb {

// LMDB answers EIO for a write that was cut short, which a full disk or a size limit does too.
Error explain_shortage(Error error, int fd) noexcept {
  if (error.code != Code::io_error || error.native != EIO) return error;
  // File systems ask for the room of a large folio at once, up to 2 MiB, and so leave less than
  // that.
  constexpr std::uint64_t kNearlyFullBytes = 4 << 20;
  struct statvfs disk;
  if (::fstatvfs(fd, &disk) == 0 && disk.f_bavail * disk.f_frsize < kNearlyFullBytes) {
    error.code = Code::disk_full;
    return error;
  }
  struct rlimit limit;
  struct stat found;
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      ::fstat(fd, &found) == 0 &&
      static_cast<std::uint64_t>(found.st_size) + kNearlyFullBytes > limit.rlim_cur) {
    error.code = Code::file_too_large;
  }
  return error;
}

Error Env::explain(Error error) const {
  return explain_shortage(error, data_file_.get());
}

void Env::cut_tail(Code why) const noexcept {
  const bool no_room =
      why == Code::disk_full || why == Code::quota_exceeded || why == Code::file_too_large;
  if (!no_room || mapped_writes_) return;
  MDB_envinfo info;
  struct stat file;
  if (mdb_env_info(env_, &info) != 0 || ::fstat(data_file_.get(), &file) != 0) return;
  const std::uint64_t used_bytes = (info.me_last_pgno + 1) * page_bytes_;
  // To cut the file shorter would give up the blocks that are kept behind its last page too.
  const std::uint64_t end = std::max(used_bytes, disk_room_.kept_until());
  if (static_cast<std::uint64_t>(file.st_size) <= end) return;
  // Where it fails the blocks stay taken, which the next transaction uses.
  [[maybe_unused]] const int rc = ::ftruncate(data_file_.get(), static_cast<off_t>(end));
}

void Env::look_at_disk() noexcept {
  MDB_envinfo info;
  if (mapped_writes_ || read_only_ || mdb_env_info(env_, &info) != 0) return;
  disk_room_.look((info.me_last_pgno + 1) * page_bytes_);
}

}  // namespace hyper_lmdb
