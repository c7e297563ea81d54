// A bounded pool of reset read transactions. A lease renews one, reads, and resets it within one
// call, so nothing pins old pages between calls and no call pays for a reader slot. A lease also
// pins the write buffers that belong to its snapshot.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <cstddef>
#include <memory>

#include "buffers.h"
#include "hyper_lmdb/result.h"
#include "view.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread. A slot is handed from thread to
/// thread by its `state`: taken with acquire, given back with release.
class ReadPool {
  struct Slot;

 public:
  /// A snapshot for the length of a scope.
  class Lease {
   public:
    Lease(Lease&& other) noexcept : slot_(other.slot_) { other.slot_ = nullptr; }
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    MDB_txn* txn() const noexcept;
    /// What the lease sees. Valid as long as the lease.
    View view(MDB_dbi dbi) const noexcept;

   private:
    friend class ReadPool;
    explicit Lease(Slot* slot) noexcept : slot_(slot) {}
    Slot* slot_;
  };

  /// `buffers` must outlive the pool.
  ReadPool(MDB_env* env, unsigned reader_slots, const Buffers* buffers);
  ~ReadPool();

  /// A snapshot of buffers and LMDB at one version.
  /// Errors: closed, readers_full (all slots busy for a millisecond, dead processes' slots freed).
  Result<Lease> lease() noexcept;

  /// Waits for the leases in use, then ends every transaction; later calls answer closed.
  void close() noexcept;

  /// Whether a lease holds this state of the buffers.
  bool pins(const Buffers::State* state) const noexcept;

  std::size_t size() const noexcept { return size_; }

 private:
  enum State : unsigned { kFree, kBusy, kClosed };
  // One cache line each: threads that read together must not share one.
  struct alignas(64) Slot {
    std::atomic<unsigned> state{kFree};
    std::atomic<const Buffers::State*> pin{nullptr};
    // Of whoever made the state busy.
    MDB_txn* txn = nullptr;
    std::uint64_t version = 0;
  };

  enum class Want { any, with_transaction };
  Slot* take(Want want, bool* closed) noexcept;
  Result<void> renew(Slot* slot) noexcept;
  Result<void> renew_with_buffers(Slot* slot) noexcept;

  MDB_env* env_;
  const Buffers* buffers_;
  std::size_t size_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace hyper_lmdb
