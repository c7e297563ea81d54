// Tells the VM how long a call took.
#pragma once

#include <erl_nif.h>

#include <chrono>
#include <cstddef>

namespace hyper_lmdb::nif {

/// Counts the time towards the timeslice of the calling process, which then gives way to others as
/// soon as it would in other code. What is less than a percent of one waits for what the thread
/// does next. Without effect on a dirty scheduler. Thread-safety: any thread that runs a call.
void charge(ErlNifEnv* env, std::chrono::nanoseconds time) noexcept;

/// About what it takes to copy so many bytes, and what follows from that.
constexpr std::chrono::nanoseconds time_of_bytes(std::size_t bytes) noexcept {
  return std::chrono::nanoseconds(bytes / 8);
}

}  // namespace hyper_lmdb::nif
