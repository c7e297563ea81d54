// Disk blocks set aside under the writable map, so that a full disk is an error and not a SIGBUS.
#pragma once

#include <cstdint>

#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// Thread-safety: none; every call is made with the write lock held, but for `covers`, which the
/// holder of the write lock calls too.
class MappedSpace {
 public:
  /// Of the data file, which stays open for as long as this is used.
  void use(int fd) noexcept { fd_ = fd; }

  /// Whether the first `bytes` of the file have their blocks.
  bool covers(std::uint64_t bytes) const noexcept { return bytes <= reserved_bytes_; }

  /// Sets blocks aside for the first `bytes` of the file and a step more where there is room. The
  /// first `used_bytes` hold data. Blocks; SIGXFSZ must be blocked.
  /// Errors: disk_full, quota_exceeded, file_too_large, io_error.
  Result<void> extend(std::uint64_t used_bytes, std::uint64_t bytes);

  /// Gives back what lies further than 896 KiB past the first `used_bytes`.
  void trim(std::uint64_t used_bytes) noexcept;
  /// Cuts the file after its first `used_bytes`; nobody may have it mapped.
  Result<void> truncate(std::uint64_t used_bytes) noexcept;

 private:
  bool give_back(std::uint64_t from, std::uint64_t to) noexcept;

  int fd_ = -1;
  std::uint64_t reserved_bytes_ = 0;
};

}  // namespace hyper_lmdb
