// A store: one LMDB environment in one directory, with its reader pool and its writer.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/reader.h"
#include "hyper_lmdb/result.h"
#include "hyper_lmdb/write_queue.h"

namespace hyper_lmdb {

class Snapshot;

/// A picture of a store, taken at one moment. Sizes are bytes.
struct Info {
  std::string directory;
  std::string store_id;  ///< 32 hexadecimal digits, chosen when the store was created
  Settings settings;
  bool capacity_reduced = false;  ///< no more than `settings.capacity` of the default was to be had
  std::uint64_t entries = 0;      ///< records in LMDB, the store's own left out
  std::uint64_t buffered_keys = 0;    ///< keys written and not yet in LMDB
  std::uint64_t buffer_bytes = 0;     ///< memory of the write buffers
  std::uint64_t journal_bytes = 0;    ///< of the segment that is written
  std::uint64_t applied_buffers = 0;  ///< buffers that went into LMDB
  bool apply_stalled = false;         ///< a buffer cannot go into LMDB for now, as on a full disk
  bool cold = false;  ///< many pages are not in memory: calls that may not wait are refused
  std::uint64_t replayed_records = 0;  ///< batches the opening found in the journal
  std::uint64_t replayed_bytes = 0;
  std::uint64_t page_size = 0;
  std::uint64_t max_key_bytes = 0;  ///< as Reader's
  std::uint64_t tree_depth = 0;
  std::uint64_t map_bytes = 0;   ///< address space in use for the file
  std::uint64_t file_bytes = 0;  ///< blocks the file takes on disk
  std::uint64_t used_bytes = 0;  ///< up to the last page in use; free pages inside included
  std::uint64_t last_transaction_id = 0;
  std::uint64_t reader_slots = 0;        ///< of the environment
  std::uint64_t reader_slots_used = 0;   ///< ever taken at the same time
  std::uint64_t snapshots = 0;           ///< open ones
  std::uint64_t oldest_snapshot_ms = 0;  ///< age of the oldest
  std::uint64_t writes_inline = 0;       ///< transactions committed on the caller's thread
  std::uint64_t groups = 0;              ///< transactions committed by the writer thread
  std::uint64_t grouped_writes = 0;      ///< requests those groups held
  std::uint64_t links = 0;               ///< in the store
  std::uint64_t path_cache_hits = 0;
  std::uint64_t path_cache_misses = 0;
  std::uint64_t path_cache_evictions = 0;
  std::uint64_t path_cache_size = 0;  ///< entries
  std::uint64_t queued_bytes = 0;
  std::uint64_t waiting_writers = 0;  ///< parked tickets
  std::uint64_t flushes = 0;          ///< background and asked-for flushes that finished
  bool failed = false;                ///< an earlier flush failed: writes answer env_failed
  const char* lmdb_version = "";
};

/// Thread-safety: every function may be called from any thread at any time, `close` included. A
/// child of `fork` has neither the store's threads nor its locks: there nothing of it may be called
/// or destroyed, and `exec` is all there is to do.
/// Errors common to all: closed, and internal where LMDB answers what its manual does not list.
class Store final : public Reader, public std::enable_shared_from_this<Store> {
 public:
  /// Opens the store in `options.directory`, creating both as needed. One directory (by device and
  /// inode) is one store: a second open returns the same object, or conflicting_option naming the
  /// first given option that differs from the running ones. Waits for a close under way. `*opened`
  /// says whether it was this call that opened it. Blocks.
  /// Errors: bad_option, conflicting_option, already_open, not_a_database, version_mismatch,
  /// unknown_format, corrupted, unclean_shutdown, no_such_directory, permission_denied,
  /// unsupported_fs, too_many_files, too_many_threads, no_memory, disk_full, quota_exceeded,
  /// io_error.
  static Result<std::shared_ptr<Store>> open(const Options& options,
                                             const ThreadApi& threads = posix_threads(),
                                             bool* opened = nullptr);

  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  /// Lets calls in flight finish, but for a backup, does what is queued, flushes (map_async) or
  /// applies what is buffered (else; on a full disk it stays in the journal, flushed) and closes.
  /// Blocks. A second call waits for the first and answers closed. Errors: io_error where the last
  /// flush failed; the store is closed all the same.
  Result<void> close();
  bool is_open() const noexcept;
  const Settings& settings() const noexcept;
  /// As Info::cold.
  bool is_cold() const noexcept;

  /// Writes all elements or none and returns when the write is visible and as durable as the store
  /// promises. In order; a check sees the elements before it. Blocks.
  /// Errors: with `index`: bad_key, key_too_large, value_too_large, check_failed; for the whole:
  /// batch_too_large, map_full, disk_full, quota_exceeded, file_too_large, io_error, env_failed,
  /// read_only, overloaded.
  Result<void> batch_write(std::span<const Op> ops);
  Result<void> put(std::string_view key, std::string_view value);
  Result<void> remove(std::string_view key);

  /// Removes every record whose key begins with `prefix` (bytes as they are; none is all) and
  /// counts them. In parts: each is atomic, the whole is not. Blocks. Errors as `batch_write`.
  Result<std::uint64_t> remove_prefix(std::string_view prefix);

