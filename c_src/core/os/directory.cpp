#include "os/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#else
#include <sys/mount.h>
#include <sys/param.h>
#endif

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>

#include "os/errors.h"

namespace hyper_lmdb {

namespace {

constexpr std::size_t kSmallFileBytes = 4096;

Result<std::string> absolute(const std::string& path) {
  if (path.front() == '/') return path;
  std::unique_ptr<char, void (*)(void*)> here(::getcwd(nullptr, 0), ::free);
  if (!here) return from_errno(errno, "getcwd");
  return std::string(here.get()) + "/" + path;
}

Result<void> sync_path(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return from_errno(errno, "open directory");
  if (::fsync(fd.get()) != 0) return from_errno(errno, "fsync directory");
  return {};
}

/// Makes the directory and its missing parents, each made durable in the one above it.
Result<void> make_directories(const std::string& path) {
  for (std::size_t end = 1; end <= path.size(); ++end) {
    end = path.find('/', end);
    if (end == std::string::npos) end = path.size();
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) == 0) {
      const std::size_t slash = part.find_last_of('/');
      if (auto done = sync_path(slash == 0 ? "/" : part.substr(0, slash)); !done) return done;
      continue;
    }
    const int refused = errno;
    struct stat found;
    if (::stat(part.c_str(), &found) == 0) continue;  // it was there
    // Refused because it is there, and leads nowhere: a link. Else the refusal is the cause.
    return from_errno(refused == EEXIST ? errno : refused, "mkdir");
  }
  return {};
}

Result<void> write_and_sync(int fd, std::string_view bytes) {
  const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), 0);
  if (written < 0) return from_errno(errno, "write small file");
  if (static_cast<std::size_t>(written) != bytes.size()) {
    return from_errno(ENOSPC, "write small file");
  }
  if (::fsync(fd) != 0) return from_errno(errno, "fsync small file");
  return {};
}

/// Of a directory or a file.
DirectoryId id_of(const struct stat& found) noexcept {
  return {found.st_dev, found.st_ino};
}

Error not_regular(int code) noexcept {
  return {.code = Code::not_a_database, .native = code, .operation = "open file"};
}

Error exists_or(int code, const char* operation) noexcept {
  Error error = from_errno(code, operation);
  if (code == EEXIST) error.code = Code::exists;
  return error;
}

/// Renames within a directory unless the new name is taken, in one step. 0, or -1 and errno.
int rename_new(int directory, const char* from, const char* to) noexcept {
#if defined(RENAME_NOREPLACE)
  if (::renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
#elif defined(RENAME_EXCL)
  if (::renameatx_np(directory, from, directory, to, RENAME_EXCL) == 0) return 0;
  if (errno != ENOTSUP) return -1;
#endif
  // The file system has no such rename.
  if (::linkat(directory, from, directory, to, 0) != 0) return -1;
  ::unlinkat(directory, from, 0);  // where that fails a second name is left, of the same file
  return 0;
}

}  // namespace

