// Blocks of a file: set aside, filled and flushed, as each system knows how.
#pragma once

#include <cstdint>

#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

// Thread-safety: all functions may be called from any thread. They block. Errors of the first
// three: disk_full, quota_exceeded, file_too_large, io_error.

/// Writes all of it. The system takes no more than 2 GiB at a time, and less where a disk is about
/// to be full.
Result<void> write_at(int fd, const char* bytes, std::uint64_t count, std::uint64_t at) noexcept;
Result<void> write_zeros(int fd, std::uint64_t from, std::uint64_t to) noexcept;

/// Whether an errno says that there is no room. Else whoever asked for blocks ahead may write to
/// them instead: file systems and sandboxes refuse the call by many other numbers.
bool is_short_of_room(int code) noexcept;

#ifndef __APPLE__
/// posix_fallocate(3), again where a signal came in between. Returns 0 or an errno.
int reserve_blocks(int fd, std::uint64_t from, std::uint64_t to) noexcept;
#endif

/// Sets blocks aside that a longer file will use; it does not look longer for them, and they stay
/// its own when it is closed. Returns 0 or an errno: EOPNOTSUPP where there is no such call.
int keep_blocks(int fd, std::uint64_t from, std::uint64_t to) noexcept;

/// Makes the file larger, with blocks of its own where the file system knows how to.
Result<void> allocate(int fd, std::uint64_t from, std::uint64_t to) noexcept;

/// Writes what the file holds over it, so that it has its blocks and all of it is to be flushed;
/// nobody else may be writing. Throws std::bad_alloc.
Result<void> write_over_itself(int fd);

/// Whether blocks that were allocated stay this file's: else a store into a map of it may find a
/// full disk, which is a SIGBUS.
bool keeps_blocks(int fd) noexcept;

/// Asks for changes of the file, which must be empty, to go into the blocks it has, where the file
/// system would write each of them to new ones. Nothing where it does not know how to.
void keep_in_place(int fd) noexcept;

/// Whether a store into a map of the file may need a new block although it has one: on a full disk
/// that is a SIGBUS.
bool is_copied_on_write(int fd) noexcept;

/// As fdatasync(2), where that means the disk.
int sync_data(int fd) noexcept;

/// Has the kernel begin to write a range to the disk, without waiting for it; nothing where the
/// system has no such call.
int begin_write_out(int fd, std::uint64_t from, std::uint64_t to) noexcept;

/// Lets a range reach the disk, and nothing else of the file. Promises nothing at a power cut.
int write_out(int fd, std::uint64_t from, std::uint64_t to) noexcept;

}  // namespace hyper_lmdb
