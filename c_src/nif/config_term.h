// What a store is opened with, and what it says of itself, as terms.
#pragma once

#include <erl_nif.h>

#include <string_view>

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"
#include "hyper_lmdb/store.h"

namespace hyper_lmdb::nif {

/// A list of `{Option, Value}` as hyper_lmdb_options makes it. Errors: bad_option.
Result<Options> as_options(ErlNifEnv* env, std::string_view directory, ERL_NIF_TERM list);

ERL_NIF_TERM make_info(ErlNifEnv* env, const Info& info);

}  // namespace hyper_lmdb::nif
