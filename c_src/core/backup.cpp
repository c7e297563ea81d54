#include "backup.h"

#include <lmdb.h>
#include <sys/stat.h>

#include <new>

#include "apply_buffer.h"
#include "backup_target.h"
#include "data_file.h"
#include "errors.h"
#include "posix.h"

namespace hyper_lmdb {

namespace {

/// The file of LMDB as of one snapshot. LMDB takes the snapshot before it writes anything.
Result<void> copy(const BackupSource& source, int fd, bool compact) {
  if (source.journal != nullptr) {
    const auto begun = [fd] {
      struct stat file;
      return ::fstat(fd, &file) != 0 || file.st_size > 0;
    };
    if (auto settled = source.journal->settle(begun); !settled) return settled;
  }
  if (source.tree != nullptr) source.tree->copying(true);
  Result<void> going_on = source.stop->begin(fd);
  int rc = 0;
  if (going_on) {
    rc = mdb_env_copyfd2(source.env->get(), fd, compact ? MDB_CP_COMPACT : 0);
    going_on = source.stop->end();
  }
  if (source.tree != nullptr) source.tree->copying(false);
  if (source.journal != nullptr) source.journal->go_on();
  if (!going_on || rc == 0) return going_on;
  // That is what LMDB says of pages that are neither in the tree nor free.
  if (rc == MDB_INCOMPATIBLE) {
    return Error{.code = Code::corrupted, .native = rc, .operation = "mdb_env_copyfd2"};
  }
  return from_lmdb(rc, "mdb_env_copyfd2");
}

/// A store of its own, and with what a read-only store found in a journal it may not apply.
Result<void> complete(const Recovered& recovered, const BackupTarget& target) {
  const WriteBuffer* const found = recovered.buffer.get();
  // For each key a page of its own on every level of a tree that grows, and the records.
  constexpr std::uint64_t kMostBytesOfKey = 8ULL << 16;
  const std::uint64_t more_bytes =
      found == nullptr ? 0 : found->keys() * kMostBytesOfKey + 2 * found->bytes_used();
  return make_independent(target.directory(), target.temporary_name(), more_bytes,
                          [&](MDB_txn* txn, MDB_dbi dbi, Identity* identity) {
                            if (found == nullptr) return Result<void>();
                            const std::uint64_t seq = recovered.replayed.last_seq;
                            identity->counts = recovered.counts;
                            identity->applied_seq = seq;
                            identity->applying_seq = 0;
                            return apply_records(txn, dbi, *found, seq);
                          });
}

}  // namespace

Result<void> back_up(const BackupSource& source, const std::string& file, bool compact) try {
  const FileSizeSignalBlock block;
  if (source.failed->load(std::memory_order_acquire)) {
    return Error{.code = Code::env_failed, .operation = "backup"};
  }
  auto target = BackupTarget::create(file);
  if (!target) return target.error();
  auto done = copy(source, target.value().fd(), compact);
  if (done) done = complete(*source.recovered, target.value());
  if (done) done = source.stop->check();
  if (done) done = target.value().keep();
  return done ? done : target.value().explain(done.error());
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "backup"};
}

}  // namespace hyper_lmdb
