#include <erl_nif.h>

#include <new>
#include <utility>

#include "calls.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "term.h"

namespace hyper_lmdb::nif {

/// `{ok, Snapshot}`, or `snapshot` where the argument is one.
ERL_NIF_TERM snapshot_open(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (store->snapshot() != nullptr) return atoms().snapshot;
  if (store->get() == nullptr) return store->refusal(env);
  auto snapshot = (*store)->snapshot();
  if (!snapshot) return make_error(env, snapshot.error());
  void* const memory = enif_alloc_resource(state().snapshot_type, sizeof(SnapshotHandle));
  if (memory == nullptr) throw std::bad_alloc();
  auto* const handle = new (memory) SnapshotHandle{std::move(snapshot).value()};
  ErlNifPid owner;
  const bool watched =
      enif_self(env, &owner) != nullptr && enif_monitor_process(env, handle, &owner, nullptr) == 0;
  const ERL_NIF_TERM term = enif_make_resource(env, handle);
  enif_release_resource(handle);
  // An owner that nobody watches might keep it for as long as it may live.
  if (!watched) return make_error(env, {.code = Code::internal});
  return enif_make_tuple2(env, atoms().ok, term);
}

ERL_NIF_TERM snapshot_close(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  void* object = nullptr;
  if (enif_get_resource(env, argv[0], state().snapshot_type, &object) == 0) {
    return make_badarg(env, 1);
  }
  static_cast<SnapshotHandle*>(object)->snapshot->release();
  return atoms().ok;
}

}  // namespace hyper_lmdb::nif
