// The file a backup is written to.
#pragma once

#include <optional>
#include <string>

#include "hyper_lmdb/result.h"
#include "os/directory.h"

namespace hyper_lmdb {

/// A new file, for its owner only, that is written under a name of its own beside the one asked for
/// and takes that one when it is whole. Removed where it does not come to that.
class BackupTarget {
 public:
  /// Errors: bad_option (`file`: no name, a NUL in it, too long), exists (whatever is there, a link
  /// that leads nowhere too), no_such_directory, permission_denied, too_many_files, disk_full,
  /// quota_exceeded, io_error.
  static Result<BackupTarget> create(const std::string& file);

  BackupTarget(BackupTarget&& other) noexcept = default;
  BackupTarget& operator=(BackupTarget&&) = delete;

  int fd() const noexcept { return file_->fd(); }
  const Directory& directory() const noexcept { return *directory_; }
  /// In the directory, until it is kept.
  const std::string& temporary_name() const noexcept { return file_->name(); }

  /// What an error in writing it comes from.
  Error explain(Error error) const;

  /// Gives the file its name; durable when it returns. Nothing that is there by now is replaced.
  /// Errors: exists, io_error, disk_full, quota_exceeded.
  Result<void> keep();

 private:
  explicit BackupTarget(Directory directory) : directory_(std::move(directory)) {}

  std::optional<Directory> directory_;
  std::string name_;  // in the directory
  std::optional<NewFile> file_;
};

}  // namespace hyper_lmdb
