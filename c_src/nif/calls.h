// The functions Erlang calls. Each answers a term and never raises: a wrong type is
// `{badarg, Position}`, which hyper_lmdb turns into an exception that names the argument.
#pragma once

#include <erl_nif.h>

namespace hyper_lmdb::nif {

using Call = ERL_NIF_TERM (*)(ErlNifEnv*, int, const ERL_NIF_TERM[]);

// Lifecycle (lifecycle.cpp)
ERL_NIF_TERM open(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM close(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM watch(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM info(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM stores(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM begin_backup(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

// Reads (reads.cpp)
ERL_NIF_TERM get(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM exists(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM read_link(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM read_many_keys(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM prefetch(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM read(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM read_many(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM type(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM resolve(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

// Listings (listings.cpp)
ERL_NIF_TERM list(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM list_prefix(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

// Ranges (ranges.cpp)
ERL_NIF_TERM range(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

// Snapshots (snapshots.cpp)
ERL_NIF_TERM snapshot_open(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM snapshot_leave(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM snapshot_close(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

// Writes (writes.cpp)
ERL_NIF_TERM put(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM put_path(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM write(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM enqueue(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM enqueue_control(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

// Batches that grow call by call (batches.cpp)
ERL_NIF_TERM batch_begin(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM batch_add(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);
ERL_NIF_TERM batch_take(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]);

}  // namespace hyper_lmdb::nif
