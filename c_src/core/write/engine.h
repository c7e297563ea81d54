// How a store's writes are made: the part that differs between a store with a journal and one
// without.
#pragma once

#include <chrono>
#include <optional>
#include <span>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/result.h"
#include "write/request_queue.h"

namespace hyper_lmdb {

/// Thread-safety: `may_wait` and the questions about maintenance may be asked from any thread,
/// `maintain` is called by the writer thread without the write lock, the rest by the holder of the
/// write lock.
class WriteEngine {
 public:
  virtual ~WriteEngine() = default;

  /// Whether a write on the caller's thread would have to wait, as things are now.
  virtual bool may_wait() const noexcept = 0;
  /// Where `may_wait` answered no under the same lock: writes now, or does nothing at all where
  /// that would have to wait after all. May throw std::bad_alloc, and then has done nothing.
  virtual std::optional<Result<void>> try_write(std::span<const Op> ops) = 0;
  /// On the writer thread: does the requests and sets the outcome of each.
  virtual void write_group(Request* first, std::size_t requests) = 0;
  /// On the writer thread, after each group, when a write asked for it, and when it has waited for
  /// `until_maintenance`: what is better done ahead or by and by.
  virtual void maintain() noexcept {}
  virtual std::chrono::milliseconds until_maintenance() const noexcept {
    return std::chrono::minutes(1);
  }
  /// Whether `maintain` is due after a `try_write`.
  virtual bool wants_maintenance() const noexcept { return false; }
};

}  // namespace hyper_lmdb
