// A copy of one moment of a store in one file.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "read/read_pool.h"

namespace hyper_lmdb {

/// What a backup is made of.
struct BackupSource {
  MDB_dbi dbi;
  std::uint64_t page_bytes;
  /// A lease of the moment that is copied, the same one each time. It is given back between two
  /// parts of the copy, so that others may read through the same snapshot.
  FunctionRef<Result<ReadPool::Lease>()> lease;
  const std::atomic<bool>* stopped;  ///< looked at between two records
};

/// Writes the records of one moment, in key order and byte for byte as they are stored, into a new
/// file: the `data.mdb` of another store, with an id of its own and no journal. The file takes its
/// name when it is whole and on disk; after an error nothing is left. Blocks, for as long as the
/// copying takes; holds up nobody, but pages and buffers of the moment stay in use until the end.
/// Thread-safety: any thread, one call at a time.
/// Errors: as BackupTarget and `source.lease`; disk_full, quota_exceeded, file_too_large, io_error,
/// too_many_files, corrupted, no_memory; closed once it was stopped.
Result<void> back_up(const BackupSource& source, const std::string& file);

}  // namespace hyper_lmdb
