// Lets one thread wait for another at a named point, so that no test has to guess how long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

namespace hyper_lmdb::test {

class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  /// Throws where the gate stays shut so long that the other side must have hung.
  void wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return open_; })) {
      throw std::runtime_error("nobody opened the gate for a minute");
    }
  }
  /// Whether it opens within this time: for what must not happen.
  bool opens_within(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return open_; });
  }
  bool is_open() {
    const std::lock_guard lock(mutex_);
    return open_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

/// How long a thread is watched that must not come forward.
inline constexpr std::chrono::milliseconds kWatched{50};

}  // namespace hyper_lmdb::test
