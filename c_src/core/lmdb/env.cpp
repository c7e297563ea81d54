#include "lmdb/env.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "lmdb/data_file.h"
#include "lmdb/dirty_mark.h"
#include "lmdb/map_size.h"
#include "os/errors.h"
#include "os/file_blocks.h"

namespace hyper_lmdb {

namespace {

/// What a journal may come to in the tree, with the copies of pages that it takes on the way there.
std::uint64_t applied_bytes(std::uint64_t journal_bytes) noexcept {
  constexpr std::uint64_t kCopies = 32ULL << 20;
  return journal_bytes == 0 ? 0 : 4 * journal_bytes + kCopies;
}

}  // namespace

Result<std::unique_ptr<Env>> Env::open(Directory directory, const Settings& settings,
                                       std::uint64_t journal_bytes) {
  // The file is extended to the size of the map, which may pass RLIMIT_FSIZE.
  const FileSizeSignalBlock block;
  std::unique_ptr<Env> env(new Env);
  env->directory_ = std::move(directory);
  env->journal_bytes_ = journal_bytes;
  env->mapped_writes_ = settings.durability == Durability::map_async && !settings.read_only;
  env->read_only_ = settings.read_only;
  env->checkpoint_pages_ = settings.checkpoint_pages;
  env->boot_ = boot_id(env->directory_.id().device);
  if (auto done = env->prepare_files(settings); !done) return done.error();
  if (auto done = env->open_lmdb(settings); !done) return done.error();
  if (auto done = env->open_tree(); !done) return done.error();
  if (env->uses_lock_file_) {
    if (auto done = env->hold_lock_file(); !done) return done.error();
  }
  env->opened_ = true;
  return env;
}

Env::~Env() {
  if (env_ != nullptr) unmap();
  // An opening that failed has written nothing: what was clean still is.
  if (!opened_ && marked_ && mark_found_ == MarkState::clean) (void)clear_mark(directory_);
}

Result<MDB_env*> Env::for_reading() noexcept try {
  const std::lock_guard lock(reading_mutex_);
  if (reading_ == nullptr) {
    auto opened = open_for_reading(directory_, data_file_.get());
    if (!opened) return opened;
    reading_ = opened.value();
  }
  return reading_;
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "open data file"};
}

void Env::unmap() noexcept {
  if (reading_ != nullptr) mdb_env_close(std::exchange(reading_, nullptr));
  mdb_env_close(std::exchange(env_, nullptr));
  count_unmapped(map_bytes_);
}

namespace {

/// Whether another program has the store open through LMDB, which locks the first byte.
bool is_lock_file_used([[maybe_unused]] int fd) noexcept {
#ifdef F_OFD_GETLK
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
#else
  return false;
#endif
}

}  // namespace

Result<void> Env::take_data_file(FileDescriptor file, Lock lock, bool force) {
  if (!force && is_networked(file.get())) {
    return Error{.code = Code::unsupported_fs, .operation = "open data file"};
  }
  // The directory's lock does not do: a link, or a mount, may show the file in another one.
  if (auto done = lock_file(file.get(), lock); !done) return done;
  data_file_ = std::move(file);
  return {};
}

Result<void> Env::make_data_file(std::uint64_t page_bytes, const Settings& settings) {
  if (auto done = create_data_file(directory_, page_bytes, mapped_writes_); !done) return done;
  auto file = directory_.open_file(kDataFile, Directory::For::writing);
  if (!file) return file.error();
  return take_data_file(std::move(file).value(), Lock::exclusive, settings.force);
}

Result<void> Env::open_data_file(const Settings& settings) {
  const auto use = settings.read_only ? Directory::For::reading : Directory::For::writing;
  // People put the data file on another disk by a link.
  auto file = directory_.open_file(kDataFile, use, Directory::Link::followed);
  if (file) {
    return take_data_file(std::move(file).value(),
                          settings.read_only ? Lock::shared : Lock::exclusive, settings.force);
  }
  if (file.error().native != ENOENT) return file.error();
  if (settings.read_only || directory_.exists(kDataFile)) {
    return Error{.code = Code::not_a_database, .operation = "open data file"};
  }
  // A mark without a file is one whose file the owner removed: it says nothing any more.
  if (auto done = clear_mark(directory_); !done) return done;
  return make_data_file(settings.page_size, settings);
}

