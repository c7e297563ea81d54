// Writes that are in the journal and not yet in LMDB, in memory. For each key it keeps every
// outcome it was given with the version of it, so that a view of any version finds what it has to.
// Nothing is taken out: the buffer goes as a whole.
//
// A hash index of fixed size finds a key, and a filter before it spares most look-ups of keys that
// are not here; the keys in order are made when somebody asks
// (write_buffer_order.h), so that a write pays for neither.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "buffer/key_filter.h"
#include "buffer/write_buffer_node.h"
#include "buffer/write_buffer_order.h"
#include "os/chunk_pool.h"
#include "os/pages.h"

namespace hyper_lmdb {

/// Thread-safety: one writer at a time, which is whoever holds the store's write lock, for
/// `reserve` and `insert`; everything else may be called from any thread meanwhile. A reader of a
/// version sees all of it if the version was published after its last insert. `find` takes no lock.
class WriteBuffer {
 public:
  using Outcome = BufferOutcome;

  /// Index, nodes and order stay within `most_bytes`; memory is taken as it is used, in steps of up
  /// to 2 MiB, those from `pool` if there is one. Throws std::bad_alloc.
  WriteBuffer(std::uint64_t most_bytes, std::uint64_t hash_seed,
              std::shared_ptr<ChunkPool> pool = nullptr)
      : WriteBuffer(most_bytes, hash_seed, most_bytes, std::move(pool)) {}
  /// With an index for `expected_bytes` of nodes.
  WriteBuffer(std::uint64_t most_bytes, std::uint64_t hash_seed, std::uint64_t expected_bytes,
              std::shared_ptr<ChunkPool> pool = nullptr);
  WriteBuffer(const WriteBuffer&) = delete;
  WriteBuffer& operator=(const WriteBuffer&) = delete;
  ~WriteBuffer();

  /// Makes sure that the inserts up to the next reserve cannot fail, if they are at most `outcomes`
  /// with `bytes` of keys and records in all. What an earlier reserve was not used for is given
  /// back. False where it does not fit: the buffer is full. Throws std::bad_alloc; either way the
  /// buffer is as it was, and nothing is reserved.
  bool reserve(std::size_t outcomes, std::uint64_t bytes);

  /// Copies both. The key is 1 to 65,535 bytes long; the version is not below that of the insert
  /// before; of several with one key and version the last counts. The inserts are reserved.
  void insert(std::string_view key, std::uint64_t version, const Outcome& outcome) noexcept;

  /// What a view of `version` sees at the key; nothing where the layer below has to tell. The
  /// record is valid as long as the buffer.
  std::optional<Outcome> find(std::string_view key, std::uint64_t version) const noexcept {
    return find(key, hash_of(key), version);
  }
  /// The same with the key's hash, which buffers of one seed have in common.
  std::optional<Outcome> find(std::string_view key, std::uint64_t hash,
                              std::uint64_t version) const noexcept;
  std::uint64_t hash_of(std::string_view key) const noexcept;
  std::uint64_t hash_seed() const noexcept { return seed_; }

  /// What makes later calls faster and takes its time: for a thread that nobody waits for. One
  /// thread at a time; others may use the buffer meanwhile.
  void maintain() noexcept;

  bool empty() const noexcept { return newest_.load(std::memory_order_acquire) == nullptr; }

  /// Of the first insert; not while the buffer is empty.
  std::uint64_t first_version() const noexcept {
    return first_version_.load(std::memory_order_relaxed);
  }

  /// Whether a chunk of the pool will be needed before long. The writer's to ask.
  bool running_low() const noexcept {
    return next_chunk_ == ChunkPool::kChunkBytes && shared_.left < ChunkPool::kChunkBytes / 2;
  }

  /// What the inserts took of most_bytes; 0 while the buffer is empty.
  std::uint64_t bytes_used() const noexcept { return used_.load(std::memory_order_relaxed); }
  /// From 0 to 1.
  double fullness() const noexcept {
    return static_cast<double>(bytes_used()) / static_cast<double>(most_bytes_);
  }
  std::uint64_t keys() const noexcept {
    const BufferKey* const newest = newest_.load(std::memory_order_acquire);
    return newest == nullptr ? 0 : newest->number;
  }

  /// The keys so far, in order, or null: see BufferSorter::order.
  std::shared_ptr<const WriteBufferOrder> order(
      std::uint64_t most_unsorted, FunctionRef<void(double)> pause = [](double) {}) const {
    return sorter_.order(newest_.load(std::memory_order_acquire), most_unsorted, pause);
  }
  bool order_is_awaited() const noexcept { return sorter_.awaited(); }

 private:
  using Bucket = std::atomic<const BufferKey*>;
  /// What is not yet used of a chunk; always aligned for a node.
  struct Room {
    char* at = nullptr;
    std::size_t left = 0;
    std::size_t all = 0;
    std::size_t chunk = 0;

    bool untouched() const noexcept { return all != 0 && left == all; }
  };

  Bucket& bucket_of(std::uint64_t hash) const noexcept;
  const BufferKey* look_up(std::string_view key, std::uint64_t hash) const noexcept;
  std::uint64_t index_bytes() const noexcept;
  void add_chunk(Room* room, std::size_t bytes);
  char* take(std::size_t bytes) noexcept;
  void count(std::uint64_t bytes) noexcept;

  const std::shared_ptr<ChunkPool> pool_;
  const std::uint64_t most_bytes_;
  const std::uint64_t seed_;
  const std::size_t buckets_;  // a power of two
  Pages index_;                // the buckets, then the filter
  KeyFilter filter_;
  std::atomic<const BufferKey*> newest_{nullptr};
  std::atomic<std::uint64_t> first_version_{0};  // stored before newest_
  std::atomic<std::uint64_t> used_{0};
  mutable BufferSorter sorter_;

  bool index_gathered_ = false;  // of `maintain`

  // The writer's own.
  std::vector<Pages> chunks_;
  std::size_t next_chunk_;
  Room shared_;  // of the newest chunk of the usual size
  Room big_;     // of the newest chunk made for one large reservation
  Room* active_ = &shared_;
};

}  // namespace hyper_lmdb
