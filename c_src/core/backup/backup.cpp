#include "backup/backup.h"

#include <lmdb.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>
#include <utility>

#include "backup/backup_target.h"
#include "format/identity.h"
#include "format/record.h"
#include "hyper_lmdb/reader.h"
#include "lmdb/data_file.h"
#include "lmdb/txn.h"
#include "lmdb/version.h"
#include "os/errors.h"
#include "os/file_blocks.h"
#include "os/posix.h"
#include "read/view.h"

namespace hyper_lmdb {

namespace {

// Larger transactions are no faster, and hold a snapshot's other readers up for longer.
constexpr std::uint64_t kPartBytes = 2 << 20;
constexpr std::uint64_t kNodeBytes = 16;  // at most, what LMDB puts beside key and value

/// A data file that is made in key order, so that its pages are full. Nothing of it is on disk for
/// sure before it is flushed as a whole, at the end.
class NewDataFile {
 public:
  /// In the empty file of the target.
  static Result<NewDataFile> open(const BackupTarget& target, std::uint64_t page_bytes) {
    auto env = open_alone(target.directory(), target.temporary_name(), target.fd(), MDB_NOSYNC,
                          kPartBytes, kPageSizeToChoose ? page_bytes : 0);
    if (!env) return env.error();
    MDB_stat stat;
    if (const int rc = mdb_env_stat(env.value().get(), &stat); rc != 0) {
      return from_lmdb(rc, "mdb_env_stat");
    }
    return NewDataFile(std::move(env).value(), target.fd(), stat.ms_psize);
  }

  /// Whether the record belongs into the part under way, or a new one is to be begun.
  bool has_room(std::string_view key, std::string_view bytes) const noexcept {
    return !part_ || part_->bytes + size_of(key, bytes) <= kPartBytes;
  }

  /// Behind all keys before. Errors: as LMDB.
  Result<void> append(std::string_view key, std::string_view bytes) {
    if (!part_) {
      if (auto begun = begin(size_of(key, bytes)); !begun) return begun;
    }
    MDB_val name = to_val(key);
    MDB_val value = to_val(bytes);
    if (const int rc = mdb_cursor_put(part_->cursor.get(), &name, &value, MDB_APPEND); rc != 0) {
      return from_lmdb(rc, "mdb_cursor_put");
    }
    part_->bytes += size_of(key, bytes);
    return {};
  }

  /// Ends a part, which is written to the disk while the next one is made: the kernel never has
  /// more than two of them to write, which other files' flushes would wait for. Errors: as LMDB.
  Result<void> end_part() {
    if (!part_) return {};
    WriteTxn txn = std::move(part_->txn);
    part_.reset();
    if (auto done = txn.commit(); !done) return done;
    const std::uint64_t begun = begun_;
    begun_ = std::max(begun, used_bytes());
    int rc = begin_write_out(fd_, begun, begun_);
    if (rc == 0 && on_disk_ != begun) rc = write_out(fd_, on_disk_, begun);
    if (rc != 0) return from_errno(errno, "write out backup");
    on_disk_ = begun;
    return {};
  }

  /// Errors: as LMDB.
  Result<void> finish(const Identity& identity) {
    if (auto begun = begin(kPartBytes); !begun) return begun;
    auto written = write_identity(part_->txn.get(), part_->dbi, identity);
    return written ? end_part() : written;
  }

 private:
  struct Part {
    WriteTxn txn;
    MDB_dbi dbi;
    Cursor cursor;  // before the transaction
    std::uint64_t bytes = 0;
  };

  NewDataFile(MdbEnvPtr env, int fd, std::uint64_t page_bytes) noexcept
      : env_(std::move(env)), fd_(fd), page_bytes_(page_bytes) {}

  static std::uint64_t size_of(std::string_view key, std::string_view bytes) noexcept {
    return key.size() + bytes.size() + kNodeBytes;
  }

  std::uint64_t used_bytes() const noexcept {
    MDB_envinfo info;
    mdb_env_info(env_.get(), &info);  // of an open environment it cannot fail
    return (info.me_last_pgno + 1) * page_bytes_;
  }

