// A copy of a running store in one file.
#pragma once

#include <atomic>
#include <string>

#include "copy_stop.h"
#include "env.h"
#include "hyper_lmdb/result.h"
#include "journal_writer.h"
#include "recovery.h"
#include "tree_writer.h"

namespace hyper_lmdb {

/// What a backup is made of.
struct BackupSource {
  Env* env;
  TreeWriter* tree;            ///< null where the store is read-only
  JournalWriter* journal;      ///< null where the store has none
  const Recovered* recovered;  ///< what a read-only store found, and LMDB does not have
  const std::atomic<bool>* failed;
  CopyStop* stop;
};

/// Copies the store, as it is at one moment after the call, into a new file: the `data.mdb` of
/// another store, with an id of its own and no journal. Everything acknowledged before the call is
/// in it. Writers go on; for the length of one applied buffer the next one waits, and the pages of
/// the copied snapshot stay in use until the end. With `compact` free pages are left out. The file
/// takes its name when it is whole and on disk; after an error nothing is left. Blocks, for as long
/// as the copying takes. Thread-safety: any thread, one call at a time.
/// Errors: as BackupTarget; disk_full, quota_exceeded, file_too_large, io_error of either file;
/// readers_full, too_many_files, env_failed, corrupted, no_memory; closed once it was stopped.
Result<void> back_up(const BackupSource& source, const std::string& file, bool compact);

}  // namespace hyper_lmdb