  /// Empties the store at one moment. Blocks. Errors as `batch_write`.
  Result<void> reset();

  /// Returns when everything acknowledged before the call is on disk. Callers share a flush.
  /// Blocks. Errors: io_error, env_failed, read_only.
  Result<void> sync();

  /// Copies the store into a new file, as it is at one moment after the call, with everything
  /// acknowledged before it: the `data.mdb` of another store, with an id of its own. Reads and
  /// writes go on meanwhile; `close` ends it between two records: closed. The pages of the copy are
  /// full and none is free. The file, mode 0600, takes its name when it is whole and on disk; after
  /// an error nothing is left. A read-only store may be copied too. Blocks. One at a time: another
  /// one is overloaded. Errors: bad_option (`file`), exists, no_such_directory, permission_denied,
  /// disk_full, quota_exceeded, file_too_large, io_error, readers_full, too_many_files, overloaded,
  /// env_failed, corrupted, no_memory.
  Result<void> backup(std::string_view file);

  /// What is in the store now, to be read later. Half of the reader slots may have one: past that,
  /// and where others have waited for longer, it is busy, and `turn`, unless null, says where in
  /// the line to come again. Waits for a reader slot as long as the effort allows; then it is busy,
  /// too. Errors: readers_full where other processes have all slots, work_limit where the effort
  /// allows no wait and it takes a system call to know.
  Result<std::shared_ptr<Snapshot>> snapshot(SnapshotTurn* turn = nullptr,
                                             const Effort& effort = {});

  /// Gives a turn back that `snapshot` will not be asked for again.
  void leave_snapshot_line(const SnapshotTurn& turn) noexcept;

  /// Errors: busy and readers_full as of a read.
  Result<Info> info(const Effort& effort = {}) const;

  /// The non-blocking way to write.
  ///
  /// `try_write` does the write at once where nothing has to be waited for, and else returns
  /// nothing: then `reserve(bytes)` room, or `park` a ticket and go on when it is granted; then
  /// `submit`. After an error from `submit` the request is still the caller's.
  std::optional<Result<void>> try_write(std::span<const Op> ops);
  /// Roughly how long `pack` takes; 0 where nothing is to be compressed.
  std::chrono::nanoseconds packing_time(std::span<const Op> ops) const noexcept;
  /// Compresses the values that are to be stored so. For requests that are submitted: a value that
  /// was not packed is stored as it is. `try_write` and `batch_write` do it themselves, `try_write`
  /// where it takes no longer than kMostPackingAtOnce. `memory` must live as long as the elements.
  Result<void> pack(std::span<Op> ops, PackedValues* memory) const;
  static constexpr std::chrono::microseconds kMostPackingAtOnce{100};
  /// What `batch_write` would refuse before looking at the store.
  Result<void> check(std::span<const Op> ops) const;
  Result<Admission> reserve(std::uint64_t bytes);
  /// Gives back room that was reserved and is not used.
  void give_back(std::uint64_t bytes) noexcept;
  /// As `reserve`, but where there is no room the ticket waits its turn, first come first served.
  /// A ticket is used once. Errors: closed, overloaded.
  Result<Admission> park(const std::shared_ptr<Ticket>& ticket);
  /// Gives up a ticket's turn, or the room it was granted and did not use. Never blocks for long.
  void cancel(Ticket& ticket) noexcept;
  /// Hands over a request whose `bytes` were reserved, or granted to `ticket`; the room is given
  /// back after `done`, and at once where this fails. Kind::sync and Kind::backup need no room.
  /// Errors: closed, internal for a ticket that was not granted; for a backup also overloaded.
  Result<void> submit(Request* request, Ticket* ticket = nullptr);

  using Impl = StoreImpl;  ///< not for users

 private:
  explicit Store(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> owned_;
};

/// One moment of a store. It keeps pages of the file and buffers in memory from being used again,
/// so it ends by itself: after `max_snapshot_age_ms`, as the oldest one when snapshots keep more
/// than twice `write_buffer_bytes` of buffers, and with the store.
///
/// Thread-safety: as Store; reads of several threads take turns. Errors: as those of Store, and
/// snapshot_expired once it has ended.
class Snapshot final : public Reader {
 public:
  ~Snapshot();
  /// Ends it now. A read under way finishes. Waits for nothing, takes no lock.
  void release() noexcept;
  /// As Store::backup, of this moment. Other reads through the snapshot go on meanwhile.
  Result<void> backup(std::string_view file) const;
  /// As Store::submit, for a Kind::backup of this moment.
  Result<void> submit_backup(Request* request) const;
  const std::shared_ptr<Store>& store() const noexcept { return store_; }

 private:
  friend class Store;
  Snapshot(std::shared_ptr<Store> store, StoreImpl* impl,
           std::shared_ptr<OpenSnapshot> open) noexcept;
  std::shared_ptr<Store> store_;
  std::shared_ptr<OpenSnapshot> open_;
};

/// The version of the liblmdb in use, as it names itself.
const char* lmdb_version() noexcept;

}  // namespace hyper_lmdb
