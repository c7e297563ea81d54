// Preloaded into a program that uses a store: stands before the calls that change files and logs
// what they did below POWER_CUT_DIRECTORY. See README.md.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <mutex>
#include <string>
#include <string_view>

#include "recording.h"

using hyper_lmdb::power::Recording;

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

/// The recording and its lock, where there is one.
struct Locked {
  Recording* recording = Recording::get();
  std::unique_lock<std::mutex> lock;
  Locked() {
    if (recording != nullptr) lock = std::unique_lock(recording->mutex);
  }
  Recording* operator->() const { return recording; }
  /// Whether the descriptor is of the directory; then the maps are looked at first, so that what
  /// was stored before the call stands before it in the log. A call that does not concern it is
  /// nobody's business, and may wait as long as it likes.
  bool concerns(int fd) {
    if (recording == nullptr) return false;
    if (recording->is_open(fd)) {
      recording->look_at_maps();
      return true;
    }
    lock.unlock();
    return false;
  }
};

int open_at(int directory_fd, const char* path, int flags, mode_t mode) {
  static const auto next = real<int (*)(int, const char*, int, ...)>("openat");
  const Locked at;
  if (at.recording == nullptr) return next(directory_fd, path, flags, mode);
  const std::string whole = at->path_of(directory_fd, path);
  at->opens(whole);
  const int fd = next(directory_fd, path, flags, mode);
  if (fd >= 0) at->opened(fd, whole, flags);
  return fd;
}

mode_t mode_in(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

EXPORTED int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}

EXPORTED int openat(int directory_fd, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_at(directory_fd, path, flags, mode);
}

EXPORTED int close(int fd) {
  static const auto next = real<int (*)(int)>("close");
  const Locked at;
  if (at.recording != nullptr) at->closed(fd);
  return next(fd);
}

EXPORTED int rename(const char* from, const char* to) noexcept {
  static const auto next = real<int (*)(const char*, const char*)>("rename");
  const Locked at;
  const int rc = next(from, to);
  if (rc == 0 && at.recording != nullptr) at->renamed(from, to);
  return rc;
}

EXPORTED int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept {
  static const auto next = real<int (*)(int, const char*, int, const char*)>("renameat");
  const Locked at;
  const int rc = next(from_fd, from, to_fd, to);
  if (rc == 0 && at.recording != nullptr) {
    at->renamed(at->path_of(from_fd, from), at->path_of(to_fd, to));
  }
  return rc;
}

EXPORTED int unlink(const char* path) noexcept {
  static const auto next = real<int (*)(const char*)>("unlink");
  const Locked at;
  const int rc = next(path);
  if (rc == 0 && at.recording != nullptr) at->unlinked(path);
  return rc;
}

EXPORTED int unlinkat(int directory_fd, const char* path, int flags) noexcept {
  static const auto next = real<int (*)(int, const char*, int)>("unlinkat");
  const Locked at;
  const int rc = next(directory_fd, path, flags);
  if (rc == 0 && at.recording != nullptr) at->unlinked(at->path_of(directory_fd, path));
  return rc;
}

EXPORTED ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  Locked at;
  const bool concerned = at.concerns(fd);
  const ssize_t done = next(fd, bytes, count, offset);
  if (concerned && done > 0) {
    at->written(fd, static_cast<const char*>(bytes), static_cast<std::uint64_t>(done),
                static_cast<std::uint64_t>(offset));
  }
  return done;
}

EXPORTED ssize_t write(int fd, const void* bytes, size_t count) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  Locked at;
  if (at.recording != nullptr && at->takes_marks(fd)) {
    return at->said({static_cast<const char*>(bytes), count});
  }
  const bool concerned = at.concerns(fd);
  const off_t place = concerned ? ::lseek(fd, 0, SEEK_CUR) : 0;
  const ssize_t done = next(fd, bytes, count);
  if (concerned && done > 0) {
    at->written(fd, static_cast<const char*>(bytes), static_cast<std::uint64_t>(done),
                static_cast<std::uint64_t>(place));
  }
  return done;
}

namespace {

void written_parts(const Locked& at, int fd, const iovec* parts, ssize_t done, off_t place) {
  for (; done > 0; ++parts) {
    const auto count = std::min(static_cast<std::size_t>(done), parts->iov_len);
    if (count > 0) {
      at->written(fd, static_cast<const char*>(parts->iov_base), count,
                  static_cast<std::uint64_t>(place));
    }
    place += static_cast<off_t>(count);
    done -= static_cast<ssize_t>(count);
  }
}

}  // namespace

