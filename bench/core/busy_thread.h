// A thread that keeps a core busy for a part of the time.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace hyper_lmdb::bench {

class BusyThread {
 public:
  /// `share` from 0 to 1, of every 10 ms.
  explicit BusyThread(double share) : thread_([this, share] { run(share); }) {}
  ~BusyThread() {
    stopping_ = true;
    thread_.join();
  }
  BusyThread(const BusyThread&) = delete;
  BusyThread& operator=(const BusyThread&) = delete;

 private:
  void run(double share) {
    constexpr std::chrono::microseconds kPeriod{10'000};
    const auto work = std::chrono::duration_cast<std::chrono::microseconds>(kPeriod * share);
    while (!stopping_) {
      const auto start = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() < start + work) {
      }
      if (share < 1) std::this_thread::sleep_until(start + kPeriod);
    }
  }

  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace hyper_lmdb::bench
