#include "support/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <climits>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace hyper_lmdb::test::faults {

namespace {

// Longer than `wait_for_held` and Gate wait: those tell what went wrong.
constexpr std::chrono::minutes kLongestHold{2};

std::atomic<bool> armed{false};
std::atomic<std::uint32_t> held{0};
std::atomic<std::uint32_t> noted{0};

thread_local std::function<void()> before_renewal, after_renewal;

struct State {
  std::mutex mutex;
  Plan plan;
  std::uint64_t counted = 0;
  bool failed = false;
  std::condition_variable changed;
  unsigned waiting = 0;
  std::string held_directory;
  Range last_msync;
  std::string traced_directory;
  std::vector<Call> trace;
};

State& state() {
  static State* const all = new State;  // never destroyed: calls come until the very end
  return *all;
}

std::string path_of(int fd) {
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char target[PATH_MAX];
  const ssize_t length = ::readlink(link, target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : "";
}

bool is_below(int fd, const std::string& directory) {
  return path_of(fd).starts_with(directory);
}

/// The file that is mapped there.
std::string path_of(const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &from, &to) != 2) continue;
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    const auto path = line.find('/');
    if (from <= at && at < to && path != std::string::npos) return line.substr(path);
  }
  return "";
}

template <typename Place>
void note(std::uint32_t call, Place place, off_t offset = 0) {
  if ((noted.load(std::memory_order_acquire) & call) == 0) return;
  const std::string path = path_of(place);
  State& all = state();
  const std::lock_guard lock(all.mutex);
  const std::string& directory = all.traced_directory;
  if (path == directory) all.trace.push_back({call, "", offset});
  if (!path.starts_with(directory + '/')) return;
  all.trace.push_back({call, path.substr(directory.size() + 1), offset});
}

enum class Verdict { pass, fail, cut_short };

/// Counts the call and says what becomes of it; sets errno for a failure.
Verdict judge(std::uint32_t call, int fd) {
  if (!armed.load(std::memory_order_acquire)) return Verdict::pass;
  State& all = state();
  const std::lock_guard lock(all.mutex);
  const Plan& plan = all.plan;
  if ((plan.calls & call) == 0 || (fd >= 0 && !is_below(fd, plan.directory))) return Verdict::pass;
  ++all.counted;
  if (plan.fail_at == 0 || all.counted < plan.fail_at) return Verdict::pass;
  if (all.counted > plan.fail_at && !plan.for_ever) return Verdict::pass;
  all.failed = true;
  errno = plan.error != 0 ? plan.error : EIO;
  return plan.error == 0 && (call & kAnyWrite) != 0 ? Verdict::cut_short : Verdict::fail;
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

void wait_if_held(std::uint32_t call, int fd = -1) {
  const auto let_go = [&] { return (held.load(std::memory_order_acquire) & call) == 0; };
  if (let_go()) return;
  State& all = state();
  std::unique_lock lock(all.mutex);
  if (fd >= 0 && !is_below(fd, all.held_directory)) return;
  ++all.waiting;
  all.changed.notify_all();
  all.changed.wait_for(lock, kLongestHold, let_go);
  --all.waiting;
}

/// The same buffers without the last byte.
std::vector<iovec> without_last_byte(const iovec* parts, int count) {
  std::vector<iovec> shorter(parts, parts + count);
  while (!shorter.empty() && shorter.back().iov_len == 0) shorter.pop_back();
  if (!shorter.empty()) --shorter.back().iov_len;
  return shorter;
}

}  // namespace

void arm(const Plan& plan) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  all.plan = plan;
  all.counted = 0;
  all.failed = false;
  armed.store(true, std::memory_order_release);
}

std::uint64_t disarm() {
  armed.store(false, std::memory_order_release);
  const std::lock_guard lock(state().mutex);
  return state().counted;
}

bool has_failed() {
  const std::lock_guard lock(state().mutex);
  return state().failed;
}

void hold(std::uint32_t calls, const std::string& directory) {
  const std::lock_guard lock(state().mutex);
  state().held_directory = directory;
  held.store(calls, std::memory_order_release);
}

void release_held() {
  const std::lock_guard lock(state().mutex);
  held.store(0, std::memory_order_release);
  state().changed.notify_all();
}

void wait_for_held() {
  std::unique_lock lock(state().mutex);
  const auto waits = [] { return state().waiting != 0; };
  if (!state().changed.wait_for(lock, std::chrono::seconds(60), waits)) {
    held.store(0, std::memory_order_release);  // whatever comes now need not wait for more
    state().changed.notify_all();
    throw std::runtime_error("no call was held up for a minute");
  }
}

void around_next_renewal(std::function<void()> before, std::function<void()> after) {
  before_renewal = std::move(before);
  after_renewal = std::move(after);
}

Range last_msync() {
  const std::lock_guard lock(state().mutex);
  return state().last_msync;
}

void trace(const std::string& directory, std::uint32_t calls) {
  const std::lock_guard lock(state().mutex);
  state().traced_directory = directory;
  state().trace.clear();
  noted.store(calls, std::memory_order_release);
}

std::vector<Call> traced() {
  noted.store(0, std::memory_order_release);
  const std::lock_guard lock(state().mutex);
  return std::exchange(state().trace, {});
}

}  // namespace hyper_lmdb::test::faults

