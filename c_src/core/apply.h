// A batch in a write transaction of LMDB: what it changes.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <span>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "links.h"
#include "path_view.h"
#include "reading.h"

namespace hyper_lmdb {

/// What `apply` works on.
struct ApplyTarget {
  MDB_txn* txn;
  MDB_dbi dbi;
  Links* links;  ///< told of every link that changes
  Clock clock;
  bool checksum;  ///< of the records written
  std::uint64_t page_bytes;
  std::uint64_t leaf_pages;    ///< of the tree
  Reading* reading = nullptr;  ///< null where the write may wait for the disk
  /// Asks for pages beyond those of the demand, for a record that has to be written again.
  FunctionRef<Result<void>(std::uint64_t pages)> more_pages;
};

/// Applies puts, links, marks and removals: for one key in the order given, or all in the order
/// given where a link may turn up on the way of a path. Errors: bad_key with the index, for a path
/// that leads nowhere; as LMDB. After an error the transaction must be aborted.
Result<void> apply(const ApplyTarget& target, std::span<const Op> ops);

/// Removes records whose key begins with `prefix`, `most` at most, and counts them.
Result<std::uint64_t> remove_prefix(const ApplyTarget& target, std::string_view prefix,
                                    std::uint64_t most);

}  // namespace hyper_lmdb
