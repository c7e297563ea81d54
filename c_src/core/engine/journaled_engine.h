// Writes into the journal and the write buffer. LMDB takes the buffers in the background; what is
// too large for a buffer goes into LMDB straight away, behind everything that came before it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "buffer/buffer_set.h"
#include "buffer/pending_batch.h"
#include "engine/checkpointer.h"
#include "engine/mapped_engine.h"
#include "journal/journal.h"
#include "lmdb/env.h"
#include "lmdb/page_estimate.h"
#include "paths/links.h"
#include "read/read_pool.h"
#include "write/engine.h"
#include "write/flusher.h"

namespace hyper_lmdb {

/// What a journaled store is made of beside its writer.
struct JournaledParts {
  Env* env;
  const Settings* settings;
  Links* links;
  BufferSet* buffers;
  ReadPool* pool;
  Residency* residency;
  Journal* log;
  Checkpointer* checkpointer;
  Flusher* flusher;
  MappedEngine* tree;
  std::mutex* write_mutex;
  std::atomic<bool>* failed;
  std::uint64_t hash_seed;  ///< of the buffers
};

/// Thread-safety: as WriteEngine. `maintain` takes the write lock itself where it needs it.
class JournaledEngine final : public WriteEngine {
  enum class Wait { never, allowed };

 public:
  explicit JournaledEngine(const JournaledParts& parts) noexcept;
  /// Before anything else. Errors: as reading LMDB.
  Result<void> start() noexcept { return learn_shape(Wait::allowed); }

  bool may_wait() const noexcept override;
  std::optional<Result<void>> try_write(std::span<const Op> ops) override;
  void write_group(Request* first, std::size_t requests) override;
  bool wants_maintenance() const noexcept override;
  std::chrono::milliseconds until_maintenance() const noexcept override;
  void maintain() noexcept override;

  /// Applies everything, so that no journal is left; after the writer thread has ended. What a full
  /// disk keeps from LMDB stays in the journal, on disk. Errors: io_error, env_failed.
  Result<void> finish() noexcept;

  /// A buffer of the store's size.
  static std::shared_ptr<WriteBuffer> new_buffer(const Settings& settings, const BufferSet& buffers,
                                                 std::uint64_t hash_seed);

 private:
  /// What became of a batch.
  enum class AppendStatus { done, must_wait, too_large };

  Result<void> write_one(Request& request);
  Result<void> append_or_directly(Request& request, std::span<const Op> ops);
  static Result<AppendStatus> undecided(const Error& error) noexcept;
  static Result<AppendStatus> not_journaled(const Error& error) noexcept;
  Result<AppendStatus> append(std::span<const Op> ops, Wait wait);
  Result<AppendStatus> make_room(Wait wait);
  Result<void> directly(Request& request);
  Result<void> remove_some(Request& request);
  Result<void> rotate(Checkpointer::Next next);
  Result<void> drain();
  Result<void> show();
  bool fits_capacity(const PageEstimate& estimate) const noexcept;
  bool fits_disk(const PageEstimate& estimate) const noexcept;
  Result<bool> fits(std::span<const Op> ops, Wait wait);
  bool fits_buffer(std::uint64_t payload_bytes, std::size_t outcomes, std::uint64_t bytes);
  double fullness() const noexcept;
  bool ahead_of_checkpointer() const noexcept;
  void pace(std::uint64_t bytes);
  Result<void> open_segment();
  Result<void> append_pending_batch();
  void write_alone(Request& request, std::uint64_t seq);
  Result<ReadPool::Lease> take_lease(Wait wait) noexcept;
  Result<void> learn_shape(Wait wait) noexcept;
  const Result<void>& check_named();

  const JournaledParts parts_;
  const bool synced_;
  const std::uint64_t direct_from_bytes_;
  // All that follows belongs to the holder of the write lock, but for the atomics.
  std::shared_ptr<WriteBuffer> active_;
  PendingBatch pending_batch_;
  TreeShape shape_;
  // Of the active buffer, and of what was given to the checkpointer since shape_ was learned.
  PageEstimate pending_;
  PageEstimate frozen_estimate_;
  NamedCheck named_;
  Request* current_ = nullptr;           // of a group
  Request* unshown_ = nullptr;           // the first of it whose records nobody has seen yet
  std::chrono::nanoseconds patience_{};  // for which it may still be held back
  std::chrono::steady_clock::time_point first_write_{};
  std::atomic<bool> dirty_{false};     // the active buffer holds something
  std::atomic<bool> room_low_{false};  // in the segment, or of memory for the active buffer
  std::atomic<std::uint64_t> active_bytes_{0};  // that the active buffer has used
};

}  // namespace hyper_lmdb
