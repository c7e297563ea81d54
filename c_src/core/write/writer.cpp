#include "write/writer.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "os/errors.h"
#include "os/posix.h"

namespace hyper_lmdb {

namespace {

// Past these a write is no longer short, and a scheduler should not run it.
constexpr std::size_t kMostInlineOps = 100;
constexpr std::uint64_t kMostInlineBytes = 64 << 10;
// For the lock, which is mostly held for one write or for a group of small ones. A write that is
// queued costs more than that: a wake-up of the writer thread, a message to the caller, and all who
// come before the thread has its lock are queued as well.
constexpr auto kSpin = std::chrono::microseconds(20);
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

}  // namespace

Writer::Writer(MDB_env* env, RequestQueue* queue, WriteEngine* engine, std::mutex* write_mutex,
               std::atomic<bool>* failed, Snapshots* snapshots) noexcept
    : env_(env),
      queue_(queue),
      engine_(engine),
      write_mutex_(*write_mutex),
      failed_(failed),
      snapshots_(snapshots) {}

std::chrono::milliseconds Writer::longest_sleep() const noexcept {
  const auto engine_due = engine_->until_maintenance();
  if (snapshots_ == nullptr) return engine_due;
  return std::min(engine_due, std::chrono::milliseconds(snapshots_->due_in_ms()));
}

Result<void> Writer::start(const ThreadApi& threads) {
  if (const int rc = threads.start("hyper_lmdb_wr", &Writer::run, this, &thread_); rc != 0) {
    return from_thread_start(rc);
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
  while (queue_->take(&group, longest_sleep())) {
    if (group.first != nullptr) serve(group);
    engine_->maintain();
    if (snapshots_ != nullptr) snapshots_->enforce();
    if (const auto now = std::chrono::steady_clock::now();
        now - last_check >= kBetweenReaderChecks) {
      check_readers();
      last_check = now;
    }
  }
}

void Writer::check_readers() noexcept {
  int cleared = 0;
  (void)mdb_reader_check(env_, &cleared);  // what it cannot free now it will next time
}

void Writer::serve(Group group) {
  for (Request* r = group.first; r != nullptr; r = r->next) r->outcome = {};
  {
    const std::lock_guard lock(write_mutex_);
    queue_->started(group);
    engine_->write_group(group.first, group.requests);
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

bool Writer::lock_soon(std::unique_lock<std::mutex>& lock) const noexcept {
  if (lock.try_lock()) return true;
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) pause_briefly();
    if (lock.try_lock()) return true;
  } while (!queue_->busy() && std::chrono::steady_clock::now() < deadline);
  return false;
}

bool Writer::would_wait(std::span<const Op> ops) const noexcept {
  return !is_short(ops) || queue_->busy() || engine_->may_wait();
}

std::optional<Result<void>> Writer::try_write(std::span<const Op> ops) try {
  if (would_wait(ops)) return std::nullopt;
  std::unique_lock lock(write_mutex_, std::defer_lock);
  if (!lock_soon(lock)) return std::nullopt;
  // Again under the lock: who came first is served first.
  if (stopped_ || would_wait(ops)) return std::nullopt;
  if (failed_->load(std::memory_order_acquire)) {
    return Error{.code = Code::env_failed, .operation = "write"};
  }
  auto done = engine_->try_write(ops);
  if (done && *done) writes_inline_.fetch_add(1, std::memory_order_relaxed);
  lock.unlock();
  if (engine_->wants_maintenance()) queue_->nudge();
  return done;
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "write"};
}

Writer::Counts Writer::counts() const noexcept {
  return {.writes_inline = writes_inline_.load(std::memory_order_relaxed),
          .groups = groups_.load(std::memory_order_relaxed),
          .grouped_writes = grouped_writes_.load(std::memory_order_relaxed)};
}

}  // namespace hyper_lmdb