Result<void> Env::prepare_files(const Settings& settings) {
  if (auto done = directory_.lock(settings.read_only ? Lock::shared : Lock::exclusive); !done) {
    return done;
  }
  if (!settings.read_only) remove_unfinished_files(directory_);
  if (auto done = open_data_file(settings); !done) return done;
  auto mark = read_mark(directory_, boot_);
  if (!mark) return mark.error();
  mark_found_ = mark.value();
  if (mark_found_ == MarkState::other_boot) {
    if (settings.on_unclean == OnUnclean::error || settings.read_only) {
      return Error{.code = Code::unclean_shutdown, .operation = "open"};
    }
    std::uint64_t page_bytes = settings.page_size;
    if (kPageSizeToChoose && page_bytes == 0) {
      // As before, where that can still be told: it takes the keys it took.
      const auto before = inspect_data_file(data_file_.get());
      if (before) page_bytes = before.value().page_bytes;
    }
    if (auto done = make_data_file(page_bytes, settings); !done) return done;
    if (auto done = clear_mark(directory_); !done) return done;
    mark_found_ = MarkState::clean;
  }
  auto shape = inspect_data_file(data_file_.get());
  if (!shape) return shape.error();
  found_ = shape.value();
  // Before anything is written, so that a file that is not ours stays as it is.
  if (auto identity = identify_data_file(directory_, kDataFile, data_file_.get()); !identity)
    return identity.error();
  if (settings.page_size != 0 && settings.page_size != found_.page_bytes) {
    return Error{.code = Code::conflicting_option, .operation = "open", .option = "page_size"};
  }
  if (mapped_writes_ && is_copied_on_write(data_file_.get()) && !settings.force) {
    return Error{.code = Code::unsupported_fs, .operation = "map for writing"};
  }
  if (auto done = prepare_lock_file(settings.read_only); !done || settings.read_only) return done;
  if (mapped_writes_) {
    // What a killed process has left there may be in the page cache alone.
    if (auto done = set_mark(directory_, boot_); !done) return done;
    marked_ = true;
  } else if (mark_found_ == MarkState::same_boot) {
    flush_at_open_ = true;
    marked_ = true;
  }
  return {};
}

