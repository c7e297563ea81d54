// The end of a copy that another thread makes.
#pragma once

#include <mutex>

#include "hyper_lmdb/result.h"
#include "posix.h"

namespace hyper_lmdb {

/// LMDB copies its file in one call that nothing ends but a write that fails: whoever stops the
/// copy puts a file in the place of its descriptor that cannot be written.
///
/// Thread-safety: `begin` and `end` by the thread that copies, the rest by any. The lock guards all
/// members, so the descriptor is replaced between `begin` and `end` only, while it is the copy's.
class CopyStop {
 public:
  /// From now on `fd` is written. Errors: closed once stopped, too_many_files.
  Result<void> begin(int fd);
  /// It is not written any more. Errors: closed once stopped.
  Result<void> end();
  /// Errors: closed once stopped.
  Result<void> check();

  /// For good. Waits for nothing; what LMDB is writing right now (at most a GiB) it still writes.
  void stop() noexcept;

 private:
  std::mutex mutex_;
  bool stopped_ = false;
  int fd_ = -1;
  FileDescriptor unwritable_;
};

}  // namespace hyper_lmdb
