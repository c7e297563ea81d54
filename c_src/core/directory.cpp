#include "directory.h"

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

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "errors.h"

namespace hyper_lmdb {

namespace {

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

/// File systems whose locks or memory maps do not hold between machines.
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
      return true;
    default:
      return false;
  }
#else
  return (info.f_flags & MNT_LOCAL) == 0;
#endif
}

}  // namespace

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
  directory.id_ = {found.st_dev, found.st_ino};
  if (!access.force && is_networked(directory.fd_.get())) {
    return Error{.code = Code::unsupported_fs, .operation = "open directory"};
  }
  return directory;
}

Result<bool> Directory::lock(bool shared) {
  const auto attempt = [&](int how) { return ::flock(fd_.get(), how | LOCK_NB) == 0; };
  if (attempt(LOCK_EX)) return true;
  if (errno != EWOULDBLOCK) return from_errno(errno, "lock directory");
  // Another process may own the directory alone for the moments in which it creates the store.
  constexpr int kAttempts = 200;
  for (int i = 0; shared && i < kAttempts; ++i) {
    if (attempt(LOCK_SH)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Error{.code = Code::already_open, .native = EWOULDBLOCK, .operation = "lock directory"};
}

Result<void> Directory::share() {
  if (::flock(fd_.get(), LOCK_SH | LOCK_NB) != 0) return from_errno(errno, "share directory");
  return {};
}

bool Directory::take_over() noexcept {
  return ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0;
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

Result<std::optional<std::string>> Directory::read_file(std::string_view name) const {
  FileDescriptor fd(::openat(fd_.get(), std::string(name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return std::optional<std::string>();
    return from_errno(errno, "open small file");
  }
  std::string bytes(4096, '\0');
  const ssize_t count = ::read(fd.get(), bytes.data(), bytes.size());
  if (count < 0) return from_errno(errno, "read small file");
  bytes.resize(static_cast<std::size_t>(count));
  return std::optional<std::string>(std::move(bytes));
}

Result<void> Directory::overwrite_file(std::string_view name, std::string_view bytes) const {
  FileDescriptor fd(::openat(fd_.get(), std::string(name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return create_file(name, bytes);
  if (!fd) return from_errno(errno, "open small file");
  return write_and_sync(fd.get(), bytes);
}

Result<void> Directory::create_file(std::string_view name, std::string_view bytes) const {
  const std::string target(name);
  const std::string temporary = target + ".tmp";
  FileDescriptor fd(
      ::openat(fd_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return from_errno(errno, "create small file");
  if (auto done = write_and_sync(fd.get(), bytes); !done) return done;
  if (::renameat(fd_.get(), temporary.c_str(), fd_.get(), target.c_str()) != 0) {
    return from_errno(errno, "rename small file");
  }
  return sync();
}

void Directory::remove_leftovers(std::string_view prefix) const noexcept {
  DIR* listing = ::opendir(path_.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    if (std::string_view(entry->d_name).starts_with(prefix)) {
      ::unlinkat(fd_.get(), entry->d_name, 0);
    }
  }
  ::closedir(listing);
}

}  // namespace hyper_lmdb