  Result<void> begin(std::uint64_t first_bytes) {
    if (auto fits = fit_map(first_bytes); !fits) return fits;
    auto txn = WriteTxn::begin(env_.get());
    if (!txn) return txn.error();
    auto dbi = open_main_tree(txn.value().get());
    if (!dbi) return dbi.error();
    auto cursor = Cursor::open(txn.value().get(), dbi.value());
    if (!cursor) return cursor.error();
    part_.emplace(Part{std::move(txn).value(), dbi.value(), std::move(cursor).value()});
    return {};
  }

  /// The map must hold what is there and one part more. That of the source will not do: it is as
  /// large as a store may ever grow.
  Result<void> fit_map(std::uint64_t first_bytes) {
    // A page is at least half full; branch pages, free pages and the last one of a value add less.
    const std::uint64_t most_bytes = used_bytes() + first_bytes + 4 * kPartBytes;
    MDB_envinfo info;
    mdb_env_info(env_.get(), &info);
    if (most_bytes <= info.me_mapsize) return {};
    const int rc = mdb_env_set_mapsize(env_.get(), most_bytes + most_bytes / 4);
    return rc == 0 ? Result<void>() : from_lmdb(rc, "mdb_env_set_mapsize");
  }

  MdbEnvPtr env_;
  int fd_;
  std::uint64_t page_bytes_;
  // The file up to here is being written out, and is on disk.
  std::uint64_t begun_ = 0;
  std::uint64_t on_disk_ = 0;
  std::optional<Part> part_;  // before env_
};

/// Counts what the store must know of its records. One it cannot read is copied all the same.
void count(std::string_view bytes, RecordCounts* counts) noexcept {
  const auto record = decode(bytes);
  if (!record) return;
  if (record.value().kind == Kind::link) ++counts->links;
  if (record.value().group) ++counts->marks;
}

class Copy {
 public:
  Copy(const BackupSource& source, NewDataFile* file) noexcept : source_(source), file_(file) {}

  Result<RecordCounts> run() {
    for (bool more = true; more;) {
      auto part = copy_part();
      if (part) {
        if (auto done = file_->end_part(); !done) return done.error();
        more = part.value();
      } else {
        return part.error();
      }
    }
    return counts_;
  }

 private:
  /// As many records as one part takes; false where they were the last.
  Result<bool> copy_part() {
    auto lease = source_.lease();
    if (!lease) return lease.error();
    auto cursor = ViewCursor::open(lease.value().view(source_.dbi), kNoLimit);
    if (!cursor) return cursor.error();
    auto there = cursor.value().seek(next_);
    for (; there && there.value(); there = cursor.value().next()) {
      if (source_.stopped->load(std::memory_order_relaxed)) {
        return Error{.code = Code::closed, .operation = "backup"};
      }
      const std::string_view key = cursor.value().key();
      if (key == kReservedKey) continue;  // the copy says something else about itself
      const std::string_view bytes = cursor.value().bytes();
      if (!file_->has_room(key, bytes)) {
        next_ = key;
        return true;
      }
      if (auto done = file_->append(key, bytes); !done) return done.error();
      count(bytes, &counts_);
    }
    return there ? Result<bool>(false) : there;
  }

  const BackupSource& source_;
  NewDataFile* file_;
  std::string next_;  // the first key of the next part
  RecordCounts counts_;
};

Result<void> copy(const BackupSource& source, const BackupTarget& target) {
  auto id = random_hex();
  if (!id) return id.error();
  auto file = NewDataFile::open(target, source.page_bytes);
  if (!file) return file.error();
  auto counts = Copy(source, &file.value()).run();
  if (!counts) return counts.error();
  return file.value().finish({.store_id = id.value(), .counts = counts.value()});
}

}  // namespace

Result<void> back_up(const BackupSource& source, const std::string& file) try {
  const FileSizeSignalBlock block;
  auto target = BackupTarget::create(file);
  if (!target) return target.error();
  auto done = copy(source, target.value());
  if (done && source.stopped->load(std::memory_order_relaxed)) {
    done = Error{.code = Code::closed, .operation = "backup"};
  }
  if (done) done = target.value().keep();
  return done ? done : target.value().explain(done.error());
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "backup"};
}

}  // namespace hyper_lmdb
