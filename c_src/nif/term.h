// Erlang terms to core values and back. The only place that turns an Error into a term.
#pragma once

#include <erl_nif.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb::nif {

/// Every atom the library answers with, made once at load so that no input can add any.
struct Atoms {
  ERL_NIF_TERM ok, error, more, not_found, true_, false_, undefined, queue, queued, wait, go, none,
      badarg, put, delete_, check, absent, link, group, write, make_link, make_group, paths, reset,
      sync, delete_prefix, simple, composite, committed, not_started, name, sync_mode, async_mode,
      map_async_mode, error_mode, reset_mode, done, lz4, zstd, snapshot, busy, value;
};
const Atoms& atoms() noexcept;
void make_atoms(ErlNifEnv* env);

/// `{error, Reason}`; `busy` where the call is to be made again in a while.
ERL_NIF_TERM make_error(ErlNifEnv* env, const Error& error);
/// `{error, Reason}` of a single operation, where an index would say nothing.
ERL_NIF_TERM make_single_error(ErlNifEnv* env, Error error);
/// `{badarg, Position}`: the argument of a wrong type, from 1. The Erlang side raises it.
ERL_NIF_TERM make_badarg(ErlNifEnv* env, int position);
/// `{error, not_started}`: a name that no start was given.
ERL_NIF_TERM make_not_started(ErlNifEnv* env);
/// `ok` or `{error, Reason}`.
ERL_NIF_TERM make_result(ErlNifEnv* env, const Result<void>& result);

std::optional<std::string_view> as_binary(ErlNifEnv* env, ERL_NIF_TERM term) noexcept;

/// A copy of the bytes; nothing where memory is out. Valid in `env`.
std::optional<ERL_NIF_TERM> make_binary(ErlNifEnv* env, std::string_view bytes) noexcept;

/// Which elements a batch may have: those that name keys, or those that name paths.
enum class Elements { keys, paths };

/// An element of a batch; nothing where the term is none.
std::optional<Op> as_op(ErlNifEnv* env, ERL_NIF_TERM term, Elements elements) noexcept;

/// The elements of a batch: a list of those that name keys, or `{paths, List}`.
struct OpList {
  ERL_NIF_TERM list;
  Elements elements;
};
OpList as_op_list(ErlNifEnv* env, ERL_NIF_TERM term) noexcept;

}  // namespace hyper_lmdb::nif
