#include "env.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "clean_mark.h"
#include "data_file.h"
#include "errors.h"
#include "hyper_lmdb/store.h"
#include "map_size.h"

namespace hyper_lmdb {

Result<std::unique_ptr<Env>> Env::open(Directory directory, const Settings& settings) {
  // The file is extended to the size of the map, which may pass RLIMIT_FSIZE.
  const FileSizeSignalBlock block;
  std::unique_ptr<Env> env(new Env);
  env->directory_ = std::move(directory);
  env->mapped_writes_ = settings.durability == Durability::map_async && !settings.read_only;
  env->shared_ = settings.shared;
  env->boot_ = boot_id();
  if (auto done = env->prepare_files(settings); !done) return done.error();
  if (auto done = env->open_lmdb(settings); !done) return done.error();
  if (auto done = env->open_tree(); !done) return done.error();
  if (auto done = env->hold_lock_file(); !done) return done.error();
  if (settings.shared && !settings.read_only) {
    if (auto done = env->directory_.share(); !done) return done.error();
  }
  env->opened_ = true;
  return env;
}

Env::~Env() {
  if (env_ != nullptr) unmap();
  // An opening that failed has written nothing: what was clean still is.
  if (!opened_ && marked_ && mark_found_ == MarkState::clean) (void)clear_mark(directory_);
}

void Env::unmap() noexcept {
  mdb_env_close(std::exchange(env_, nullptr));
  count_unmapped(map_bytes_);
}

Result<void> Env::prepare_files(const Settings& settings) {
  // Readers may share a store that nobody writes.
  auto alone = directory_.lock(settings.shared || settings.read_only);
  if (!alone) return alone.error();

  const bool may_write = alone.value() && !settings.read_only;
  if (may_write) directory_.remove_leftovers(kTemporaryPrefix);
  if (!directory_.exists(kDataFile)) {
    if (!may_write) return Error{.code = Code::not_a_database, .operation = "open data file"};
    // A mark without a file is one whose file the owner removed: it says nothing any more.
    if (auto done = clear_mark(directory_); !done) return done;
    if (auto done = create_data_file(directory_, settings.page_size); !done) return done;
  }
  auto mark = read_mark(directory_, boot_);
  if (!mark) return mark.error();
  mark_found_ = mark.value();
  if (mark_found_ == MarkState::other_boot) {
    if (settings.on_unclean == OnUnclean::error || !may_write) {
      return Error{.code = Code::unclean_shutdown, .operation = "open"};
    }
    std::uint64_t page_bytes = settings.page_size;
    if (kPageSizeToChoose && page_bytes == 0) {
      // As before, where that can still be told: it takes the keys it took.
      const auto before = inspect_data_file(directory_.file(kDataFile));
      if (before) page_bytes = before.value().page_bytes;
    }
    if (auto done = create_data_file(directory_, page_bytes); !done) return done;
    if (auto done = clear_mark(directory_); !done) return done;
    mark_found_ = MarkState::clean;
  }
  auto shape = inspect_data_file(directory_.file(kDataFile));
  if (!shape) return shape.error();
  found_ = shape.value();
  if (alone.value()) {
    // Before anything is written, so that a file that is not ours stays as it is.
    if (auto identity = identify_data_file(directory_.file(kDataFile)); !identity) {
      return identity.error();
    }
  }
  if (settings.page_size != 0 && settings.page_size != found_.page_bytes) {
    return Error{.code = Code::conflicting_option, .operation = "open", .option = "page_size"};
  }
  if (settings.read_only) {
    if (auto done = directory_.share(); !done) return done;
  }
  alone_at_open_ = alone.value();
  if (mapped_writes_) {
    // After a kill the mark says the right thing already.
    if (mark_found_ != MarkState::same_boot) {
      if (auto done = set_mark(directory_, boot_); !done) return done;
    }
    marked_ = true;
  } else if (mark_found_ == MarkState::same_boot && may_write) {
    flush_at_open_ = true;
    marked_ = true;
  }
  return {};
}

Result<void> Env::open_lmdb(const Settings& settings) {
  capacity_ = settings.capacity;
  // Many stores with the default must leave address space to each other and to the process.
  while (!settings.capacity_given && map_bytes_for(capacity_) > fair_map_bytes() &&
         capacity_ / 4 > found_.used_bytes) {
    capacity_ /= 2;
  }
  for (;;) {
    auto done = try_open_lmdb(settings);
    if (done) break;
    const Code code = done.error().code;
    const bool too_large = code == Code::no_memory || code == Code::file_too_large;
    if (!too_large || capacity_ / 2 < kLeastCapacity) return done;
    capacity_ /= 2;
  }
  count_mapped(map_bytes_);
  int cleared = 0;
  if (const int rc = mdb_reader_check(env_, &cleared); rc != 0) {
    return from_lmdb(rc, "mdb_reader_check");
  }
  MDB_stat stat;
  if (const int rc = mdb_env_stat(env_, &stat); rc != 0) return from_lmdb(rc, "mdb_env_stat");
  page_bytes_ = stat.ms_psize;
  if (mapped_writes_) {
    if (auto done = reserve_.open(directory_.file(kDataFile)); !done) return done;
  }
  if (flush_at_open_) {
    if (const int rc = mdb_env_sync(env_, 1); rc != 0) return from_lmdb(rc, "mdb_env_sync");
    if (auto done = clear_mark(directory_); !done) return done;
    marked_ = false;
  }
  return {};
}

Result<void> Env::try_open_lmdb(const Settings& settings) {
  MDB_env* env = nullptr;
  int rc = mdb_env_create(&env);
  if (rc != 0) return from_lmdb(rc, "mdb_env_create");
  unsigned flags = MDB_NOTLS;
  if (mapped_writes_) flags |= MDB_WRITEMAP | MDB_NOSYNC;
  if (settings.read_only) flags |= MDB_RDONLY;
  if (settings.no_readahead) flags |= MDB_NORDAHEAD;
  map_bytes_ = map_bytes_for(capacity_);
  if (settings.shared && alone_at_open_) map_bytes_ = std::max(map_bytes_, found_.map_bytes);
  if (settings.shared && !alone_at_open_) {
    // LMDB cuts or extends the file to the map: another map than the first process's would take
    // pages from under it.
    struct stat found;
    if (::stat(directory_.file(kDataFile).c_str(), &found) != 0) {
      mdb_env_close(env);
      return from_errno(errno, "stat data file");
    }
    map_bytes_ = static_cast<std::uint64_t>(found.st_size);
    while (capacity_ > kLeastCapacity && map_bytes_for(capacity_) > map_bytes_) capacity_ /= 2;
  }
  rc = mdb_env_set_mapsize(env, map_bytes_);
  if (rc == 0) rc = mdb_env_set_maxreaders(env, static_cast<unsigned>(settings.max_readers));
  if (rc == 0) rc = mdb_env_open(env, directory_.path().c_str(), flags, 0600);
  if (rc != 0) {
    mdb_env_close(env);
    Error error = from_lmdb(rc, "mdb_env_open");
    if (rc == EAGAIN) error.code = Code::already_open;
    return error;
  }
  env_ = env;
  return {};
}

Result<void> Env::open_tree() {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
  if (rc != 0) return from_lmdb(rc, "mdb_txn_begin");
  rc = mdb_dbi_open(txn, nullptr, 0, &dbi_);
  Result<Identity> identity = rc == 0 ? read_identity(txn, dbi_) : from_lmdb(rc, "mdb_dbi_open");
  version_ = mdb_txn_id(txn);
  // Committing a reader only keeps the handle open.
  rc = mdb_txn_commit(txn);
  if (!identity) return identity.error();
  if (rc != 0) return from_lmdb(rc, "mdb_txn_commit");
  identity_ = std::move(identity).value();
  return {};
}

int Env::lock_file_lock([[maybe_unused]] short type, [[maybe_unused]] off_t byte) noexcept {
#ifdef F_OFD_SETLK
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  if (lock_file_) return ::fcntl(lock_file_.get(), F_OFD_SETLK, &lock);
#endif
  return 0;
}

// LMDB holds its lock file by process locks: on the first byte to say that the file is in use, on
// the byte of the process's number to say that its readers live. Anyone in this process drops them
// by closing another descriptor of the file. Locks of an open file description of our own are not
// lost that way, and others cannot tell them from LMDB's. The two kinds conflict with each other,
// so LMDB's are dropped on purpose, at a moment when no reader slot is in use.
Result<void> Env::hold_lock_file() {
#ifdef F_OFD_SETLK
  const std::string path = directory_.file(kLockFile);
  lock_file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!lock_file_) {
    // A store that may not be written may have no lock file, and no writer either.
    if (!mapped_writes_ && (errno == ENOENT || errno == EACCES || errno == EROFS)) return {};
    return from_errno(errno, "open lock file");
  }
#ifdef __linux__
  // LMDB maps the file for writing: a reader slot must not be where the disk has no block for it.
  struct stat found;
  if (::fstat(lock_file_.get(), &found) != 0) return from_errno(errno, "stat lock file");
  if (const int rc = ::posix_fallocate(lock_file_.get(), 0, found.st_size); rc != 0) {
    return from_errno(rc, "reserve lock file");
  }
#endif
  if (lock_file_lock(F_RDLCK, 0) != 0) return from_errno(errno, "lock lock file");
  FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC)).reset();
  if (lock_file_lock(F_WRLCK, ::getpid()) != 0) return from_errno(errno, "lock lock file");
