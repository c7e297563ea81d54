// A batch in a write transaction of LMDB: what it changes.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "paths/links.h"
#include "paths/path_view.h"
#include "read/read_call.h"

namespace hyper_lmdb {

/// What `apply` works on.
struct ApplyTarget {
  MDB_txn* txn;
  MDB_dbi dbi;
  Links* links;  ///< told of every link that changes
  Clock clock;
  bool checksum;  ///< of the records written
  std::uint64_t page_bytes;
  std::uint64_t leaf_pages;     ///< of the tree
  ReadCall* reading = nullptr;  ///< null where the write may wait for the disk
  /// Asks for pages beyond those of the estimate, for a record that has to be written again.
  FunctionRef<Result<void>(std::uint64_t pages)> more_pages;
};

/// Applies puts, links, marks and removals: for one key in the order given, or all in the order
/// given where a link may turn up on the way of a path. Errors: bad_key with the index, for a path
/// that leads nowhere; as LMDB. After an error the transaction must be aborted.
Result<void> apply(const ApplyTarget& target, std::span<const Op> ops);

struct RemovedPart {
  std::uint64_t records = 0;
  std::string next;  ///< a key: none behind it was looked at; empty where all are removed
};
/// Removes records whose key begins with `prefix` and is not before `from`, `most` at most.
Result<RemovedPart> remove_prefix(const ApplyTarget& target, std::string_view prefix,
                                  std::string_view from, std::uint64_t most);

}  // namespace hyper_lmdb
