#include "writer.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <chrono>
#include <new>

#include "data_file.h"
#include "errors.h"
#include "hyper_lmdb/store.h"
#include "posix.h"
#include "txn.h"

namespace hyper_lmdb {

namespace {

// Past these a write is no longer short, and a scheduler should not run it.
constexpr std::size_t kMostInlineOps = 100;
constexpr std::uint64_t kMostInlineBytes = 64 << 10;
constexpr auto kSpin = std::chrono::microseconds(2);
constexpr auto kBetweenReaderChecks = std::chrono::seconds(60);

void pause_briefly() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

bool is_short(std::span<const Op> ops) noexcept {
  if (ops.size() > kMostInlineOps) return false;
  std::uint64_t bytes = 0;
  for (const Op& op : ops) bytes += op.key.size() + op.value.size();
  return bytes <= kMostInlineBytes;
}

/// Whether the transaction failed for a reason that another one need not share. A commit that
/// failed so was undone without a trace: no room is found before the new root is written, and the
/// pages that were written are in no tree.
bool is_own_fault(const Error& error) noexcept {
  return error.index != 0 || error.code == Code::map_full || error.code == Code::batch_too_large ||
         error.code == Code::no_memory || error.code == Code::disk_full ||
         error.code == Code::quota_exceeded || error.code == Code::file_too_large;
}

}  // namespace

Writer::Writer(Env* env, const Settings& settings, Links* links, RequestQueue* queue,
               Flusher* flusher, std::atomic<bool>* failed)
    : env_(env),
      settings_(settings),
      links_(links),
      queue_(queue),
      flusher_(flusher),
      failed_(failed),
      // Where another process may hold LMDB's lock nobody can tell how long it will.
      inline_allowed_(env->mapped_writes() && !settings.shared) {}

Result<void> Writer::start(const ThreadApi& threads) {
  if (const int rc = threads.start("hyper_lmdb_wr", &Writer::run, this, &thread_); rc != 0) {
    return from_errno(rc, "start thread");
  }
  return {};
}

void Writer::stop(const ThreadApi& threads) {
  if (thread_ != nullptr) threads.join(std::exchange(thread_, nullptr));
  const std::lock_guard lock(write_mutex_);
  stopped_ = true;
}

void* Writer::run(void* self) {
  static_cast<Writer*>(self)->loop();
  return nullptr;
}

void Writer::loop() {
  const FileSizeSignalBlock block;
  Group group;
  auto last_check = std::chrono::steady_clock::now();
  while (queue_->take(&group, kBetweenReaderChecks)) {
    if (group.first != nullptr) serve(group);
    if (const auto now = std::chrono::steady_clock::now();
        now - last_check >= kBetweenReaderChecks) {
      check_readers();
      last_check = now;
    }
  }
}

void Writer::check_readers() noexcept {
  int cleared = 0;
  (void)mdb_reader_check(env_->get(), &cleared);  // what it cannot free now it will next time
}

void Writer::serve(Group group) {
  for (Request* r = group.first; r != nullptr; r = r->next) r->outcome = {};
  {
    const std::lock_guard lock(write_mutex_);
    queue_->started(group);
    Result<void> done = write_together(group.first, nullptr);
    if (!done && is_own_fault(done.error()) && group.requests > 1) {
      // One of them is to blame: each is tried alone.
      for (Request* r = group.first; r != nullptr; r = r->next) {
        r->outcome = {};
        if (auto alone = write_together(r, r->next); !alone) r->outcome = alone;
      }
    } else if (!done) {
      for (Request* r = group.first; r != nullptr; r = r->next) r->outcome = done;
    }
  }
  groups_.fetch_add(1, std::memory_order_relaxed);
  grouped_writes_.fetch_add(group.requests, std::memory_order_relaxed);
  std::uint64_t bytes = 0;
  for (Request* r = group.first; r != nullptr;) {
    Request* const next = r->next;
    bytes += r->bytes;
    const Result<void> outcome = r->outcome;
    r->done(outcome);
    r = next;
  }
  queue_->release(bytes);
}

// Requests from `first` up to `end` in one transaction. A request that fails by itself gets its
// outcome and leaves no trace; an error returned here is one of the transaction.
Result<void> Writer::write_together(Request* first, const Request* end) try {
  if (failed_->load(std::memory_order_acquire)) {
    return Error{.code = Code::env_failed, .operation = "write"};
  }
  Change change(env_, links_, settings_.checksum);
  if (auto begun = change.begin(); !begun) return explain(begun.error());
  std::uint64_t pages = 0;
  if (auto room = make_room(change.shape(), first, end, &pages); !room) {
    return explain(room.error());
  }
  bool changed = false;
  for (Request* r = first; r != end; r = r->next) {
    if (r->kind == Request::Kind::sync) continue;
    // A check that does not hold is the answer even where there would be no room.
    if (auto held = change.evaluate_checks(r->ops); !held) r->outcome = held;
    if (!r->outcome) continue;
    if (auto done = perform(change, *r, &pages); !done) return explain(done.error());
    changed = true;
  }
  if (!changed) return {};
  return commit(change);
} catch (const std::bad_alloc&) {
  // Thrown by our own code, so LMDB's transaction was whole when it was aborted on the way here.
  return Error{.code = Code::no_memory, .operation = "write"};
}

Result<void> Writer::perform(Change& change, Request& request, std::uint64_t* pages) {
  if (request.kind == Request::Kind::reset) return change.drop_all();
  if (request.kind == Request::Kind::remove_prefix) {
    auto removed = change.remove_prefix(request.ops.front().key, kMostRemovedAtOnce);
    if (!removed) return removed.error();
    request.removed = removed.value();
    return {};
  }
  return change.apply(request.ops, [&](std::uint64_t more) -> Result<void> {
    *pages += more;
    return extend_blocks(change.shape(), *pages);
  });
}

// A failure before this point is undone by the abort. One in here may leave pages that the kernel
// calls clean and the disk does not have: nothing is written any more.
Result<void> Writer::commit(Change& change) {
  const auto done = change.commit();
  if (done) {
    if (flusher_ != nullptr) flusher_->mark_dirty();
    return done;
  }
  const Error error = explain(done.error());
  if (!is_own_fault(error)) failed_->store(true, std::memory_order_release);
  return error;
}

// LMDB answers EIO for a write that was cut short, which a full disk or a size limit does too.
Error Writer::explain(Error error) const {
  if (error.code != Code::io_error || error.native != EIO) return error;
  constexpr std::uint64_t kNearlyFullBytes = 1 << 20;
  struct statvfs disk;
  const std::string& path = env_->directory().path();
  if (::statvfs(path.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < kNearlyFullBytes) {
    error.code = Code::disk_full;
    return error;
  }
  struct rlimit limit;
  struct stat file;
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      ::stat(env_->directory().file(kDataFile).c_str(), &file) == 0 &&
      static_cast<std::uint64_t>(file.st_size) + kNearlyFullBytes > limit.rlim_cur) {
    error.code = Code::file_too_large;
  }
  return error;
}

bool Writer::lock_soon(std::unique_lock<std::mutex>& lock) const noexcept {
  if (lock.try_lock()) return true;
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) pause_briefly();
    if (lock.try_lock()) return true;
  } while (!queue_->busy() && std::chrono::steady_clock::now() < deadline);
  return false;
}