#endif
  return {};
}

unsigned Env::reader_slots() const noexcept {
  unsigned slots = 0;
  mdb_env_get_maxreaders(env_, &slots);
  return slots;
}

Result<std::uint64_t> Env::file_bytes() const {
  struct stat found;
  if (::stat(directory_.file(kDataFile).c_str(), &found) != 0) {
    return from_errno(errno, "stat data file");
  }
  return static_cast<std::uint64_t>(found.st_blocks) * 512;
}

Result<void> Env::close(bool failed) {
  const FileSizeSignalBlock block;
  // Decided first: whatever another process acknowledges afterwards is for that process to flush.
  const bool alone = !shared_ || directory_.take_over();
  Result<void> flushed;
  std::uint64_t used_bytes = 0;
  if (mapped_writes_) {
    if (failed) {
      flushed = Error{.code = Code::env_failed, .operation = "close"};
    } else if (const int rc = mdb_env_sync(env_, 1); rc != 0) {
      flushed = from_lmdb(rc, "mdb_env_sync");
    }
    MDB_envinfo info;
    if (mdb_env_info(env_, &info) == 0) used_bytes = (info.me_last_pgno + 1) * page_bytes_;
  }
  // LMDB tears its lock file down only if it finds itself alone.
  lock_file_lock(F_UNLCK, 0);
  lock_file_lock(F_UNLCK, ::getpid());
  unmap();
  lock_file_.reset();
  // What a failed flush lost, the page cache may still pretend to have: not to be trusted again.
  if (marked_ && !flushed) (void)set_mark(directory_, "failed");
  if (!marked_ || !flushed || !alone) return flushed;
  if (used_bytes > 0) {
    if (auto done = reserve_.truncate(used_bytes); !done) return done;
  }
  return clear_mark(directory_);
}

}  // namespace hyper_lmdb
