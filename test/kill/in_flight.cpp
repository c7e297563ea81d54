// Preloaded into the VM that is killed: the file HYPER_LMDB_IN_FLIGHT says at any moment which
// flushes of a journal or a map are under way, and whether a buffer is on its way into LMDB: since
// the first of its pages was written, until the meta page was. After a kill it says what was cut
// off.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

/// The file.
struct InFlight {
  std::atomic<std::uint32_t> flushes;
  std::atomic<std::uint32_t> applies;
};

enum class Kind : std::uint8_t { other, journal, data, data_meta };
std::array<std::atomic<Kind>, 4096> kinds;
InFlight nowhere;

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

InFlight& in_flight() {
  static InFlight* const at = [] {
    const char* const path = std::getenv("HYPER_LMDB_IN_FLIGHT");
    if (path == nullptr) return &nowhere;
    static const auto next = real<int (*)(const char*, int, ...)>("open");
    const int fd = next(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ::ftruncate(fd, sizeof(InFlight)) != 0) std::abort();
    void* const map = ::mmap(nullptr, sizeof(InFlight), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) std::abort();
    return static_cast<InFlight*>(map);
  }();
  return *at;
}

Kind kind_of(int fd) {
  if (fd < 0 || static_cast<std::size_t>(fd) >= kinds.size()) return Kind::other;
  return kinds[static_cast<std::size_t>(fd)];
}

Kind kind_of(std::string_view path, int flags) {
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  if (name.starts_with("journal-")) return Kind::journal;
  if (name != "data.mdb") return Kind::other;
  return (flags & O_DSYNC) != 0 ? Kind::data_meta : Kind::data;
}

bool is_applier() {
  thread_local const bool is = [] {
    char name[16] = "";
    return ::pthread_getname_np(::pthread_self(), name, sizeof name) == 0 &&
           std::string_view(name) == "hyper_lmdb_ap";
  }();
  return is;
}

template <typename Call>
auto write_to(int fd, Call call) {
  const Kind kind = kind_of(fd);
  if ((kind != Kind::data && kind != Kind::data_meta) || !is_applier()) return call();
  in_flight().applies = 1;
  const auto done = call();
  if (kind == Kind::data_meta) in_flight().applies = 0;
  return done;
}

template <typename Call>
auto flush(bool counts, Call call) {
  if (!counts) return call();
  ++in_flight().flushes;
  const auto done = call();
  --in_flight().flushes;
  return done;
}

}  // namespace

EXPORTED int open(const char* path, int flags, ...) {
  static const auto next = real<int (*)(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  const int fd = next(path, flags, mode);
  if (fd >= 0 && static_cast<std::size_t>(fd) < kinds.size()) {
    kinds[static_cast<std::size_t>(fd)] = kind_of(path, flags);
  }
  return fd;
}

EXPORTED ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return write_to(fd, [&] { return next(fd, bytes, count, offset); });
}

EXPORTED ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int)>("writev");
  return write_to(fd, [&] { return next(fd, parts, count); });
}

EXPORTED ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  return write_to(fd, [&] { return next(fd, parts, count, offset); });
}

EXPORTED int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return flush(kind_of(fd) == Kind::journal, [&] { return next(fd); });
}

EXPORTED int msync(void* address, size_t length, int flags) {
  static const auto next = real<int (*)(void*, size_t, int)>("msync");
  return flush((flags & MS_SYNC) != 0, [&] { return next(address, length, flags); });
}
