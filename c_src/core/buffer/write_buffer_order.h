// The keys of a write buffer in order. Nothing is sorted when a key is written. Whoever asks sorts
// what came since the last one asked into a run, and merges it with the runs that are less than
// twice as long: each run is at least twice as long as the next, so a key is moved a logarithmic
// number of times, however often the order is asked for. Runs never change; a cursor merges them as
// it goes.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "buffer/write_buffer_node.h"
#include "hyper_lmdb/function_ref.h"

namespace hyper_lmdb {

/// All keys up to `newest()`, in order. Never changes; valid as long as its buffer.
class WriteBufferOrder {
 public:
  using Run = std::vector<const BufferKey*>;
  using Runs = std::vector<std::shared_ptr<const Run>>;

  WriteBufferOrder() = default;
  WriteBufferOrder(Runs runs, const BufferKey* newest) noexcept
      : runs_(std::move(runs)), newest_(newest) {}

  const Runs& runs() const noexcept { return runs_; }
  const BufferKey* newest() const noexcept { return newest_; }
  std::uint64_t keys() const noexcept { return newest_ == nullptr ? 0 : newest_->number; }

 private:
  Runs runs_;  // longest first
  const BufferKey* newest_ = nullptr;
};

/// Makes the order, one caller at a time, and keeps the last one.
///
/// Thread-safety: may be called from any thread. Its lock is never held over sorting.
class BufferSorter {
 public:
  BufferSorter() : order_(std::make_shared<const WriteBufferOrder>()) {}

  /// An order that has all keys up to `newest`, which may be null. Null where that takes sorting
  /// and merging more than `most` keys, or waiting for another thread that sorts: only a call
  /// without a limit (kNoLimit, or nearly) waits. Throws std::bad_alloc. Sorting takes 8 bytes a
  /// key beyond what the buffer counts while it lasts, and orders that are still held keep their
  /// runs. `pause` is called again and again while it sorts, with how much is done, from 0 to 1.
  std::shared_ptr<const WriteBufferOrder> order(
      const BufferKey* newest, std::uint64_t most, FunctionRef<void(double)> pause = [](double) {});

  /// Whether a thread waits for another one's sorting; a hint.
  bool awaited() const noexcept { return waiting_.load(std::memory_order_relaxed) != 0; }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  std::shared_ptr<const WriteBufferOrder> order_;
  std::uint64_t sorting_ = 0;         // keys another thread is busy with
  std::atomic<unsigned> waiting_{0};  // threads for another that sorts
};

/// Walks the keys of a buffer as a view of one version sees them, both ways. Removed ones are not
/// passed over, since they hide what lies below.
///
/// A step past either end answers false; the step back from there is the last or the first key. At
/// the start the cursor is before the first key. Thread-safety: one thread at a time; the buffer
/// may be written meanwhile. Allocates nothing.
class BufferCursor {
 public:
  /// Whether the cursor stops at a key that came after the view, too. Where it passes them by, one
  /// step may take as long as there are such keys.
  enum class Later { hidden, shown };

  BufferCursor(std::shared_ptr<const WriteBufferOrder> order, std::uint64_t version,
               Later later = Later::hidden) noexcept;

  bool seek(std::string_view key) noexcept;         ///< to the first key >= key
  bool seek_before(std::string_view key) noexcept;  ///< to the last key < key
  bool first() noexcept { return seek({}); }
  bool last() noexcept;
  bool next() noexcept;
  bool previous() noexcept;

  /// Where the last call answered true. Both are valid as long as the buffer.
  std::string_view key() const noexcept { return key_; }
  BufferOutcome outcome() const noexcept { return outcome_->outcome(); }  ///< if the view sees it
  bool seen() const noexcept { return outcome_ != nullptr; }

 private:
  // Keys are numbered in 32 bits and each run is at least twice as long as the next.
  static constexpr std::size_t kMostRuns = 33;

  /// A run, and the first of its keys which is not before the cursor.
  struct Place {
    const BufferKey* const* begin;
    const BufferKey* const* at;
    const BufferKey* const* end;
  };

  void place(std::string_view key) noexcept;
  bool stops() noexcept;

  std::shared_ptr<const WriteBufferOrder> order_;
  const std::uint64_t version_;
  const bool shows_later_;
  std::size_t runs_;
  Place* current_ = nullptr;  // the run of the key the cursor is on; null at either end
  std::string_view key_;
  const BufferVersion* outcome_ = nullptr;
  std::array<Place, kMostRuns> places_;
};

}  // namespace hyper_lmdb
