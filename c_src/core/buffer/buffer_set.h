// The write buffers readers see, and when each may go.
//
// One state is published at a time: the buffer that is written and, while it is being applied to
// LMDB, the one before. A reader pins the state it took (in its slot of the read pool), renews its
// transaction, then loads the newest visible version, then looks whether the state is still the
// published one, and starts again if it is not. So a snapshot of LMDB never lacks what its buffers
// have already let go: the frozen buffer leaves the state only after its last commit.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "buffer/write_buffer.h"
#include "hyper_lmdb/function_ref.h"

namespace hyper_lmdb {

/// Thread-safety: `published` and `visible` may be called from any thread; the rest takes a lock.
class BufferSet {
 public:
  struct Generation {
    std::shared_ptr<WriteBuffer> active;
    std::shared_ptr<WriteBuffer> frozen;
  };

  /// The buffers' memory: as much as `chunk_bytes` waits for the next ones.
  explicit BufferSet(std::uint64_t chunk_bytes = 0)
      : chunks_(std::make_shared<ChunkPool>(chunk_bytes)) {}
  BufferSet(const BufferSet&) = delete;
  BufferSet& operator=(const BufferSet&) = delete;

  /// Null in a store without a journal. Sequentially consistent: with a pin stored before and
  /// looked at after, either the reader sees the new state or the collector sees the pin.
  const Generation* published() const noexcept {
    return published_.load(std::memory_order_seq_cst);
  }

  /// The newest version readers may see.
  std::uint64_t visible() const noexcept { return visible_.load(std::memory_order_acquire); }
  /// Everything up to this version has been inserted.
  void show(std::uint64_t version) noexcept { visible_.store(version, std::memory_order_release); }

  /// The first state. Throws std::bad_alloc.
  void start(std::shared_ptr<WriteBuffer> active, std::shared_ptr<WriteBuffer> frozen,
             std::uint64_t version);
  /// The active buffer becomes the frozen one. Throws std::bad_alloc; then nothing has changed.
  void rotate(std::shared_ptr<WriteBuffer> active);
  /// LMDB has all of the frozen buffer. Throws std::bad_alloc; then nothing has changed.
  void drop_frozen();

  /// The same buffers again, as a state of their own, so that a reader who took the one before
  /// starts again: LMDB is about to hold a version that no buffer holds. In two steps, since
  /// nothing may fail once LMDB has it. Throws std::bad_alloc.
  std::unique_ptr<const Generation> prepare_renewal();
  void renew(std::unique_ptr<const Generation> next) noexcept;

  /// States that are kept, the published one among them.
  std::size_t states() const noexcept { return count_.load(std::memory_order_relaxed); }
  /// Frees the states that are neither published nor `pinned`.
  void collect(FunctionRef<bool(const Generation*)> pinned) noexcept;

  /// Memory of the buffers that are in states which are `held`, and not in the published one.
  std::uint64_t retired_bytes(FunctionRef<bool(const Generation*)> held) const noexcept;

  /// For new buffers.
  const std::shared_ptr<ChunkPool>& chunks() const noexcept { return chunks_; }

  // Of the published state. Both are null in a store without a journal.
  std::shared_ptr<WriteBuffer> active() const;
  std::shared_ptr<WriteBuffer> frozen() const;

 private:
  void publish(std::unique_ptr<const Generation> next);

  const std::shared_ptr<ChunkPool> chunks_;

  std::atomic<const Generation*> published_{nullptr};
  std::atomic<std::uint64_t> visible_{0};
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<const Generation>> states_;  // the published one is the last
  std::atomic<std::size_t> count_{0};                      // of states_
};

}  // namespace hyper_lmdb
