// One open store per directory in this process, however the directory is spelled.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "os/directory.h"

namespace hyper_lmdb {

class Store;

namespace registry {

using StorePtr = std::shared_ptr<Store>;

struct Table;
/// What all copies of this library in one process share (process_state.h). It lives as long as the
/// process: a copy that was loaded is never unmapped. Defined where the stamp of the layout looks.
struct ProcessState {
  Table* stores;
  std::atomic<std::uint64_t>* mapped_bytes;
};

/// The store open in this directory, or the one that `open_store` makes. Waits for an opening or a
/// closing of the same directory that is under way; other directories do not wait.
/// `*was_open` says which of the two it was.
Result<StorePtr> find_or_open(const DirectoryId& id, FunctionRef<Result<StorePtr>()> open_store,
                              bool* was_open);

/// The store is about to close: who asks for the directory waits until `closed`.
void closing(const DirectoryId& id);
void closed(const DirectoryId& id);

}  // namespace registry
}  // namespace hyper_lmdb
