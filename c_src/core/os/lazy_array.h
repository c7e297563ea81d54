// An array that takes no memory before it is used.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>

namespace hyper_lmdb {

/// Zeroed atomic numbers. Thread-safety: may be called from any thread.
template <typename Number, std::size_t kSize>
class LazyArray {
 public:
  using Array = std::atomic<Number>*;

  /// Null until somebody made it.
  Array get() const noexcept { return ready_.load(std::memory_order_acquire); }

  /// Throws std::bad_alloc.
  Array make() {
    if (const Array ready = get()) return ready;
    const std::lock_guard lock(mutex_);
    if (made_ == nullptr) made_.reset(new std::atomic<Number>[kSize]());
    ready_.store(made_.get(), std::memory_order_release);
    return made_.get();
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<std::atomic<Number>[]> made_;
  std::atomic<Array> ready_{nullptr};
};

}  // namespace hyper_lmdb