EXPORTED ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int)>("writev");
  Locked at;
  if (at.recording != nullptr && at->takes_marks(fd)) {
    std::string all;
    for (int i = 0; i < count; ++i) {
      all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    }
    return at->said(all);
  }
  const bool concerned = at.concerns(fd);
  const off_t place = concerned ? ::lseek(fd, 0, SEEK_CUR) : 0;
  const ssize_t done = next(fd, parts, count);
  if (concerned) written_parts(at, fd, parts, done, place);
  return done;
}

EXPORTED ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  Locked at;
  const bool concerned = at.concerns(fd);
  const ssize_t done = next(fd, parts, count, offset);
  if (concerned) written_parts(at, fd, parts, done, offset);
  return done;
}

EXPORTED int fsync(int fd) {
  static const auto next = real<int (*)(int)>("fsync");
  Locked at;
  const bool concerned = at.concerns(fd);
  const int rc = next(fd);
  if (concerned && rc == 0) at->flushed(fd, false);
  return rc;
}

EXPORTED int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  Locked at;
  const bool concerned = at.concerns(fd);
  const int rc = next(fd);
  if (concerned && rc == 0) at->flushed(fd, true);
  return rc;
}

EXPORTED int posix_fallocate(int fd, off_t offset, off_t length) {
  static const auto next = real<int (*)(int, off_t, off_t)>("posix_fallocate");
  Locked at;
  const bool concerned = at.concerns(fd);
  const int rc = next(fd, offset, length);
  if (concerned && rc == 0) at->reserved(fd, static_cast<std::uint64_t>(offset + length));
  return rc;
}

EXPORTED int fallocate(int fd, int mode, off_t offset, off_t length) {
  static const auto next = real<int (*)(int, int, off_t, off_t)>("fallocate");
  Locked at;
  const bool concerned = at.concerns(fd);
  const int rc = next(fd, mode, offset, length);
  if (!concerned || rc != 0) return rc;
  if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
    at->zeroed(fd, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length));
  } else if ((mode & FALLOC_FL_KEEP_SIZE) == 0) {
    at->reserved(fd, static_cast<std::uint64_t>(offset + length));
  }
  return rc;
}

EXPORTED int ftruncate(int fd, off_t length) noexcept {
  static const auto next = real<int (*)(int, off_t)>("ftruncate");
  Locked at;
  const bool concerned = at.concerns(fd);
  const int rc = next(fd, length);
  if (concerned && rc == 0) at->resized(fd, static_cast<std::uint64_t>(length));
  return rc;
}

EXPORTED void* mmap(void* address, size_t length, int protection, int flags, int fd,
                    off_t offset) noexcept {
  static const auto next = real<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
  Locked at;
  void* const map = next(address, length, protection, flags, fd, offset);
  const bool writes = (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0 && fd >= 0;
  if (map != MAP_FAILED && writes && at.concerns(fd)) at->mapped(fd, map, length);
  return map;
}

EXPORTED int munmap(void* address, size_t length) noexcept {
  static const auto next = real<int (*)(void*, size_t)>("munmap");
  const Locked at;
  if (at.recording != nullptr && at->is_mapped(address)) {
    at->look_at_maps();
    at->unmapped(address);
  }
  return next(address, length);
}

EXPORTED int msync(void* address, size_t length, int flags) {
  static const auto next = real<int (*)(void*, size_t, int)>("msync");
  const Locked at;
  if (at.recording != nullptr) at->look_at_maps();
  const int rc = next(address, length, flags);
  if (at.recording != nullptr && rc == 0 && (flags & MS_SYNC) != 0) {
    at->flushed_map(address, length);
  }
  return rc;
}

EXPORTED int getentropy(void* to, size_t count) {
  static const auto next = real<int (*)(void*, size_t)>("getentropy");
  const Locked at;
  if (at.recording == nullptr || !at->has_begun()) return next(to, count);
  at->random_bytes(to, count);
  return 0;
}

/// What the workload says; it finds this by name.
EXPORTED void power_cut_mark(std::uint32_t mark, std::uint32_t writer, std::uint64_t number) {
  const Locked at;
  if (at.recording != nullptr) at->mark(mark, writer, number);
}
