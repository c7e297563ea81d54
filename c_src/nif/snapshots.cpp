#include <erl_nif.h>

#include <chrono>
#include <new>
#include <utility>

#include "calls.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "term.h"
#include "timeslice.h"

namespace hyper_lmdb::nif {

namespace {

constexpr std::chrono::nanoseconds kOpen{1500}, kClose{500};

/// `{ok, Snapshot}`, `snapshot` where the argument is one, or `{busy, Turn, Ahead}`.
template <bool on_scheduler>
ERL_NIF_TERM open_now(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  ErlNifUInt64 number = 0;
  if (enif_get_uint64(env, argv[1], &number) == 0) return make_badarg(env, 2);
  if (store->snapshot() != nullptr) return atoms().snapshot;
  if (store->get() == nullptr) return store->refusal(env);
  charge(env, kOpen);
  SnapshotTurn turn{.number = number};
  const Effort effort{.may_wait = !on_scheduler, .turn_ms = kLongestTurnMs};
  auto snapshot = (*store)->snapshot(&turn, effort);
  if (!snapshot && snapshot.error().code == Code::busy) {
    return enif_make_tuple3(env, atoms().busy, enif_make_uint64(env, turn.number),
                            enif_make_uint64(env, turn.ahead));
  }
  if (!snapshot && snapshot.error().code == Code::work_limit) {
    return enif_schedule_nif(env, "snapshot_open", ERL_NIF_DIRTY_JOB_IO_BOUND,
                             &guarded<open_now<false>>, argc, argv);
  }
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

}  // namespace

ERL_NIF_TERM snapshot_open(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return open_now<true>(env, argc, argv);
}

ERL_NIF_TERM snapshot_leave(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  ErlNifUInt64 number = 0;
  if (enif_get_uint64(env, argv[1], &number) == 0) return make_badarg(env, 2);
  charge(env, kClose);
  if (store->get() != nullptr) (*store)->leave_snapshot_line({.number = number});
  return atoms().ok;  // a store that was stopped has no line
}

ERL_NIF_TERM snapshot_close(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  void* object = nullptr;
  if (enif_get_resource(env, argv[0], state().snapshot_type, &object) == 0) {
    return make_badarg(env, 1);
  }
  charge(env, kClose);
  static_cast<SnapshotHandle*>(object)->snapshot->release();
  return atoms().ok;
}

}  // namespace hyper_lmdb::nif
