#include "backup_target.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "data_file.h"
#include "env.h"
#include "errors.h"

namespace hyper_lmdb {

namespace {

constexpr std::size_t kMostPathBytes = 4096;  // as the system counts them, its NUL included
constexpr std::string_view kTemporaryBackup = ".hyper_lmdb-backup-";

Error bad_file() noexcept {
  return {.code = Code::bad_option, .operation = "backup", .option = "file"};
}

Error target_error(int code, const char* operation) noexcept {
  if (code == ENAMETOOLONG) return bad_file();
  Error error = from_errno(code, operation);
  if (code == EEXIST) error.code = Code::exists;
  return error;
}

/// Renames unless the new name is taken, in one step. 0, or -1 and errno.
int rename_new(const std::string& from, const std::string& to) noexcept {
#if defined(RENAME_NOREPLACE)
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
#elif defined(RENAME_EXCL)
  if (::renamex_np(from.c_str(), to.c_str(), RENAME_EXCL) == 0) return 0;
  if (errno != ENOTSUP) return -1;
#endif
  // The file system has no such rename.
  if (::link(from.c_str(), to.c_str()) != 0) return -1;
  ::unlink(from.c_str());  // where that fails a second name is left, of the same file
  return 0;
}

}  // namespace

Result<BackupTarget> BackupTarget::create(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  const std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  if (name.empty() || file.size() >= kMostPathBytes || file.find('\0') != std::string::npos) {
    return bad_file();
  }
  const std::string parent = slash == std::string::npos ? "." : file.substr(0, slash + 1);
  // A file system that does not do for a store does for a file that is written once.
  auto directory = Directory::open(parent, {.create = false, .force = true});
  if (!directory) return directory.error();
  auto random = random_hex();
  if (!random) return random.error();

  BackupTarget target(std::move(directory).value());
  target.name_ = name;
  struct stat found;
  const std::string wanted = target.directory_->file(name);
  if (::lstat(wanted.c_str(), &found) == 0) return target_error(EEXIST, "backup");
  if (errno != ENOENT) return target_error(errno, "stat backup");
  const std::string temporary = std::string(kTemporaryBackup) + random.value();
  const std::string path = target.directory_->file(temporary);
  target.fd_ = FileDescriptor(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!target.fd_) return target_error(errno, "create backup");
  target.temporary_ = temporary;
  return target;
}

BackupTarget::~BackupTarget() {
  if (!temporary_.empty()) ::unlink(path().c_str());
}

Error BackupTarget::explain(Error error) const {
  return explain_shortage(error, directory_->path(), path());
}

Result<void> BackupTarget::keep() {
  if (::fsync(fd_.get()) != 0) return from_errno(errno, "fsync backup");
  const std::string wanted = directory_->file(name_);
  if (rename_new(path(), wanted) != 0) return target_error(errno, "rename backup");
  temporary_.clear();
  auto done = directory_->sync();
  // An answer other than ok leaves nothing behind.
  if (!done) ::unlink(wanted.c_str());
  return done;
}

}  // namespace hyper_lmdb
