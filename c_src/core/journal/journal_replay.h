// Reads the journal back: what it holds beyond what LMDB has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "os/directory.h"

namespace hyper_lmdb {

/// Thread-safety: all three may be called from any thread, while nobody writes the segments. They
/// block. Errors common to all: io_error, too_many_files, permission_denied.

/// The segments' file names, by generation. Whether they are whole is not looked at.
Result<std::vector<std::string>> journal_segments(const Directory& directory);

/// What all of them take. Errors: as fstat(2).
Result<std::uint64_t> journal_bytes(const Directory& directory);

struct Replayed {
  std::uint64_t last_seq = 0;         ///< the last record's number, or applied_seq if that is more
  std::uint64_t records = 0;          ///< delivered
  std::uint64_t bytes = 0;            ///< of their payloads
  std::uint64_t last_generation = 0;  ///< the newest file's, half-made or not; 0 without a file
  bool torn_tail = false;             ///< something lies behind the last record that is none
  std::uint64_t lost_generation = 0;  ///< the first segment behind a lost end; 0 without one
};

/// Hands every record beyond `applied_seq` to `on_record`, in order, and checks those before. Its
/// error ends the replay and is answered. Writes nothing. A record that was lost or damaged ends
/// the journal, unless something says that it had been flushed: then it is `corrupted`. (Records
/// before it were delivered by then.) Of what is lost only numbers beyond `applied_seq` count. A
/// newest segment without a whole header and without a record is what a crash leaves of `create`,
/// and counts as not there. One that was made ahead of its use and holds nothing says nothing.
/// Errors: corrupted; journal_mismatch for a segment of another store, a missing one, or a journal
/// that begins after applied_seq + 1; version_mismatch; no_memory.
Result<Replayed> replay_journal(
    const Directory& directory, std::string_view store_id, std::uint64_t applied_seq,
    FunctionRef<Result<void>(std::uint64_t seq, std::string_view payload)> on_record);

/// Removes the segments, durably. Those behind a lost end go one by one, the newest first: without
/// the segment before it each of them would be a journal with a gap.
Result<void> remove_segments(const Directory& directory, const Replayed& replayed);

}  // namespace hyper_lmdb
