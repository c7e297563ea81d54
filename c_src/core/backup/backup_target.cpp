#include "backup/backup_target.h"

#include <unistd.h>

#include <cerrno>
#include <climits>

#include "lmdb/data_file.h"
#include "lmdb/env.h"
#include "os/errors.h"

namespace hyper_lmdb {

namespace {

constexpr std::size_t kMostPathBytes = 4096;  // as the system counts them, its NUL included
constexpr std::string_view kTemporaryBackup = ".hyper_lmdb-backup-";

Error bad_file() noexcept {
  return {.code = Code::bad_option, .operation = "backup", .option = "file"};
}

}  // namespace

Result<BackupTarget> BackupTarget::create(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  const std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  if (name.empty() || name.size() > NAME_MAX || file.size() >= kMostPathBytes ||
      file.find('\0') != std::string::npos) {
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
  if (target.directory_->exists(name)) return Error{.code = Code::exists, .operation = "backup"};
  auto created = target.directory_->create_file(std::string(kTemporaryBackup) + random.value());
  if (!created) return created.error();
  target.file_.emplace(std::move(created).value());
  return target;
}

Error BackupTarget::explain(Error error) const {
  return explain_shortage(error, fd());
}

Result<void> BackupTarget::keep() {
  if (::fsync(fd()) != 0) return from_errno(errno, "fsync backup");
  if (auto done = directory_->rename_if_free(&*file_, name_); !done) return done;
  if (auto done = directory_->sync(); !done) return done;
  file_->keep();
  return {};
}

}  // namespace hyper_lmdb
