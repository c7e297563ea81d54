// The directory a store lives in: identity, ownership, small files.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "hyper_lmdb/result.h"
#include "posix.h"

namespace hyper_lmdb {

/// What makes two spellings the same directory.
struct DirectoryId {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const DirectoryId&, const DirectoryId&) = default;
};

class Directory {
 public:
  struct Access {
    bool create = true;  ///< make it, and its missing parents, mode 0700
    bool force = false;  ///< accept a file system that cannot keep the promises
  };

  /// Errors: no_such_directory, permission_denied, unsupported_fs, too_many_files, disk_full.
  static Result<Directory> open(const std::string& path, const Access& access);

  const std::string& path() const noexcept { return path_; }
  const DirectoryId& id() const noexcept { return id_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Takes the directory for this process. With `shared`, several processes may hold it; the one
  /// that finds it free owns it alone until it calls `share`. Released when this object goes.
  /// Returns whether this process is alone. Errors: already_open.
  Result<bool> lock(bool shared);
  /// Lets other processes that asked for `shared` in.
  Result<void> share();
  /// Whether this process is the last holder of a shared directory; it then owns it alone.
  bool take_over() noexcept;

  /// Makes names that were created, renamed or removed durable.
  Result<void> sync() const;
  /// The same for the directory's own name, as far as the parent may be opened.
  Result<void> sync_parent() const;
  bool exists(std::string_view name) const;
  /// Nothing where there is no such file.
  Result<std::optional<std::string>> read_file(std::string_view name) const;
  /// Writes bytes over those at the start of a file, durably. A file that is not there is made:
  /// after a power cut it holds all the bytes or is not there.
  Result<void> overwrite_file(std::string_view name, std::string_view bytes) const;
  /// Removes what an interrupted creation left: every file whose name starts with `prefix`.
  void remove_leftovers(std::string_view prefix) const noexcept;

 private:
  Result<void> create_file(std::string_view name, std::string_view bytes) const;

  std::string path_;
  DirectoryId id_;
  FileDescriptor fd_;
};

}  // namespace hyper_lmdb