std::optional<Result<void>> Writer::try_write(std::span<const Op> ops) try {
  const auto must_wait = [&] { return queue_->busy() || flusher_->flushing(); };
  if (!inline_allowed_ || !is_short(ops) || must_wait()) return std::nullopt;
  std::unique_lock lock(write_mutex_, std::defer_lock);
  if (!lock_soon(lock)) return std::nullopt;
  // Again under the lock: who came first is served first.
  if (stopped_ || must_wait()) return std::nullopt;
  if (failed_->load(std::memory_order_acquire)) {
    return Error{.code = Code::env_failed, .operation = "write"};
  }
  Change change(env_, links_, settings_.checksum);
  if (!change.begin()) return std::nullopt;
  const TreeShape& shape = change.shape();
  Demand demand;
  demand.add(ops, shape.page_bytes);
  const PagesNeeded needed = pages_needed(shape, demand);
  if (shape.end_page + needed.total > env_->capacity() / shape.page_bytes ||
      !env_->reserve().covers(reserve_pages(shape, demand, needed) * shape.page_bytes)) {
    return std::nullopt;
  }
  // From here on the writer thread would fare no better, but it alone tells failures apart.
  if (auto held = change.evaluate_checks(ops); !held) return held;
  const auto no_more_pages = [](std::uint64_t) -> Result<void> {
    return Error{.code = Code::disk_full, .operation = "write"};
  };
  if (!change.apply(ops, no_more_pages)) return std::nullopt;
  if (auto done = commit(change); !done) return done;
  writes_inline_.fetch_add(1, std::memory_order_relaxed);
  return Result<void>();
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "write"};
}

void Writer::trim() noexcept {
  if (settings_.shared) return;  // another process may have taken the blocks into use
  const std::unique_lock lock(write_mutex_, std::try_to_lock);
  if (!lock) return;
  MDB_envinfo info;
  if (mdb_env_info(env_->get(), &info) != 0) return;
  env_->reserve().trim((info.me_last_pgno + 1) * env_->page_bytes());
}

Writer::Counts Writer::counts() const noexcept {
  return {.writes_inline = writes_inline_.load(std::memory_order_relaxed),
          .groups = groups_.load(std::memory_order_relaxed),
          .grouped_writes = grouped_writes_.load(std::memory_order_relaxed)};
}

}  // namespace hyper_lmdb