using namespace hyper_lmdb::test::faults;
#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED ssize_t write(int fd, const void* bytes, size_t count) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  if (fd > STDERR_FILENO) wait_if_held(kWrite, fd);
  const Verdict verdict = judge(kWrite, fd);
  if (verdict == Verdict::fail) return -1;
  return next(fd, bytes, verdict == Verdict::cut_short && count > 0 ? count - 1 : count);
}

EXPORTED ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  wait_if_held(kPwrite, fd);
  note(kPwrite, fd, offset);
  const Verdict verdict = judge(kPwrite, fd);
  if (verdict == Verdict::fail) return -1;
  return next(fd, bytes, verdict == Verdict::cut_short && count > 0 ? count - 1 : count, offset);
}

EXPORTED int sync_file_range(int fd, off64_t from, off64_t bytes, unsigned flags) {
  static const auto next = real<int (*)(int, off64_t, off64_t, unsigned)>("sync_file_range");
  if (judge(kSyncRange, fd) == Verdict::fail) return -1;
  return next(fd, from, bytes, flags);
}

EXPORTED ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int)>("writev");
  wait_if_held(kWritev, fd);
  const Verdict verdict = judge(kWritev, fd);
  if (verdict == Verdict::fail) return -1;
  if (verdict == Verdict::pass) return next(fd, parts, count);
  const auto shorter = without_last_byte(parts, count);
  return next(fd, shorter.data(), static_cast<int>(shorter.size()));
}

EXPORTED ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  wait_if_held(kWritev, fd);
  note(kWritev, fd, offset);
  const Verdict verdict = judge(kWritev, fd);
  if (verdict == Verdict::fail) return -1;
  if (verdict == Verdict::pass) return next(fd, parts, count, offset);
  const auto shorter = without_last_byte(parts, count);
  return next(fd, shorter.data(), static_cast<int>(shorter.size()), offset);
}

EXPORTED int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  // Not where a writer waits for the segment that is being made: a mark of it is no data.
  if (!path_of(fd).ends_with("/dirty.mark")) wait_if_held(kFdatasync, fd);
  note(kFdatasync, fd);
  return judge(kFdatasync, fd) == Verdict::pass ? next(fd) : -1;
}

EXPORTED int fsync(int fd) {
  static const auto next = real<int (*)(int)>("fsync");
  wait_if_held(kFsync, fd);
  note(kFsync, fd);
  return judge(kFsync, fd) == Verdict::pass ? next(fd) : -1;
}

EXPORTED int msync(void* address, size_t length, int flags) {
  static const auto next = real<int (*)(void*, size_t, int)>("msync");
  wait_if_held(kMsync);
  {
    const std::lock_guard lock(state().mutex);
    state().last_msync = {address, length};
  }
  note(kMsync, static_cast<const void*>(address));
  return judge(kMsync, -1) == Verdict::pass ? next(address, length, flags) : -1;
}

EXPORTED int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  static const auto next = real<int (*)(pthread_mutex_t*)>("pthread_mutex_trylock");
  wait_if_held(kTryLock);
  return next(mutex);
}

EXPORTED int mdb_txn_renew(MDB_txn* txn) {
  static const auto next = real<int (*)(MDB_txn*)>("mdb_txn_renew");
  // Either may renew transactions itself.
  const auto before = std::exchange(before_renewal, nullptr);
  const auto after = std::exchange(after_renewal, nullptr);
  if (before) before();
  const int rc = next(txn);
  if (after) after();
  return rc;
}

EXPORTED int mdb_cursor_put(MDB_cursor* cursor, MDB_val* key, MDB_val* value, unsigned flags) {
  static const auto next =
      real<int (*)(MDB_cursor*, MDB_val*, MDB_val*, unsigned)>("mdb_cursor_put");
  return judge(kCursorPut, -1) == Verdict::pass ? next(cursor, key, value, flags) : errno;
}

EXPORTED int posix_fallocate(int fd, off_t offset, off_t length) {
  static const auto next = real<int (*)(int, off_t, off_t)>("posix_fallocate");
  note(kFallocate, fd);
  return judge(kFallocate, fd) == Verdict::pass ? next(fd, offset, length) : errno;
}

EXPORTED int fallocate(int fd, int mode, off_t offset, off_t length) {
  static const auto next = real<int (*)(int, int, off_t, off_t)>("fallocate");
  return judge(kFallocate, fd) == Verdict::pass ? next(fd, mode, offset, length) : -1;
}

EXPORTED int ftruncate(int fd, off_t length) noexcept {
  static const auto next = real<int (*)(int, off_t)>("ftruncate");
  return judge(kFtruncate, fd) == Verdict::pass ? next(fd, length) : -1;
}

EXPORTED int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept {
  static const auto next = real<int (*)(int, const char*, int, const char*)>("renameat");
  return judge(kRename, from_fd) == Verdict::pass ? next(from_fd, from, to_fd, to) : -1;
}

EXPORTED int rename(const char* from, const char* to) noexcept {
  static const auto next = real<int (*)(const char*, const char*)>("rename");
  return judge(kRename, -1) == Verdict::pass ? next(from, to) : -1;
}
