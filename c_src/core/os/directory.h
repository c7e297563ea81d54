// The directory a store lives in: identity, ownership, and the files in it.
//
// A store is its directory, not the directory's name. So nothing here, and nothing elsewhere, comes
// to a file of a store by a path: a directory that is renamed while it is open, or reached by a
// link that then leads elsewhere, stays the one that was opened.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hyper_lmdb/result.h"
#include "os/posix.h"

namespace hyper_lmdb {

/// What makes two spellings the same directory.
struct DirectoryId {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const DirectoryId&, const DirectoryId&) = default;
};

/// Whether others may hold it at the same time.
enum class Lock : std::uint8_t { shared, exclusive };

/// As flock(2), without waiting; released with the last descriptor of this opening.
/// Errors: already_open, unsupported_fs where the file system has no locks.
Result<void> lock_file(int fd, Lock lock) noexcept;

/// Why the file that was opened is no longer to be written to: nobody will find it again. Success
/// while it has a name. Errors: no_such_directory, io_error.
Result<void> check_named(int fd) noexcept;

/// Whether files that are written to still have names, asked of the system once a tick: a system
/// call for each write would cost a third of it. Thread-safety: none.
class NamedCheck {
 public:
  /// What `ask`, which answers as check_named, said last.
  template <typename Ask>
  const Result<void>& operator()(Ask ask) {
    if (const auto now = ticks(); now != asked_at_) {
      asked_at_ = now;
      named_ = ask();
    }
    return named_;
  }

 private:
  std::chrono::nanoseconds asked_at_{-1};
  Result<void> named_;
};

bool is_same_file(int fd, int other) noexcept;

/// Whether it is on a file system whose locks or memory maps do not hold between machines.
bool is_networked(int fd) noexcept;

/// A small file of the system's, as far as 4 KiB; empty where it cannot be read.
std::string read_system_file(const char* path);

/// Owns a file that is being made: it is removed unless it is kept.
class NewFile {
 public:
  NewFile(NewFile&& other) noexcept
      : directory_(other.directory_),
        name_(std::exchange(other.name_, {})),
        fd_(std::move(other.fd_)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  int fd() const noexcept { return fd_.get(); }
  const std::string& name() const noexcept { return name_; }
  /// The file goes with this object all the same, unless it is kept.
  FileDescriptor take_descriptor() noexcept { return std::move(fd_); }
  /// It stays, under the name it has.
  void keep() noexcept { name_.clear(); }

 private:
  friend class Directory;
  NewFile(int directory, std::string name, FileDescriptor fd) noexcept
      : directory_(directory), name_(std::move(name)), fd_(std::move(fd)) {}

  int directory_;  // the Directory's own, which outlives this
  std::string name_;
  FileDescriptor fd_;
};

/// Thread-safety: the const functions may be called from any thread. All of them block.
class Directory {
 public:
  struct Access {
    bool create = true;  ///< make it, and its missing parents, mode 0700
    bool force = false;  ///< accept a file system that cannot keep the promises
  };

  /// Errors: no_such_directory, permission_denied, unsupported_fs, too_many_files, disk_full.
  static Result<Directory> open(const std::string& path, const Access& access);

  /// What it was opened by, made absolute: to tell people, not to open anything.
  const std::string& path() const noexcept { return path_; }
  const DirectoryId& id() const noexcept { return id_; }
  int fd() const noexcept { return fd_.get(); }

  /// Takes the directory for this process. Released when this object goes. Errors: as lock_file.
  Result<void> lock(Lock lock) const noexcept { return lock_file(fd_.get(), lock); }

  /// Makes names that were created, renamed or removed durable.
  Result<void> sync() const;
  /// The same for the directory's own name, as far as the parent may be opened.
  Result<void> sync_parent() const;

  // The files, each by its name in the directory. What is not a regular file is not_a_database, and
  // is not waited for. Errors common to all: no_such_directory where there is no such file,
  // permission_denied, too_many_files, disk_full, io_error.

  enum class For : std::uint8_t { reading, writing };
  enum class Link : std::uint8_t { refused, followed };
  Result<FileDescriptor> open_file(std::string_view name, For use, Link link = Link::refused) const;
  /// Makes a file for its owner only. Errors: exists.
  Result<NewFile> create_file(std::string_view name) const;
  /// The same in place of what a creation that was interrupted left under that name; the directory
  /// must be locked, so that nobody is at it.
  Result<NewFile> create_again(std::string_view name) const;
  /// Gives a new file another name, in place of the file that has it. Not durable.
  Result<void> rename(NewFile* file, std::string_view name) const;
  /// The same where nothing has that name, in one step. Errors: exists.
  Result<void> rename_if_free(NewFile* file, std::string_view name) const;
  /// Not durable. A file that is not there is an error.
  Result<void> remove(std::string_view name) const;
  bool exists(std::string_view name) const;
  /// In bytes.
  Result<std::uint64_t> file_size(std::string_view name) const;
  Result<std::vector<std::string>> list() const;

  /// Nothing where there is no such file.
  Result<std::optional<std::string>> read_file(std::string_view name) const;
  /// Writes bytes over those at the start of a file, durably. A file that is not there is made:
  /// after a power cut it holds all the bytes or is not there.
  Result<void> overwrite_file(std::string_view name, std::string_view bytes) const;

  /// A path for liblmdb, which opens by path only; `name` may be empty. It leads to this directory
  /// whatever that is called, where the system can tell. Elsewhere whoever uses it looks with
  /// `is_same_file` whether it did.
  std::string path_for_lmdb(std::string_view name) const;
  /// Whether the file that is open has this name. Errors: no_such_directory where it does not;
  /// where the directory cannot be asked, as check_named.
  Result<void> check_file(std::string_view name, int fd) const noexcept;

 private:
  std::string path_;
  DirectoryId id_;
  FileDescriptor fd_;
};

}  // namespace hyper_lmdb
