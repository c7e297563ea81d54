// The most memory the process holds beside pages of files, looked at often from a thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

namespace hyper_lmdb::bench {

/// Resident bytes that belong to no file; 0 where the system does not say.
inline std::uint64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    std::uint64_t kilobytes = 0;
    if (word == "RssAnon:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

class MemoryWatch {
 public:
  MemoryWatch() : before_(anonymous_bytes()), most_(before_) {
    thread_ = std::thread([this] {
      while (!stopping_) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        most_ = std::max(most_, anonymous_bytes());
      }
    });
  }
  ~MemoryWatch() { (void)growth(); }
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  /// Ends the watch: how much more there was than at its beginning.
  std::uint64_t growth() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return most_ - before_;
  }

 private:
  std::uint64_t before_;
  std::uint64_t most_;  // of the thread while it runs
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace hyper_lmdb::bench
