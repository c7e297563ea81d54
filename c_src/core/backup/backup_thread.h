// The thread that makes a backup: none while there is none to make.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/write_queue.h"

namespace hyper_lmdb {

/// Thread-safety: all functions may be called from any thread, `stop` once.
class BackupThread {
 public:
  /// Makes the backup, and ends it soon with closed once `stopped` is true.
  using Make =
      std::function<Result<void>(const Request& request, const std::atomic<bool>* stopped)>;

  explicit BackupThread(Make make) : make_(std::move(make)) {}

  /// Makes the backup the request asks for on a thread of its own, then calls its `done`.
  /// Errors: overloaded where one is being made, closed, no_memory, and as starting a thread.
  Result<void> begin(Request* request, const ThreadApi& threads);
  /// Ends the backup that is being made, and waits until it has let go; later ones are refused.
  void stop(const ThreadApi& threads);

 private:
  static void* run(void* self);

  const Make make_;
  std::atomic<bool> stopped_{false};  // set under mutex_, looked at while copying without it
  std::mutex mutex_;
  void* thread_ = nullptr;      // guarded by mutex_; one that has ended too
  Request* request_ = nullptr;  // guarded by mutex_; null where no backup is being made
};

}  // namespace hyper_lmdb
