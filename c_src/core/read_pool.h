// A bounded pool of reset read transactions. A lease renews one, reads, and resets it within one
// call, so nothing pins old pages between calls and no call pays for a reader slot.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <cstddef>
#include <memory>

#include "hyper_lmdb/result.h"

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

   private:
    friend class ReadPool;
    explicit Lease(Slot* slot) noexcept : slot_(slot) {}
    Slot* slot_;
  };

  ReadPool(MDB_env* env, unsigned reader_slots);
  ~ReadPool();

  /// Errors: closed, readers_full (all slots busy for a millisecond, dead processes' slots freed).
  Result<Lease> lease() noexcept;

  /// Waits for the leases in use, then ends every transaction; later calls answer closed.
  void close() noexcept;

  std::size_t size() const noexcept { return size_; }

 private:
  enum State : unsigned { kFree, kBusy, kClosed };
  // One cache line each: threads that read together must not share one.
  struct alignas(64) Slot {
    std::atomic<unsigned> state{kFree};
    MDB_txn* txn = nullptr;  // of whoever made the state busy
  };

  enum class Want { any, with_transaction };
  Slot* take(Want want, bool* closed) noexcept;
  Result<void> renew(Slot* slot) noexcept;

  MDB_env* env_;
  std::size_t size_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace hyper_lmdb
