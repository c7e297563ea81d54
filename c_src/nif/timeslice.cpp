#include "timeslice.h"

#include <algorithm>
#include <cstdint>

namespace hyper_lmdb::nif {

namespace {

// The manual of erl_nif gives a timeslice as a millisecond, but it is 4,000 reductions, and
// compiled Erlang spends those in 10 to 100 us. So should a process that calls this library, or
// each of many would run ten times as long as its turn is in other code.
constexpr std::chrono::microseconds kPercent{1};

}  // namespace

void charge(ErlNifEnv* env, std::chrono::nanoseconds time) noexcept {
  static thread_local std::chrono::nanoseconds owed{0};
  owed += time;
  if (owed < kPercent) return;
  enif_consume_timeslice(env, static_cast<int>(std::min<std::int64_t>(100, owed / kPercent)));
  owed %= kPercent;
}

}  // namespace hyper_lmdb::nif
