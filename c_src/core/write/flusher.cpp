#include "write/flusher.h"

#include <utility>

#include "os/errors.h"

namespace hyper_lmdb {

Flusher::Flusher(std::function<Result<void>()> flush_all, std::chrono::milliseconds interval,
                 std::atomic<bool>* failed, std::function<void()> at_rest)
    : flush_all_(std::move(flush_all)),
      interval_(interval),
      failed_(failed),
      at_rest_(std::move(at_rest)) {}

Result<void> Flusher::start(const ThreadApi& threads) {
  if (const int rc = threads.start("hyper_lmdb_sync", &Flusher::run, this, &thread_); rc != 0) {
    return from_thread_start(rc);
  }
  return {};
}

void Flusher::stop(const ThreadApi& threads) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_ != nullptr) threads.join(std::exchange(thread_, nullptr));
}

Result<void> Flusher::request(Request* request) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Error{.code = Code::closed, .operation = "sync"};
  request->next = waiters_;
  waiters_ = request;
  wake_.notify_one();
  return {};
}

void Flusher::wake() noexcept {
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void* Flusher::run(void* self) {
  static_cast<Flusher*>(self)->loop();
  return nullptr;
}

Result<void> Flusher::flush() noexcept {
  if (broken_) return Error{.code = Code::env_failed, .operation = "sync"};
  flushing_.store(true, std::memory_order_release);
  dirty_.exchange(false, std::memory_order_acq_rel);
  const Result<void> done = flush_all_();
  flushing_.store(false, std::memory_order_release);
  // Nothing is wrong with what was written, but for its name.
  if (!done && done.error().code == Code::no_such_directory) return done;
  if (!done) {
    // The kernel has marked the lost pages clean: a later flush would succeed and mean nothing.
    failed_->store(true, std::memory_order_release);
    broken_ = true;
    Error error = done.error();
    if (error.code != Code::env_failed) error.code = Code::io_error;
    return error;
  }
  flushes_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Flusher::loop() {
  const auto dirty = [&] { return dirty_.load(std::memory_order_acquire); };
  bool told_at_rest = true;
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto urgent = [&] { return stopping_ || waiters_ != nullptr; };
    if (told_at_rest) {
      wake_.wait(lock, [&] { return urgent() || dirty(); });
    }
    wake_.wait_for(lock, interval_, urgent);
    Request* waiters = std::exchange(waiters_, nullptr);
    if (stopping_ && waiters == nullptr) return;  // what is dirty is flushed by the close
    const bool had_work = dirty() || waiters != nullptr;
    lock.unlock();
    if (had_work) {
      const Result<void> result = flush();
      while (waiters != nullptr) std::exchange(waiters, waiters->next)->done(result);
      told_at_rest = false;
    } else {
      at_rest_();
      told_at_rest = true;
    }
    lock.lock();
  }
}

}  // namespace hyper_lmdb
