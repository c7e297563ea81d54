// A bounded pool of reset read transactions. A lease renews one, reads, and resets it within one
// call, so nothing pins old pages between calls and no call pays for a reader slot. A lease also
// pins the write buffers that belong to its snapshot.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "buffer/buffer_set.h"
#include "hyper_lmdb/result.h"
#include "read/view.h"

namespace hyper_lmdb {

class OpenSnapshot;

/// Thread-safety: all functions may be called from any thread. A slot is handed from thread to
/// thread by its `state`: taken with acquire, given back with release.
class ReadPool {
  struct Slot;

 public:
  /// A snapshot for the length of a scope: one of its own, or a turn at one that stays open.
  class Lease {
   public:
    Lease(Lease&& other) noexcept : slot_(other.slot_), turn_at_(other.turn_at_) {
      other.slot_ = nullptr;
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    MDB_txn* txn() const noexcept;
    /// What the lease sees. Valid as long as the lease.
    View view(MDB_dbi dbi) const noexcept;

   private:
    friend class ReadPool;
    friend class OpenSnapshot;
    explicit Lease(Slot* slot, OpenSnapshot* turn_at = nullptr) noexcept
        : slot_(slot), turn_at_(turn_at) {}
    Slot* slot_;
    OpenSnapshot* turn_at_;
  };

  /// How long a lease is meant to last. Those of snapshots keep out of the way of the others; that
  /// of a backup, of which there is one at a time, has a slot of its own.
  enum class For { call, snapshot, backup };

  /// `buffers` must outlive the pool.
  /// `reopen` answers another environment of the same file, to go on with once LMDB has given `env`
  /// up; it is called from any thread.
  using Reopen = std::function<Result<MDB_env*>()>;
  ReadPool(MDB_env* env, unsigned reader_slots, const BufferSet* buffers, Reopen reopen = {});
  ~ReadPool();

  static constexpr std::uint64_t kForever = ~std::uint64_t{0};

  /// A snapshot of buffers and LMDB at one version. Where all slots are taken it waits for one, for
  /// `wait_ms` at most; with 0 it neither waits nor makes a system call.
  /// Errors: closed; busy where all slots were taken for so long; readers_full where other
  /// processes have all slots of the environment, those of dead ones freed; work_limit where that
  /// is not known without a system call.
  Result<Lease> lease(For use = For::call, std::uint64_t wait_ms = kForever) noexcept;

  /// Waits for the leases in use, then ends every transaction; later calls answer closed.
  void close() noexcept;

  /// Whether a lease holds this state of the buffers.
  bool pins(const BufferSet::Generation* state) const noexcept;

  std::size_t size() const noexcept { return size_; }

 private:
  friend class OpenSnapshot;
  enum State : unsigned { kFree, kBusy, kClosed };
  // One cache line each: threads that read together must not share one.
  struct alignas(64) Slot {
    std::atomic<unsigned> state{kFree};
    std::atomic<const BufferSet::Generation*> pin{nullptr};
    // Of whoever made the state busy.
    MDB_txn* txn = nullptr;
    std::uint64_t version = 0;
  };

  enum class Want { any, with_transaction };
  enum class DeadReaders { clear, leave };
  /// Slots to look for a free one in, round from `start`.
  struct Among {
    std::size_t first, count, start;
  };
  Among among(For use) const noexcept;
  Slot* take(Want want, const Among& among, bool* closed) noexcept;
  Result<Lease> lease_now(const Among& slots, DeadReaders dead) noexcept;
  Result<void> renew_in(MDB_env* env, Slot* slot, DeadReaders dead) noexcept;
  Result<void> renew(Slot* slot, DeadReaders dead) noexcept;
  Result<void> renew_with_buffers(Slot* slot, DeadReaders dead) noexcept;

  MDB_env* env_;
  const BufferSet* buffers_;
  const Reopen reopen_;
  std::size_t size_;
  std::unique_ptr<Slot[]> slots_;              // and one more, of a backup
  std::atomic<bool> has_transactions_{false};  // some slot has one; says nothing of which
};

}  // namespace hyper_lmdb
