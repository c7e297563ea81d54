// What all stores of one process share, for a library that is loaded twice into it.
#pragma once

namespace hyper_lmdb {

/// The table that keeps two stores from opening one directory, and how much address space all
/// stores take.
void* process_state() noexcept;

/// Uses those of another copy of this library, built from the same headers. To be called before any
/// store is opened through this copy.
void adopt_process_state(void* state) noexcept;

}  // namespace hyper_lmdb
