// What a crash, a kill or a full disk left in the journal goes into LMDB before the store opens.
#pragma once

#include <cstdint>
#include <memory>

#include "buffer/write_buffer.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"
#include "journal/journal_replay.h"
#include "lmdb/env.h"

namespace hyper_lmdb {

struct Recovered {
  Replayed replayed;
  RecordCounts counts;  ///< after the last record
  /// What was replayed and could not be applied, because the store is read-only; else null.
  std::shared_ptr<WriteBuffer> buffer;
};

/// Replays the journal, applies it, makes that durable and removes it. A read-only store keeps it
/// in memory and writes nothing. The environment must not map for writing. Can be interrupted at
/// any point and done again. Blocks. Errors: as replay_journal and write_checkpoint; corrupted
/// where the tree is half way to a number the journal does not reach.
Result<Recovered> recover(Env* env, const Settings& settings);

}  // namespace hyper_lmdb
