// What the disk has room for behind the data file's last page, and blocks kept there for removals.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace hyper_lmdb {

/// A removal copies pages before it frees any. So that it goes on when the disk is full, some
/// blocks behind the end of the file belong to it, which LMDB writes to when it makes the file
/// longer, and puts leave half of them alone. The file does not look longer for them. Not for a
/// writable map, under which MappedSpace sets blocks aside. Thread-safety: all but `use` may be
/// called from any thread.
class DiskSpace {
 public:
  /// Before anything else. Of the data file, which stays open for as long as this is used.
  void use(int fd, std::uint64_t page_bytes) noexcept;

  /// Looks at the disk, and sets aside what is missing behind the first `used_bytes` of the file.
  /// Where the file system has no call for that, or writes every change to new blocks, nothing is
  /// kept. Returns the errno of a shortage for which not all could be set aside, or 0. Blocks.
  int look(std::uint64_t used_bytes) noexcept;
  /// Cuts the file behind what is used and what is kept. Nobody may be writing. Blocks.
  void cut(std::uint64_t used_bytes) noexcept;

  /// How much longer the file may become, as of the last look: what is free and what is kept.
  std::uint64_t bytes() const noexcept { return free_bytes() + kept_bytes(); }
  /// The first of the two.
  std::uint64_t free_bytes() const noexcept { return free_bytes_.load(std::memory_order_relaxed); }
  /// What puts must leave of `bytes`.
  std::uint64_t bytes_for_removals() const noexcept { return most_kept_bytes_ / 2; }
  /// Where the blocks end that are kept.
  std::uint64_t kept_until() const noexcept { return kept_until_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t kept_bytes() const noexcept;
  bool keep(std::uint64_t from, std::uint64_t to) noexcept;
  std::uint64_t ask_free_bytes() const noexcept;

  int fd_ = -1;
  std::uint64_t most_kept_bytes_ = 0;
  std::mutex mutex_;  // held by `look` and `cut`, which change what follows
  bool can_keep_ = true;
  int refusal_ = 0;  // of the last block that was not to be had
  std::atomic<std::uint64_t> used_bytes_{0};
  std::atomic<std::uint64_t> kept_until_{0};
  std::atomic<std::uint64_t> free_bytes_{~std::uint64_t{0} / 2};
};

}  // namespace hyper_lmdb
