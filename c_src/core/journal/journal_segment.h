// One file of the journal, as it is written: records at its end, flushes behind them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include "format/journal_record.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "os/directory.h"
#include "os/posix.h"

namespace hyper_lmdb {

/// Thread-safety: `begin`, `append`, `has_room`, `room_ready` and `running_low` by one thread at a
/// time (the holder of the write lock), `flush` by one at a time, `prepare_ahead` by one at a time;
/// the three may overlap. `leave_cache` after all of these. `bytes`, `way`, `check_named` and
/// `failed` from anywhere. The destructor only lets go.
class JournalSegment {
 public:
  /// `mapped`: an append is a copy into a shared map. `written`: an append is a pwrite.
  enum class Append { mapped, written };

  /// Makes the file, durably with its name, of at most 1 MiB on disk. It may grow to `most_bytes`.
  /// `mapped` becomes `written` on file systems that do not keep blocks for posix_fallocate.
  /// Blocks. Errors: disk_full, quota_exceeded, file_too_large, too_many_files, permission_denied,
  /// journal_mismatch where there is such a file, no_such_directory where the directory was
  /// removed, io_error; then no file is left behind as far as it can be removed.
  static Result<std::unique_ptr<JournalSegment>> create(const Directory& directory,
                                                        const SegmentId& id,
                                                        std::uint64_t most_bytes, Append preferred);
  JournalSegment(const JournalSegment&) = delete;
  JournalSegment& operator=(const JournalSegment&) = delete;
  ~JournalSegment();

  /// Of one that was made with no first number: what it is. Before the first append.
  void begin(std::uint64_t first_seq) noexcept { next_seq_ = first_seq; }

  /// Whether a record of that size fits, with the page that a flush may skip.
  bool has_room(std::uint64_t payload_bytes) const noexcept;
  /// Whether an append of that size needs neither blocks nor pages that were not touched yet.
  bool room_ready(std::uint64_t payload_bytes) const noexcept;

  /// Whether `prepare_ahead` is due.
  bool running_low() const noexcept;

  /// Appends one record made of the parts; it is with the operating system when this returns. The
  /// payload must not be empty, `seq` must be the next number and more than `flushed_seq`, and
  /// there must be room: else `internal`. Sets blocks aside where `prepare_ahead` has not.
  /// Errors, nothing is appended: disk_full, quota_exceeded, file_too_large, no_memory, io_error,
  /// env_failed after a flush has failed.
  Result<void> append(std::uint64_t seq, std::uint64_t flushed_seq,
                      std::span<const std::string_view> payload_parts);

  /// Sets blocks aside for the appends to come, writes zeros to them (a flush is then spared the
  /// file system's own commit) and brings their pages into the map. Blocks, and so does meanwhile
  /// an append for which room is not ready. Errors: as append's; appends may go on.
  Result<void> prepare_ahead() noexcept;

  /// Makes durable what was appended before the call. Blocks. Errors: io_error, which is final:
  /// from then on `flush` and `append` answer env_failed.
  Result<void> flush();

  /// What was flushed leaves the page cache by and by: with the file it would all at once, which
  /// takes milliseconds. Calls `pause` in between, and ends where that answers false.
  void leave_cache(FunctionRef<bool()> pause) noexcept;

  /// What the records take, with the room that flushes skipped.
  std::uint64_t bytes() const noexcept;
  Append way() const noexcept { return map_ != nullptr ? Append::mapped : Append::written; }
  /// Whether a start would find the file. Errors: as check_named.
  Result<void> check_named() const noexcept { return hyper_lmdb::check_named(file_.get()); }
  bool failed() const noexcept { return failed_.load(std::memory_order_relaxed); }

 private:
  enum class Fill { none, zeros };

  JournalSegment(FileDescriptor file, std::uint64_t first_seq, std::uint64_t most_bytes) noexcept
      : file_(std::move(file)), most_bytes_(most_bytes), next_seq_(first_seq) {}

  Result<void> write_first_step(const SegmentId& id);
  void map_where_blocks_are_kept() noexcept;
  std::uint64_t latest_place() const noexcept;
  std::uint64_t ahead_bytes() const noexcept;
  std::uint64_t ready_bytes() const noexcept;
  Result<void> extend(std::uint64_t bytes, Fill fill) noexcept;
  Result<void> touch(std::uint64_t from, std::uint64_t to) noexcept;
  void forget(std::uint64_t from, std::uint64_t to) noexcept;
  Result<void> put(std::uint64_t seq, std::uint64_t flushed_seq,
                   std::span<const std::string_view> parts, std::uint64_t payload_bytes);
  Error final_failure(int code, const char* operation) noexcept;

  FileDescriptor file_;
  const std::uint64_t most_bytes_;
  char* map_ = nullptr;  // most_bytes_, of which the first allocated_ may be used
  std::uint64_t salt_ = 0;
  std::uint64_t next_seq_;
  std::uint64_t flushed_ = journal::kPageBytes;  // of `flush`; a page's begin in a mapped segment
  std::atomic<bool> failed_{false};

  std::mutex tail_mutex_;  // an append's copy, and the moment in which a flush begins
  std::atomic<std::uint64_t> end_{journal::kPageBytes};  // changed with tail_mutex_ held

  std::mutex room_mutex_;
  std::atomic<std::uint64_t> allocated_{0};  // changed with room_mutex_ held
  std::atomic<std::uint64_t> touched_{0};    // changed by `create` and `prepare_ahead`
};

}  // namespace hyper_lmdb
