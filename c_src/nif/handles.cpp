#include "handles.h"

#include <atomic>
#include <new>
#include <utility>

#include "term.h"

namespace hyper_lmdb::nif {

namespace {

State* the_state = nullptr;

std::size_t shard_of_this_thread(std::size_t shards) noexcept {
  static std::atomic<std::size_t> next{0};
  static thread_local const std::size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number % shards;
}

// Destructors run on whichever thread collects the garbage: they only let go.
void destroy_handle(ErlNifEnv*, void* object) noexcept {
  static_cast<Handle*>(object)->~Handle();
}

void destroy_ticket(ErlNifEnv*, void* object) noexcept {
  static_cast<TicketHandle*>(object)->~TicketHandle();
}

void destroy_snapshot(ErlNifEnv*, void* object) noexcept {
  static_cast<SnapshotHandle*>(object)->~SnapshotHandle();
}

// Runs under locks of the VM: it waits for nothing and takes no lock.
void owner_is_down(ErlNifEnv*, void* object, ErlNifPid*, ErlNifMonitor*) noexcept {
  static_cast<SnapshotHandle*>(object)->snapshot->release();
}

}  // namespace

State& state() noexcept {
  return *the_state;
}
void set_state(State* state) noexcept {
  the_state = state;
}
bool has_state() noexcept {
  return the_state != nullptr;
}

bool open_resource_types(ErlNifEnv* env, State* state) noexcept {
  const auto flags = static_cast<ErlNifResourceFlags>(ERL_NIF_RT_CREATE | ERL_NIF_RT_TAKEOVER);
  state->handle_type =
      enif_open_resource_type(env, nullptr, "store", &destroy_handle, flags, nullptr);
  state->ticket_type =
      enif_open_resource_type(env, nullptr, "ticket", &destroy_ticket, flags, nullptr);
  state->batch_type =
      enif_open_resource_type(env, nullptr, "batch", &destroy_batch, flags, nullptr);
  ErlNifResourceTypeInit of_snapshot{};
  of_snapshot.dtor = &destroy_snapshot;
  of_snapshot.down = &owner_is_down;
  state->snapshot_type = enif_open_resource_type_x(env, "snapshot", &of_snapshot, flags, nullptr);
  return state->handle_type != nullptr && state->ticket_type != nullptr &&
         state->batch_type != nullptr && state->snapshot_type != nullptr;
}

Names::AllLocks Names::lock_all() noexcept {
  AllLocks locks;
  for (std::size_t i = 0; i < kShards; ++i) locks[i] = std::unique_lock(shards_[i].mutex);
  return locks;
}

Handle* Names::make_handle(const std::shared_ptr<Store>& store, ErlNifResourceType* type) {
  void* memory = enif_alloc_resource(type, sizeof(Handle));
  if (memory == nullptr) throw std::bad_alloc();
  return new (memory) Handle{store};  // the table's own reference
}

void Names::renew_handles(ErlNifResourceType* type) {
  const auto locks = lock_all();
  for (auto& [store, entry] : handles_) {
    Handle* const fresh = make_handle(entry.handle->store, type);
    enif_release_resource(std::exchange(entry.handle, fresh));
  }
}

Handle* Names::add(std::string_view spelling, const std::shared_ptr<Store>& store,
                   ErlNifResourceType* type) {
  const auto locks = lock_all();
  // Who closes a store forgets it afterwards, under these locks: an open one stays findable.
  if (!store->is_open()) return nullptr;
  auto [entry, inserted] = handles_.try_emplace(store.get());
  if (inserted) {
    try {
      entry->second.handle = make_handle(store, type);
    } catch (...) {
      handles_.erase(entry);
      throw;
    }
  }
  Handle* const handle = entry->second.handle;
  for (Shard& shard : shards_) {
    shard.stores[std::string(spelling)] = std::make_shared<std::shared_ptr<Store>>(store);
  }
  enif_keep_resource(handle);
  return handle;
}

Names::Close Names::begin_close(const Store* store, Reply* reply) {
  const auto locks = lock_all();
  const auto found = handles_.find(store);
  if (found == handles_.end()) return Close::done;
  if (!std::exchange(found->second.closing, true)) return Close::by_caller;
  found->second.to_tell.push_back(std::move(*reply));
  return Close::by_another;
}

bool Names::watch(const Store* store, Reply reply) {
  const auto locks = lock_all();
  const auto found = handles_.find(store);
  if (found == handles_.end()) return false;
  found->second.to_tell.push_back(std::move(reply));
  return true;
}

std::vector<Reply> Names::remove(const Store* store) {
  const auto locks = lock_all();
  for (Shard& shard : shards_) {
    std::erase_if(shard.stores, [store](const auto& e) { return e.second->get() == store; });
  }
  std::vector<Reply> to_tell;
  if (const auto found = handles_.find(store); found != handles_.end()) {
    enif_release_resource(found->second.handle);
    to_tell = std::move(found->second.to_tell);
    handles_.erase(found);
  }
  return to_tell;
}

std::shared_ptr<Store> Names::find(std::string_view spelling) {
  Shard& shard = shards_[shard_of_this_thread(kShards)];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.stores.find(spelling);
  if (found == shard.stores.end()) return nullptr;
  return std::shared_ptr<Store>(found->second, found->second->get());
}

Handle* Names::handle_of(const Store* store) {
  const auto locks = lock_all();
  const auto found = handles_.find(store);
  if (found == handles_.end()) return nullptr;
  enif_keep_resource(found->second.handle);
  return found->second.handle;
}

std::vector<Handle*> Names::all() {
  const auto locks = lock_all();
  std::vector<Handle*> all;
  all.reserve(handles_.size());
  for (const auto& [store, entry] : handles_) {
    enif_keep_resource(entry.handle);
    all.push_back(entry.handle);
  }
  return all;
}

std::optional<StoreRef> StoreRef::from(ErlNifEnv* env, ERL_NIF_TERM term) {
  StoreRef ref;
  void* object = nullptr;
  if (enif_get_resource(env, term, state().handle_type, &object) != 0) {
    ref.handle_ = static_cast<const Handle*>(object);
    ref.store_ = ref.handle_->store.get();
    return ref;
  }
  if (enif_get_resource(env, term, state().snapshot_type, &object) != 0) {
    ref.snapshot_ = static_cast<const SnapshotHandle*>(object)->snapshot.get();
    return ref;
  }
  ERL_NIF_TERM name = 0;
  if (enif_get_map_value(env, term, atoms().name, &name) == 0) {
    // The key as a binary has to be built: a heap term of a few words.
    const auto key = make_binary(env, "name");
    if (!key || enif_get_map_value(env, term, *key, &name) == 0) return std::nullopt;
  }
  const auto spelling = as_binary(env, name);
  if (!spelling) return std::nullopt;
  ref.kept_ = state().names.find(*spelling);
  ref.store_ = ref.kept_.get();
  return ref;
}

ERL_NIF_TERM StoreRef::refusal(ErlNifEnv* env) const {
  if (snapshot_ != nullptr) return make_error(env, {.code = Code::read_only});
  return make_not_started(env);
}

std::optional<ReaderRef> ReaderRef::from(ErlNifEnv* env, ERL_NIF_TERM term) {
  auto store = StoreRef::from(env, term);
  if (!store) return std::nullopt;
  return ReaderRef(std::move(*store));
}

const Reader* ReaderRef::get() const noexcept {
  if (is_snapshot()) return store_.snapshot();
  return store_.get();
}

}  // namespace hyper_lmdb::nif
