#include "disk_turn.h"

#include <erl_nif.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "handles.h"
#include "term.h"

namespace hyper_lmdb::nif {

namespace {

/// Where what is over the limit goes on: memory that is far away, or work for a processor. What is
/// on a dirty scheduler already stays with its kind.
int job_for(const Error& over) noexcept {
  const bool inflates = std::string_view(over.operation) == "inflate" ||
                        enif_thread_type() == ERL_NIF_THR_DIRTY_CPU_SCHEDULER;
  return inflates ? ERL_NIF_DIRTY_JOB_CPU_BOUND : ERL_NIF_DIRTY_JOB_IO_BOUND;
}

}  // namespace

DiskTurn::DiskTurn(const Store& store) noexcept {
  if (!store.is_cold() || enif_thread_type() != ERL_NIF_THR_DIRTY_IO_SCHEDULER) return;
  counted_ = true;
  const int before = state().disk_readers.fetch_add(1, std::memory_order_relaxed);
  granted_ = before < state().most_disk_readers.load(std::memory_order_relaxed);
}

DiskTurn::~DiskTurn() {
  if (counted_) state().disk_readers.fetch_sub(1, std::memory_order_relaxed);
}

bool DiskTurn::hopeless(const Store& store) noexcept {
  return store.is_cold() && state().disk_readers.load(std::memory_order_relaxed) >=
                                state().most_disk_readers.load(std::memory_order_relaxed);
}

void DiskTurn::set_schedulers(int dirty_io) noexcept {
  state().most_disk_readers.store(std::max(1, dirty_io / 2), std::memory_order_relaxed);
}

ERL_NIF_TERM go_elsewhere(ErlNifEnv* env, const Store& store, const Error& over, Call elsewhere,
                          int argc, const ERL_NIF_TERM argv[]) {
  const int job = job_for(over);
  if (job == ERL_NIF_DIRTY_JOB_IO_BOUND && DiskTurn::hopeless(store) &&
      enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER) {
    return atoms().busy;
  }
  return enif_schedule_nif(env, "read", job, elsewhere, argc, argv);
}

}  // namespace hyper_lmdb::nif
