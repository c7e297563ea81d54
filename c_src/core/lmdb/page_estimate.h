// What a write may take of the file, reckoned before it is made.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <span>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// The shape of a tree, read inside the transaction that is about to change it.
struct TreeShape {
  std::uint64_t page_bytes = 0;
  std::uint64_t depth = 0;
  std::uint64_t leaf_pages = 0;
  std::uint64_t branch_pages = 0;
  std::uint64_t end_page = 0;  ///< first page past the last one in use
  std::uint64_t max_key_bytes = 0;
};
Result<TreeShape> shape_of(MDB_txn* txn, MDB_dbi dbi) noexcept;

/// What batches ask of the tree, added up.
struct PageEstimate {
  std::uint64_t changes = 0;         ///< of any kind
  std::uint64_t inline_bytes = 0;    ///< of puts, on leaf pages
  std::uint64_t overflow_pages = 0;  ///< of puts
  std::uint64_t puts = 0;            ///< changes that add something
  bool empties = false;              ///< everything is removed

  void add(std::span<const Op> ops, const TreeShape& shape) noexcept;
  PageEstimate& operator+=(const PageEstimate& other) noexcept;
};

/// Pages an estimate may take, none reused: an upper bound, generous but finite.
struct PagesNeeded {
  std::uint64_t growth = 0;  ///< pages the data itself adds; deletes add none
  std::uint64_t nodes = 0;   ///< with copies of changed pages
  std::uint64_t total = 0;   ///< and with the free list
};
PagesNeeded pages_needed(const TreeShape& shape, const PageEstimate& estimate) noexcept;

/// How far into the file blocks must be there before the transaction. What puts leave untouched is
/// kept for removals, which must go on when the disk is full.
std::uint64_t reserve_pages(const TreeShape& shape, const PageEstimate& estimate,
                            const PagesNeeded& needed) noexcept;

struct FreePages {
  std::uint64_t all = 0;       ///< that hold nothing, as of a read transaction
  std::uint64_t unpinned = 0;  ///< those of them that no open reader sees
  std::uint64_t usable = 0;    ///< and that the next write transaction may use: what one frees is
                               ///< kept for a while
};
/// Walks the free list.
Result<FreePages> free_pages(MDB_txn* txn) noexcept;

}  // namespace hyper_lmdb
