#include "applier.h"

#include <chrono>
#include <new>
#include <utility>

#include "errors.h"
#include "posix.h"

namespace hyper_lmdb {

namespace {

constexpr auto kBetweenTries = std::chrono::seconds(1);
constexpr auto kBetweenLooks = std::chrono::milliseconds(1);

/// Whether what went wrong may be right again later, with nothing lost meanwhile.
bool may_pass(Code code) noexcept {
  return code == Code::disk_full || code == Code::quota_exceeded || code == Code::file_too_large ||
         code == Code::no_memory || code == Code::map_full;
}

}  // namespace

Result<void> Applier::start(const ThreadApi& threads) {
  if (const int rc = threads.start("hyper_lmdb_ap", &Applier::run, this, &thread_); rc != 0) {
    return from_errno(rc, "start thread");
  }
  return {};
}

void Applier::stop(const ThreadApi& threads) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_ != nullptr) threads.join(std::exchange(thread_, nullptr));
}

void Applier::give(std::shared_ptr<const WriteBuffer> buffer, std::uint64_t seq,
                   const RecordCounts& counts) {
  const std::lock_guard lock(mutex_);
  job_.begin(buffer.get(), seq, counts);
  applied_ = false;
  total_.store(buffer->keys(), std::memory_order_relaxed);
  buffer_ = std::move(buffer);
  held_ = static_cast<bool>(hold_over_);
  given_.store(seq, std::memory_order_relaxed);
  idle_.store(false, std::memory_order_release);
  wake_.notify_one();
}

double Applier::progress() const noexcept {
  if (idle()) return 1;
  const std::uint64_t total = total_.load(std::memory_order_relaxed);
  return total == 0 ? 1 : static_cast<double>(job_.done.load(std::memory_order_relaxed)) / total;
}

Result<void> Applier::wait_idle() {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return idle() || !stall_; });
  return idle() ? Result<void>() : stall_;
}

void Applier::hold(std::function<bool()> over) {
  const std::lock_guard lock(mutex_);
  hold_over_ = std::move(over);
}

Result<void> Applier::wait_held() {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return idle() || held_ || !stall_; });
  return idle() || held_ ? Result<void>() : stall_;
}

void Applier::let_go() {
  const std::lock_guard lock(mutex_);
  hold_over_ = nullptr;
  wake_.notify_one();
}

void Applier::try_again() {
  const std::lock_guard lock(mutex_);
  if (idle() || ended_ || stall_) return;
  stall_ = {};
  again_ = true;
  wake_.notify_one();
}

void Applier::wait_past(double fraction) {
  std::unique_lock lock(mutex_);
  // Progress is counted without the lock: looked at again before long.
  while (!idle() && stall_ && progress() <= fraction) finished_.wait_for(lock, kBetweenLooks);
}

void* Applier::run(void* self) {
  static_cast<Applier*>(self)->loop();
  return nullptr;
}

/// Everything of the buffer is in the journal on disk before the first transaction begins.
Result<void> Applier::do_job() noexcept try {
  if (!applied_) {
    if (auto flushed = log_->flush(); !flushed) return flushed;
    if (auto applied = apply_buffer(env_, &job_); !applied) return applied;
    applied_ = true;
  }
  if (buffers_->frozen() != nullptr) buffers_->drop_frozen();
  if (auto dropped = log_->drop_frozen(); !dropped) return dropped;
  // From here on only snapshots keep the buffer.
  if (snapshots_ != nullptr) snapshots_->enforce();
  buffers_->collect([&](const Buffers::State* state) { return pool_->pins(state); });
  return {};
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "apply"};
}

void Applier::loop() {
  const FileSizeSignalBlock block;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || !idle(); });
    if (idle()) return;
    while (held_) {
      if (!hold_over_ || hold_over_()) {
        hold_over_ = nullptr;
        held_ = false;
      } else {
        wake_.wait_for(lock, kBetweenLooks);
      }
    }
    lock.unlock();
    const Result<void> done = do_job();
    lock.lock();
    stall_ = done;
    stalled_.store(!done, std::memory_order_release);
    if (done) {
      buffer_.reset();
      count_.fetch_add(1, std::memory_order_relaxed);
      idle_.store(true, std::memory_order_release);
      finished_.notify_all();
      continue;
    }
    finished_.notify_all();
    if (!may_pass(done.error().code)) {
      failed_->store(true, std::memory_order_release);
      ended_ = true;
      return;
    }
    // Buffers and journal stay, and stay readable.
    wake_.wait_for(lock, kBetweenTries, [&] { return stopping_ || again_; });
    if (stopping_) return;
    again_ = false;
  }
}

}  // namespace hyper_lmdb
