// Memory of the write buffers that have gone, for those to come: a fresh huge page has to be
// cleared, which takes longer than what a buffer writes into it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "os/pages.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread; none waits for memory to be cleared
/// with the lock held.
class ChunkPool {
 public:
  static constexpr std::size_t kChunkBytes = Pages::kHugeBytes;

  /// Keeps no more than `most_bytes`.
  explicit ChunkPool(std::uint64_t most_bytes) noexcept : most_chunks_(most_bytes / kChunkBytes) {}
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool() { rest(); }

  /// One of kChunkBytes, with anything in it. Throws std::bad_alloc.
  Pages take();
  /// Takes it back, or lets go of it where there are enough, or nobody has taken one since `rest`.
  void give(Pages chunk) noexcept;
  bool empty() const noexcept { return spare_.load(std::memory_order_relaxed) == 0; }
  /// One more that costs nothing when it is touched first. Takes its time. Throws std::bad_alloc.
  void add();
  /// Lets go of all of them: for a store at rest.
  void rest() noexcept;

 private:
  const std::size_t most_chunks_;
  std::mutex mutex_;
  std::vector<Pages> chunks_;  // guarded by mutex_, and so is what follows
  bool resting_ = true;
  std::atomic<std::size_t> spare_{0};  // of chunks_; changed with mutex_ held
};

}  // namespace hyper_lmdb
