// One LMDB environment: how it is created, opened, limited and closed.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"
#include "lmdb/data_file.h"
#include "lmdb/dirty_mark.h"
#include "lmdb/disk_space.h"
#include "lmdb/mapped_space.h"
#include "lmdb/version.h"
#include "os/directory.h"

namespace hyper_lmdb {

/// LMDB's and the system's io_error for a write that was cut short, as disk_full or file_too_large
/// where the file has no more room. Any other error as it is.
Error explain_shortage(Error error, int fd) noexcept;

/// Thread-safety: as liblmdb's environment; `mapped_space` belongs to whoever holds the write lock.
class Env {
 public:
  /// Takes the directory over: locks it, creates or checks the data file, deals with what an OS
  /// crash left, and opens LMDB. Errors: as `Store::open`.
  /// `journal_bytes` of a journal that is there can be applied, whatever the capacity.
  static Result<std::unique_ptr<Env>> open(Directory directory, const Settings& settings,
                                           std::uint64_t journal_bytes = 0);

  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;
  ~Env();

  /// Flushes a map_async store and takes its mark away, then closes. No transaction may be alive.
  /// With `failed` the mark stays. Errors: io_error.
  Result<void> close(bool failed);

  /// A flush of a map_async store failed: no later open may trust the file.
  /// Thread-safe. Blocks.
  void distrust() const noexcept;

  MDB_env* get() const noexcept { return env_; }
  MDB_dbi dbi() const noexcept { return dbi_; }
  /// The file in another environment, for readers: LMDB gives one up, for readers too, when a meta
  /// page cannot be written, as on a disk that is full. What is in the file is as good as before,
  /// and nobody writes it any more. Thread-safe. Errors: as opening.
  Result<MDB_env*> for_reading() noexcept;
  const Directory& directory() const noexcept { return directory_; }
  /// After `close`: the directory, still locked.
  Directory take_directory() noexcept { return std::move(directory_); }
  /// Whether a start would find the store again: not once its directory or its data file was
  /// removed, moved or replaced. Errors: as Directory::check_file.
  Result<void> check_named() const noexcept;
  const std::string& store_id() const noexcept { return identity_.store_id; }
  /// As of the opening, which saw `version()`.
  const RecordCounts& counts() const noexcept { return identity_.counts; }
  std::uint64_t version() const noexcept { return version_; }
  /// The journal's last number that is in the tree, and the one it was on the way to at the
  /// opening.
  std::uint64_t applied_seq() const noexcept { return identity_.applied_seq; }
  std::uint64_t applying_seq() const noexcept { return identity_.applying_seq; }
  /// After a commit that says so, by whoever may begin write transactions.
  void applied(std::uint64_t seq, const RecordCounts& counts) noexcept {
    identity_.applied_seq = seq;
    identity_.applying_seq = 0;
    identity_.counts = counts;
  }
  /// What an error of a write transaction comes from.
  Error explain(Error error) noexcept;
  /// After a transaction that found no room and is over: pages it wrote behind the last one in use
  /// must not keep the disk full. Nobody may be writing. Not under a writable map.
  void cut_tail(Code why) noexcept;
  std::uint64_t page_bytes() const noexcept { return page_bytes_; }
  /// As Settings::checkpoint_pages.
  std::uint64_t checkpoint_pages() const noexcept { return checkpoint_pages_; }
  std::size_t max_key_bytes() const noexcept { return hyper_lmdb::max_key_bytes(env_); }
  /// Bytes the store may hold: the option, or where that was not given what the address space had
  /// room for.
  std::uint64_t capacity() const noexcept { return capacity_; }
  unsigned reader_slots() const noexcept;
  /// Bytes the data file takes on disk. Errors: as fstat(2).
  Result<std::uint64_t> file_bytes() const;
  bool mapped_writes() const noexcept { return mapped_writes_; }
  /// Blocks set aside for the writable map; used in map_async only.
  MappedSpace& mapped_space() noexcept { return mapped_space_; }
  /// What the disk has room for, as of the last `look_at_disk`. In map_async nobody looks.
  const DiskSpace& disk_space() const noexcept { return disk_space_; }
  /// As DiskSpace::look. Thread-safe. Blocks.
  int look_at_disk() noexcept;

 private:
  Env() = default;
  Result<void> prepare_files(const Settings& settings);
  Result<void> open_data_file(const Settings& settings);
  Result<void> make_data_file(std::uint64_t page_bytes, const Settings& settings);
  Result<void> take_data_file(FileDescriptor file, Lock lock, bool force);
  Result<void> prepare_lock_file(bool read_only);
  Result<void> open_lmdb(const Settings& settings);
  Result<void> try_open_lmdb(const Settings& settings);
  Result<void> open_tree();
  Result<void> hold_lock_file();
  int lock_file_lock(short type, off_t byte) noexcept;
  void unmap() noexcept;

  Directory directory_;
  FileDescriptor data_file_;  // locked, so that no other name of the file is opened meanwhile
  MDB_env* env_ = nullptr;
  std::mutex reading_mutex_;
  MDB_env* reading_ = nullptr;  // guarded by reading_mutex_
  MDB_dbi dbi_ = 0;
  Identity identity_;
  std::uint64_t version_ = 0;
  std::string boot_;
  std::uint64_t page_bytes_ = 0;
  std::uint64_t checkpoint_pages_ = 0;
  FileShape found_;  // the file before it was opened
  std::uint64_t capacity_ = 0;
  std::uint64_t journal_bytes_ = 0;
  std::uint64_t map_bytes_ = 0;
  bool mapped_writes_ = false;
  bool read_only_ = false;
  bool uses_lock_file_ = false;
  bool flush_at_open_ = false;
  bool marked_ = false;
  bool opened_ = false;
  MarkState mark_found_ = MarkState::clean;
  FileDescriptor lock_file_;
  MappedSpace mapped_space_;
  DiskSpace disk_space_;
};

}  // namespace hyper_lmdb
