// The function table: name, arity, and the scheduler each function runs on with the reason.
#include <erl_nif.h>

#include <cstring>
#include <iterator>
#include <new>

#include "calls.h"
#include "disk_turn.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/process_state.h"
#include "term.h"

namespace hyper_lmdb::nif {

namespace {

/// What `priv_data` points to, in every version of the library: enough to tell whether the rest is
/// laid out alike.
struct Shared {
  char layout[sizeof HYPER_LMDB_LAYOUT];
  State* state;
};

constexpr int kSettled = 0;
constexpr int kRefused = 1;

/// `info` is the number of the VM's dirty IO schedulers.
void learn_schedulers(ErlNifEnv* env, ERL_NIF_TERM info) noexcept {
  int dirty_io = 0;
  if (enif_get_int(env, info, &dirty_io) != 0) DiskTurn::set_schedulers(dirty_io);
}

int load(ErlNifEnv* env, void** priv_data, ERL_NIF_TERM info) noexcept try {
  make_atoms(env);
  // After a delete and purge the library stays mapped, and so do the stores that were left open.
  if (!has_state()) set_state(new State);
  State& all = state();
  all.process_state = process_state();
  learn_schedulers(env, info);
  if (!open_resource_types(env, &all)) return kRefused;
  all.names.renew_handles(all.handle_type);
  static Shared shared{HYPER_LMDB_LAYOUT, nullptr};
  shared.state = &all;
  *priv_data = &shared;
  return kSettled;
} catch (...) {
  return kRefused;
}

int upgrade(ErlNifEnv* env, void** priv_data, void** old_priv_data, ERL_NIF_TERM info) noexcept
    try {
  auto* old = static_cast<Shared*>(*old_priv_data);
  if (old == nullptr ||
      std::memcmp(old->layout, HYPER_LMDB_LAYOUT, sizeof HYPER_LMDB_LAYOUT) != 0) {
    return kRefused;
  }
  make_atoms(env);
  if (!open_resource_types(env, old->state)) return kRefused;
  adopt_process_state(old->state->process_state);
  set_state(old->state);
  learn_schedulers(env, info);
  *priv_data = old;
  return kSettled;
} catch (...) {
  return kRefused;
}

// Nothing to free: handles keep the library loaded while a store is open, and the state is leaked.
void unload(ErlNifEnv*, void*) noexcept {}

// Normal: bounded work on memory that is mostly warm. Dirty IO: opens, closes, asks the file
// system, or walks as far as the data goes. Each normal function moves itself to a dirty scheduler
// when the job turns out large. A read on dirty IO answers `busy` where reads of cold stores have
// their share of those schedulers already.
ErlNifFunc functions[] = {
    {"open", 2, &guarded<open>, ERL_NIF_DIRTY_JOB_IO_BOUND},    // creates and maps files
    {"close", 2, &guarded<close>, ERL_NIF_DIRTY_JOB_IO_BOUND},  // starts a thread
    {"watch", 2, &guarded<watch>, 0},                           // a place in a table
    {"info", 1, &guarded<info>, ERL_NIF_DIRTY_JOB_IO_BOUND},    // stats the file
    {"stores", 0, &guarded<stores>, 0},                         // a copy of a table
    {"begin_backup", 3, &guarded<begin_backup>, ERL_NIF_DIRTY_JOB_IO_BOUND},  // starts a thread

    {"get", 2, &guarded<get>, 0},              // one look-up; over 512 KiB dirty IO
    {"exists", 2, &guarded<exists>, 0},        // one look-up
    {"read_link", 2, &guarded<read_link>, 0},  // one look-up
    {"read", 2, &guarded<read>, 0},            // 200 look-ups and 512 KiB; more on dirty IO
    {"type", 2, &guarded<type>, 0},            // 200 look-ups; more on dirty IO
    {"resolve", 2, &guarded<resolve>, 0},      // 200 look-ups; more on dirty IO
    {"read_many", 2, &guarded<read_many>, 0},  // 256 paths, 2 MiB; more on dirty IO
    {"read_many_keys", 2, &guarded<read_many_keys>, 0},  // 256 keys, 2 MiB; more on dirty IO
    {"prefetch", 2, &guarded<prefetch>, ERL_NIF_DIRTY_JOB_IO_BOUND},        // waits for the disk
    {"list", 3, &guarded<list>, ERL_NIF_DIRTY_JOB_IO_BOUND},                // 2,000 names
    {"list_prefix", 3, &guarded<list_prefix>, ERL_NIF_DIRTY_JOB_IO_BOUND},  // 2,000 keys
    {"range", 2, &guarded<range>, 0},  // 256 entries, 1,024 records; parts of 2,000 on dirty IO
    {"snapshot_open", 2, &guarded<snapshot_open>, 0},    // a renewed transaction, or its turn
    {"snapshot_leave", 2, &guarded<snapshot_leave>, 0},  // a turn out of the line
    {"snapshot_close", 1, &guarded<snapshot_close>, 0},  // a flag, and a transaction reset

    {"put", 3, &guarded<put>, 0},            // done at once, or not at all
    {"put_path", 3, &guarded<put_path>, 0},  // done at once, or not at all
    {"write", 2, &guarded<write>, 0},        // 100 elements at once, or not at all
    {"enqueue", 4, &guarded<enqueue>, 0},    // copies 1,000 elements; more on dirty CPU
    {"enqueue_control", 3, &guarded<enqueue_control>, 0},  // a message to a thread

    {"batch_begin", 1, &guarded<batch_begin>, 0},                          // an allocation
    {"batch_add", 2, &guarded<batch_add>, 0},                              // a copy of one element
    {"batch_take", 1, &guarded<batch_take>, ERL_NIF_DIRTY_JOB_CPU_BOUND},  // a copy of them all
};

}  // namespace

}  // namespace hyper_lmdb::nif

extern "C" {
ERL_NIF_INIT(hyper_lmdb_nif, hyper_lmdb::nif::functions, hyper_lmdb::nif::load, nullptr,
             hyper_lmdb::nif::upgrade, hyper_lmdb::nif::unload)
}
