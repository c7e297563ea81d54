// The one place that keeps C++ exceptions out of the VM.
#pragma once

#include <erl_nif.h>

#include <new>

#include "calls.h"
#include "term.h"

namespace hyper_lmdb::nif {

/// `Function` with every exception turned into a named error.
template <Call Function>
ERL_NIF_TERM guarded(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) noexcept {
  try {
    return Function(env, argc, argv);
  } catch (const std::bad_alloc&) {
    return make_error(env, {.code = Code::no_memory});
  } catch (...) {
    return make_error(env, {.code = Code::internal});
  }
}

}  // namespace hyper_lmdb::nif
