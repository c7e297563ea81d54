// Batches that grow call by call, as older versions of the library had them.
#include <erl_nif.h>

#include <mutex>
#include <new>
#include <utility>

#include "calls.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "requests.h"
#include "term.h"

namespace hyper_lmdb::nif {

/// The resource behind a batch: copies of its elements until it is committed.
struct BatchHandle {
  std::shared_ptr<Store> store;
  std::mutex mutex;               // guards the rest; held for the copy of one element at most
  OwnEnv env;                     // none once committed
  ERL_NIF_TERM newest_first = 0;  // a list of the elements, which grows without being moved
  std::uint64_t bytes = 0;
};

void destroy_batch(ErlNifEnv*, void* object) noexcept {
  static_cast<BatchHandle*>(object)->~BatchHandle();
}

namespace {

BatchHandle* as_batch(ErlNifEnv* env, ERL_NIF_TERM term) noexcept {
  void* object = nullptr;
  if (enif_get_resource(env, term, state().batch_type, &object) == 0) return nullptr;
  return static_cast<BatchHandle*>(object);
}

ERL_NIF_TERM make_committed(ErlNifEnv* env) {
  return enif_make_tuple2(env, atoms().error, atoms().committed);
}

}  // namespace

ERL_NIF_TERM batch_begin(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (store->get() == nullptr) return store->refusal(env);
  if (!(*store)->is_open()) return make_error(env, {.code = Code::closed});
  OwnEnv own(enif_alloc_env());
  if (own == nullptr) throw std::bad_alloc();
  void* memory = enif_alloc_resource(state().batch_type, sizeof(BatchHandle));
  if (memory == nullptr) throw std::bad_alloc();
  auto* batch = new (memory) BatchHandle;
  batch->store = store->share();
  batch->env = std::move(own);
  batch->newest_first = enif_make_list(batch->env.get(), 0);
  const ERL_NIF_TERM term = enif_make_resource(env, batch);
  enif_release_resource(batch);
  return enif_make_tuple2(env, atoms().ok, term);
}

ERL_NIF_TERM batch_add(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  BatchHandle* const batch = as_batch(env, argv[0]);
  if (batch == nullptr) return make_badarg(env, 1);
  const auto op = as_op(env, argv[1], Elements::paths);
  if (!op) return make_badarg(env, 2);
  if (auto good = batch->store->check({&*op, 1}); !good) {
    return make_single_error(env, good.error());
  }
  const std::lock_guard lock(batch->mutex);
  if (batch->env == nullptr) return make_committed(env);
  const std::uint64_t bytes = batch->bytes + bytes_of(*op);
  if (bytes > batch->store->settings().max_batch_bytes && batch->bytes != 0) {
    return make_error(env, {.code = Code::batch_too_large});
  }
  ErlNifEnv* const own = batch->env.get();
  batch->newest_first = enif_make_list_cell(own, enif_make_copy(own, argv[1]), batch->newest_first);
  batch->bytes = bytes;
  return atoms().ok;
}

ERL_NIF_TERM batch_take(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  BatchHandle* const batch = as_batch(env, argv[0]);
  if (batch == nullptr) return make_badarg(env, 1);
  OwnEnv own;
  ERL_NIF_TERM newest_first = 0;
  ERL_NIF_TERM store = 0;
  {
    const std::lock_guard lock(batch->mutex);
    if (batch->env == nullptr) return make_committed(env);
    // The VM's own handle to the store: whoever commits needs not have kept one.
    Handle* const handle = state().names.handle_of(batch->store.get());
    if (handle == nullptr) return make_error(env, {.code = Code::closed});
    store = enif_make_resource(env, handle);
    enif_release_resource(handle);
    own = std::move(batch->env);
    newest_first = batch->newest_first;
  }
  // Without the lock, which others take on their schedulers: it is as long as the batch is large.
  ERL_NIF_TERM elements = 0;
  enif_make_reverse_list(own.get(), newest_first, &elements);
  return enif_make_tuple3(env, atoms().ok, store, enif_make_copy(env, elements));
}

}  // namespace hyper_lmdb::nif
