// What Erlang holds: handles of stores and tickets of waiting writers, and the names of open
// stores.
#pragma once

#include <erl_nif.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hyper_lmdb/store.h"
#include "requests.h"

namespace hyper_lmdb::nif {

/// The resource behind a store() term. Never changes once made, so that no call needs a lock. Its
/// store is open or closed for ever.
struct Handle {
  std::shared_ptr<Store> store;
};

/// The resource behind a ticket: gives the writer's turn back when the process that waits dies.
class TicketHandle {
 public:
  TicketHandle(std::shared_ptr<Store> of, std::shared_ptr<Ticket> parked) noexcept
      : store(std::move(of)), ticket(std::move(parked)) {}
  TicketHandle(const TicketHandle&) = delete;
  TicketHandle& operator=(const TicketHandle&) = delete;
  ~TicketHandle() {
    store->cancel(*ticket);
    (void)take();
  }
  /// Keeps a request that is ready for the turn. Before the term is anybody's but the caller's.
  void keep(std::unique_ptr<Request> request) noexcept { request_.store(request.release()); }
  /// What was kept, once.
  std::unique_ptr<Request> take() noexcept {
    return std::unique_ptr<Request>(request_.exchange(nullptr));
  }

  const std::shared_ptr<Store> store;
  const std::shared_ptr<Ticket> ticket;

 private:
  std::atomic<Request*> request_{nullptr};
};

/// The resource behind a snapshot: it ends with the process that took it.
struct SnapshotHandle {
  std::shared_ptr<Snapshot> snapshot;
};

/// The open stores, by handle and by each spelling given to a start.
///
/// Thread-safety: all functions may be called from any thread. Each shard has all names and a lock
/// of its own; a look-up takes the lock of its thread's shard, a change takes all, in order.
class Names {
 public:
  /// Enters an open store under a spelling and returns its handle with one reference for the
  /// caller; null where the store has been closed meanwhile.
  Handle* add(std::string_view spelling, const std::shared_ptr<Store>& store,
              ErlNifResourceType* type);
  enum class Close { by_caller, by_another, done };
  /// Who closes a store: the caller, the first time; where another does, the reply is kept for
  /// `remove`.
  Close begin_close(const Store* store, Reply* reply);
  /// Keeps a reply for `remove`; false for a closed store.
  bool watch(const Store* store, Reply reply);
  /// Forgets a closed store: who wants to be told of it.
  std::vector<Reply> remove(const Store* store);
  /// Gives every open store a handle of a new type: those of a library that was purged are lost.
  void renew_handles(ErlNifResourceType* type);
  /// The store once started under this spelling, or null.
  std::shared_ptr<Store> find(std::string_view spelling);
  /// The handle of an open store, with one reference for the caller; null for a closed one.
  Handle* handle_of(const Store* store);
  /// The handle of every open store, each with one reference for the caller.
  std::vector<Handle*> all();

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  // Each shard counts references of its own, so that look-ups on two cores share no cache line.
  using Shared = std::shared_ptr<std::shared_ptr<Store>>;
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Shared, Hash, std::equal_to<>> stores;
  };
  static constexpr std::size_t kShards = 16;

  using AllLocks = std::array<std::unique_lock<std::mutex>, kShards>;
  AllLocks lock_all() noexcept;
  static Handle* make_handle(const std::shared_ptr<Store>& store, ErlNifResourceType* type);

  std::array<Shard, kShards> shards_;
  struct Entry {
    Handle* handle;
    bool closing = false;
    std::vector<Reply> to_tell;
  };
  std::unordered_map<const Store*, Entry> handles_;  // guarded by all locks together
};

/// The threads that close stores: each ends by itself, and joins the one that ended before it.
class Closers {
 public:
  struct Job {
    std::shared_ptr<Store> store;
    Reply reply;
    ErlNifTid thread{};
  };
  /// Closes the job's store on a thread of its own, then replies; false where there is none to be
  /// had.
  bool start(std::unique_ptr<Job>* job);

 private:
  static void* run(void* job);
  std::mutex mutex_;
  std::unique_ptr<Job> ended_;  // guarded by mutex_; its thread has nothing more to do
};

/// All that outlives one copy of the library in a running VM. Leaked on purpose.
struct State {
  ErlNifResourceType* handle_type = nullptr;
  ErlNifResourceType* ticket_type = nullptr;
  ErlNifResourceType* batch_type = nullptr;
  ErlNifResourceType* snapshot_type = nullptr;
  Names names;
  Closers closers;
  void* process_state = nullptr;
  std::atomic<int> disk_readers{0};  // see DiskTurn
  std::atomic<int> most_disk_readers{1};
};
State& state() noexcept;
void set_state(State* state) noexcept;
bool has_state() noexcept;

/// The store a term means, kept for the length of a call.
class StoreRef {
 public:
  /// Empty where the term is neither a handle nor a map with a binary name nor a snapshot.
  static std::optional<StoreRef> from(ErlNifEnv* env, ERL_NIF_TERM term);

  /// Null where no store was started under the name, and of a snapshot.
  Store* get() const noexcept { return store_; }
  /// `{error, Reason}`: why there is none.
  ERL_NIF_TERM refusal(ErlNifEnv* env) const;
  const Snapshot* snapshot() const noexcept { return snapshot_; }
  Store* operator->() const noexcept { return store_; }
  /// A reference that outlives the call; null for a name that was not started.
  std::shared_ptr<Store> share() const noexcept {
    return kept_ != nullptr || handle_ == nullptr ? kept_ : handle_->store;
  }

 private:
  Store* store_ = nullptr;
  const Snapshot* snapshot_ = nullptr;
  const Handle* handle_ = nullptr;
  std::shared_ptr<Store> kept_;
};

/// How long a dirty scheduler is held for a slot, or for a turn at a snapshot; then the call is
/// made again.
constexpr std::uint64_t kLongestTurnMs = 1;

/// What a term means to a function that reads: a store, or a snapshot of one.
class ReaderRef {
 public:
  /// Empty as StoreRef::from.
  static std::optional<ReaderRef> from(ErlNifEnv* env, ERL_NIF_TERM term);

  /// Null where no store was started under the name.
  const Reader* get() const noexcept;
  const Reader* operator->() const noexcept { return get(); }
  bool is_snapshot() const noexcept { return snapshot() != nullptr; }
  /// Null of a store.
  const Snapshot* snapshot() const noexcept { return store_.snapshot(); }
  /// The store that is read, or that a snapshot was taken of.
  Store* store() const noexcept {
    return is_snapshot() ? store_.snapshot()->store().get() : store_.get();
  }

 private:
  explicit ReaderRef(StoreRef store) noexcept : store_(std::move(store)) {}
  StoreRef store_;
};

/// Of the resource in batches.cpp.
void destroy_batch(ErlNifEnv* env, void* object) noexcept;

/// Opens the resource types, taking them over from an older copy of the library.
bool open_resource_types(ErlNifEnv* env, State* state) noexcept;

}  // namespace hyper_lmdb::nif
