// Memory for one value at a time.
#pragma once

#include <cstddef>
#include <memory>

namespace hyper_lmdb {

/// Takes what its thread keeps, where nobody on the thread has it, and leaves the thread a little.
/// Thread-safety: none; made, used and destroyed on one thread.
class Scratch {
 public:
  Scratch() noexcept = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  /// Room for `bytes`; what was there before is lost. Throws std::bad_alloc.
  char* room(std::size_t bytes);

  static constexpr std::size_t kKeptBytes = 64 << 10;  // for each thread

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace hyper_lmdb