Result<void> lock_file(int fd, Lock lock) noexcept {
  if (::flock(fd, (lock == Lock::shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return {};
  Error error = from_errno(errno, "lock file");
  if (errno == EWOULDBLOCK) error.code = Code::already_open;
  const bool no_locks = errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS;
  if (no_locks) error.code = Code::unsupported_fs;
  return error;
}

bool is_networked(int fd) noexcept {
  struct statfs info;
  if (::fstatfs(fd, &info) != 0) return false;
#ifdef __linux__
  switch (static_cast<unsigned long>(info.f_type)) {
    case 0x6969:      // NFS
    case 0x517B:      // SMB
    case 0xFF534D42:  // CIFS
    case 0xFE534D42:  // SMB2
    case 0x65735546:  // FUSE
    case 0x01021997:  // 9p
    case 0x5346414F:  // AFS
    case 0x73757245:  // Coda
    case 0x00C36400:  // Ceph
    case 0x0BD00BD0:  // Lustre
    case 0x01161970:  // GFS2
    case 0x6B414653:  // kAFS
    case 0x7461636F:  // OCFS2
    case 0x47504653:  // GPFS
    case 0x19830326:  // BeeGFS
    case 0x786F4256:  // vboxsf
      return true;
    default:
      return false;
  }
#else
  return (info.f_flags & MNT_LOCAL) == 0;
#endif
}

bool is_same_file(int fd, int other) noexcept {
  struct stat one, two;
  return ::fstat(fd, &one) == 0 && ::fstat(other, &two) == 0 && id_of(one) == id_of(two);
}

Result<void> check_named(int fd) noexcept {
  struct stat found;
  if (::fstat(fd, &found) != 0) return from_errno(errno, "stat file");
  if (found.st_nlink != 0) return {};
  return Error{.code = Code::no_such_directory, .operation = "write"};
}

std::string read_system_file(const char* path) {
  const FileDescriptor fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text(kSmallFileBytes, '\0');
  const ssize_t count = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

Result<Directory> Directory::open(const std::string& path, const Access& access) {
  Directory directory;
  auto full = absolute(path);
  if (!full) return full.error();
  directory.path_ = std::move(full).value();
  const auto try_open = [&] {
    directory.fd_ =
        FileDescriptor(::open(directory.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return static_cast<bool>(directory.fd_);
  };
  if (!try_open()) {
    if (errno != ENOENT || !access.create) return from_errno(errno, "open directory");
    if (auto made = make_directories(directory.path_); !made) return made.error();
    if (!try_open()) return from_errno(errno, "open directory");
  }
  struct stat found;
  if (::fstat(directory.fd_.get(), &found) != 0) return from_errno(errno, "stat directory");
  directory.id_ = id_of(found);
  if (!access.force && is_networked(directory.fd_.get())) {
    return Error{.code = Code::unsupported_fs, .operation = "open directory"};
  }
  return directory;
}

Result<void> Directory::sync() const {
  if (::fsync(fd_.get()) != 0) return from_errno(errno, "fsync directory");
  return {};
}

Result<void> Directory::sync_parent() const {
  FileDescriptor parent(::openat(fd_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent && errno == EACCES) return {};
  if (!parent || ::fsync(parent.get()) != 0) return from_errno(errno, "fsync parent directory");
  return {};
}

bool Directory::exists(std::string_view name) const {
  struct stat found;
  return ::fstatat(fd_.get(), std::string(name).c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<std::uint64_t> Directory::file_size(std::string_view name) const {
  struct stat found;
  if (::fstatat(fd_.get(), std::string(name).c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return from_errno(errno, "stat file");
  }
  return static_cast<std::uint64_t>(found.st_size);
}

Result<FileDescriptor> Directory::open_file(std::string_view name, For use, Link link) const {
  // A FIFO without another end would be waited for, for ever.
  int flags = (use == For::writing ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  if (link == Link::refused) flags |= O_NOFOLLOW;
  FileDescriptor fd(::openat(fd_.get(), std::string(name).c_str(), flags));
  if (!fd) {
    const bool other_kind = errno == ENXIO || errno == EISDIR || errno == ELOOP ||
                            errno == ENODEV || errno == EOPNOTSUPP;
    return other_kind ? not_regular(errno) : from_errno(errno, "open file");
  }
  struct stat found;
  if (::fstat(fd.get(), &found) != 0) return from_errno(errno, "stat file");
  if (!S_ISREG(found.st_mode)) return not_regular(0);
  return fd;
}

Result<NewFile> Directory::create_file(std::string_view name) const {
  std::string own(name);
  FileDescriptor fd(
      ::openat(fd_.get(), own.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return exists_or(errno, "create file");
  return NewFile(fd_.get(), std::move(own), std::move(fd));
}

Result<NewFile> Directory::create_again(std::string_view name) const {
  if (exists(name)) {
    if (auto done = remove(name); !done) return done.error();
  }
  return create_file(name);
}

NewFile::~NewFile() {
  if (!name_.empty()) ::unlinkat(directory_, name_.c_str(), 0);
}

Result<void> Directory::rename(NewFile* file, std::string_view name) const {
  std::string target(name);
  if (::renameat(fd_.get(), file->name_.c_str(), fd_.get(), target.c_str()) != 0) {
    return from_errno(errno, "rename file");
  }
  file->name_ = std::move(target);
  return {};
}

Result<void> Directory::rename_if_free(NewFile* file, std::string_view name) const {
  std::string target(name);
  if (rename_new(fd_.get(), file->name_.c_str(), target.c_str()) != 0) {
    return exists_or(errno, "rename file");
  }
  file->name_ = std::move(target);
  return {};
}

Result<void> Directory::remove(std::string_view name) const {
  if (::unlinkat(fd_.get(), std::string(name).c_str(), 0) != 0) {
    return from_errno(errno, "remove file");
  }
  return {};
}

Result<std::vector<std::string>> Directory::list() const {
  // Opened anew: descriptors made by dup(2) share their place in the listing.
  FileDescriptor fd(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return from_errno(errno, "list directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd.get()), ::closedir);
  if (!listing) return from_errno(errno, "list directory");
  fd.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(listing.get());
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name);
  }
  if (errno != 0) return from_errno(errno, "list directory");
  return names;
}

Result<std::optional<std::string>> Directory::read_file(std::string_view name) const {
  auto file = open_file(name, For::reading);
  if (!file) {
    if (file.error().native == ENOENT) return std::optional<std::string>();
    return file.error();
  }
  std::string bytes(kSmallFileBytes, '\0');
  const ssize_t count = ::pread(file.value().get(), bytes.data(), bytes.size(), 0);
  if (count < 0) return from_errno(errno, "read small file");
  bytes.resize(static_cast<std::size_t>(count));
  return std::optional<std::string>(std::move(bytes));
}

Result<void> Directory::overwrite_file(std::string_view name, std::string_view bytes) const {
  auto there = open_file(name, For::writing);
  if (there) return write_and_sync(there.value().get(), bytes);
  if (there.error().native != ENOENT) return there.error();
  auto file = create_again(std::string(name) + ".tmp");
  if (!file) return file.error();
  if (auto done = write_and_sync(file.value().fd(), bytes); !done) return done;
  if (auto done = rename(&file.value(), name); !done) return done;
  file.value().keep();
  return sync();
}

std::string Directory::path_for_lmdb(std::string_view name) const {
  std::string path = path_;
#ifdef __linux__
  const std::string own = "/proc/self/fd/" + std::to_string(fd_.get());
  struct stat found;
  if (::stat(own.c_str(), &found) == 0 && id_of(found) == id_) {
    path = own;
  }
#elif defined(F_GETPATH)
  char now[MAXPATHLEN];
  if (::fcntl(fd_.get(), F_GETPATH, now) == 0) path = now;
#endif
  return name.empty() ? path : path + "/" + std::string(name);
}

Result<void> Directory::check_file(std::string_view name, int fd) const noexcept {
  char text[NAME_MAX + 1] = {};
  name.copy(text, sizeof text - 1);
  struct stat named, open;
  if (::fstatat(fd_.get(), text, &named, 0) != 0) {
    if (errno != ENOENT) return check_named(fd);
    return Error{.code = Code::no_such_directory, .native = ENOENT, .operation = "write"};
  }
  if (::fstat(fd, &open) != 0) return from_errno(errno, "stat file");
  if (id_of(named) == id_of(open)) return {};
  return Error{.code = Code::no_such_directory, .operation = "write"};
}

}  // namespace hyper_lmdb
