#include "os/chunk_pool.h"

#include <new>
#include <utility>

namespace hyper_lmdb {

namespace {

Pages new_chunk() {
  Pages made(ChunkPool::kChunkBytes);
  made.prefer_huge();
  return made;
}

}  // namespace

Pages ChunkPool::take() {
  {
    const std::lock_guard lock(mutex_);
    resting_ = false;
    if (!chunks_.empty()) {
      Pages chunk = std::move(chunks_.back());
      chunks_.pop_back();
      spare_.store(chunks_.size(), std::memory_order_relaxed);
      chunk.guard(false);
      return chunk;
    }
  }
  return new_chunk();
}

void ChunkPool::give(Pages chunk) noexcept try {
  const std::lock_guard lock(mutex_);
  if (resting_ || chunks_.size() >= most_chunks_) return;
  chunks_.push_back(std::move(chunk));
  chunks_.back().guard(true);
  spare_.store(chunks_.size(), std::memory_order_relaxed);
} catch (const std::bad_alloc&) {
  // No room to remember it: it goes.
}

void ChunkPool::add() {
  Pages chunk = new_chunk();
  (void)touch_pages(chunk.at(), chunk.bytes());  // else by who stores there
  give(std::move(chunk));
}

void ChunkPool::rest() noexcept {
  std::vector<Pages> gone;
  const std::lock_guard lock(mutex_);
  resting_ = true;
  gone.swap(chunks_);
  spare_.store(0, std::memory_order_relaxed);
  for (Pages& chunk : gone) chunk.guard(false);
}

}  // namespace hyper_lmdb
