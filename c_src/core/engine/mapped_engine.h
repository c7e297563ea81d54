// Writes straight into LMDB's tree: one transaction for one write or for a group of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/batch_transaction.h"
#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/write_queue.h"
#include "lmdb/env.h"
#include "paths/links.h"
#include "read/residency.h"
#include "write/engine.h"
#include "write/flusher.h"

namespace hyper_lmdb {

/// Thread-safety: as WriteEngine; `trim` by the holder of the write lock.
class MappedEngine final : public WriteEngine {
 public:
  /// `flusher` is null where every commit is flushed by itself.
  MappedEngine(Env* env, const Settings& settings, Links* links, Flusher* flusher,
               std::atomic<bool>* failed) noexcept
      : env_(env),
        settings_(settings),
        links_(links),
        flusher_(flusher),
        failed_(failed),
        residency_(Residency::of(env->get())) {}

  bool may_wait() const noexcept override;
  std::optional<Result<void>> try_write(std::span<const Op> ops) override;
  void write_group(Request* first, std::size_t requests) override;
  /// One request in a transaction that also says that the tree has everything up to `seq`.
  void write_alone(Request* request, std::uint64_t seq);

  /// Gives blocks back that were set aside and are not used.
  void trim() noexcept;

  static constexpr std::uint64_t kMostRemovedAtOnce = 1000;  // of a prefix, in one transaction
  static constexpr std::uint64_t kFewRemovedAtOnce = 4;      // where a full disk refuses that

 private:
  void add_estimate(PageEstimate* estimate, const Request& request,
                    const TreeShape& shape) const noexcept;
  Result<void> write_together(Request* first, const Request* end, std::uint64_t seq);
  Result<void> one_transaction(Request* first, const Request* end, std::uint64_t seq);
  Result<void> perform(BatchTransaction& batch, Request& request, std::uint64_t* pages);
  Result<void> make_room(const TreeShape& shape, Request* first, const Request* end,
                         std::uint64_t* pages);
  Result<void> make_room_near_end(const TreeShape& shape, Request* first, const Request* end);
  Result<FreePages> count_free_pages();
  Result<void> extend_blocks(const TreeShape& shape, std::uint64_t pages);
  Result<void> commit(BatchTransaction& batch);
  const Result<void>& check_named();

  Env* env_;
  const Settings& settings_;
  Links* links_;
  Flusher* flusher_;
  std::atomic<bool>* failed_;
  // Of the holder of the write lock.
  NamedCheck named_;
  std::uint64_t most_removed_ = kMostRemovedAtOnce;
  // Of its own: a page that has to be written out first says nothing to those who read.
  Residency residency_;
};

}  // namespace hyper_lmdb