// LMDB stores into a map of its lock file at each read: a full disk must not be met there.
Result<void> Env::prepare_lock_file(bool read_only) {
  auto file = directory_.open_file(kLockFile, Directory::For::writing);
  const bool copied = file && is_copied_on_write(file.value().get());
  if (read_only) {
    // No store writes while there are readers, only other programs over LMDB might. Who may not
    // write to the lock file does without.
    uses_lock_file_ = file && !copied;
    return {};
  }
  uses_lock_file_ = true;
  if (!file && file.error().native != ENOENT) return file.error();
  if (file && (!copied || is_lock_file_used(file.value().get()))) return {};
  constexpr std::string_view kNewLockFile = "lock.mdb.tmp";
  auto made = directory_.create_again(kNewLockFile);
  if (!made) return made.error();
  keep_in_place(made.value().fd());
  // What cannot be helped is as it was.
  if (file && is_copied_on_write(made.value().fd())) return {};
  if (auto done = directory_.rename(&made.value(), kLockFile); !done) return done;
  made.value().keep();
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
    // Who asked for a capacity has it, or is told.
    if (settings.capacity_given || !too_large || capacity_ / 2 < kLeastCapacity) return done;
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
  mapped_space_.use(data_file_.get());
  disk_space_.use(data_file_.get(), page_bytes_);
  if (flush_at_open_) {
    if (const int rc = mdb_env_sync(env_, 1); rc != 0) {
      distrust();  // the next start's flush would find nothing left to say
      return from_lmdb(rc, "mdb_env_sync");
    }
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
  if (!uses_lock_file_) flags |= MDB_NOLOCK;
  if (settings.no_readahead) flags |= MDB_NORDAHEAD;
  map_bytes_ =
      map_bytes_for(std::max(capacity_, found_.used_bytes + applied_bytes(journal_bytes_)));
  rc = mdb_env_set_mapsize(env, map_bytes_);
  if (rc == 0) rc = mdb_env_set_maxreaders(env, static_cast<unsigned>(settings.max_readers));
  auto opened = rc == 0 ? open_in(directory_, kDataFile, data_file_.get(), env, flags)
                        : Result<void>(from_lmdb(rc, "mdb_env_set"));
  if (!opened) {
    mdb_env_close(env);
    return opened;
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
  auto opened = directory_.open_file(kLockFile, Directory::For::writing);
  if (!opened) return opened.error();
  lock_file_ = std::move(opened).value();
#ifdef __linux__
  // LMDB maps the file for writing: a reader slot must not be where the disk has no block for it.
  struct stat found;
  if (::fstat(lock_file_.get(), &found) != 0) return from_errno(errno, "stat lock file");
  const auto bytes = static_cast<std::uint64_t>(found.st_size);
  if (const int rc = reserve_blocks(lock_file_.get(), 0, bytes); is_short_of_room(rc)) {
    return from_errno(rc, "reserve lock file");
  } else if (rc != 0) {
    if (auto done = write_over_itself(lock_file_.get()); !done) return done;
  }
#endif
  if (lock_file_lock(F_RDLCK, 0) != 0) return from_errno(errno, "lock lock file");
  auto other = directory_.open_file(kLockFile, Directory::For::writing);
  if (!other) return other.error();
  other.value().reset();
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
  if (::fstat(data_file_.get(), &found) != 0) return from_errno(errno, "stat data file");
  return static_cast<std::uint64_t>(found.st_blocks) * 512;
}

Result<void> Env::check_named() const noexcept {
  return directory_.check_file(kDataFile, data_file_.get());
}

void Env::distrust() const noexcept {
  // A disk that fails may refuse this too; a process that is killed still leaves it in the page
  // cache, beside what that pretends to have.
  if (marked_) (void)set_mark_failed(directory_);
}

Result<void> Env::close(bool failed) {
  const FileSizeSignalBlock block;
  // What nobody will find again was not kept, whatever reached the disk.
  const auto named = read_only_ ? Result<void>() : check_named();
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
  if (!flushed) distrust();
  if (!flushed) return flushed;
  if (!named || !marked_) return named;
  if (used_bytes > 0) {
    if (auto done = mapped_space_.truncate(used_bytes); !done) return done;
  }
  return clear_mark(directory_);
}

// LMDB answers EIO for a write that was cut short, which a full disk or a size limit does too.
Error explain_shortage(Error error, int fd) noexcept {
  if (error.code != Code::io_error || error.native != EIO) return error;
  // File systems ask for the room of a large folio at once, up to 2 MiB, and so leave less than
  // that.
  constexpr std::uint64_t kNearlyFullBytes = 4 << 20;
  struct statvfs disk;
  if (::fstatvfs(fd, &disk) == 0 && disk.f_bavail * disk.f_frsize < kNearlyFullBytes) {
    error.code = Code::disk_full;
    return error;
  }
  struct rlimit limit;
  struct stat found;
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      ::fstat(fd, &found) == 0 &&
      static_cast<std::uint64_t>(found.st_size) + kNearlyFullBytes > limit.rlim_cur) {
    error.code = Code::file_too_large;
  }
  return error;
}

Error Env::explain(Error error) noexcept {
  if (error.code != Code::io_error || error.native != EIO) return error;
  // A quota is not seen by looking at the disk, but blocks are refused for it.
  if (const int shortage = look_at_disk(); shortage != 0) {
    return from_errno(shortage, error.operation);
  }
  return explain_shortage(error, data_file_.get());
}

void Env::cut_tail(Code why) noexcept {
  MDB_envinfo info;
  const bool no_room = says_no_room(why) || why == Code::file_too_large;
  if (!no_room || mapped_writes_ || mdb_env_info(env_, &info) != 0) return;
  disk_space_.cut((info.me_last_pgno + 1) * page_bytes_);
}

int Env::look_at_disk() noexcept {
  MDB_envinfo info;
  if (mapped_writes_ || read_only_ || mdb_env_info(env_, &info) != 0) return 0;
  return disk_space_.look((info.me_last_pgno + 1) * page_bytes_);
}

}  // namespace hyper_lmdb
