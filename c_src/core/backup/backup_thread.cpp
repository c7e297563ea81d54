#include "backup/backup_thread.h"

#include <new>
#include <utility>

#include "os/errors.h"

namespace hyper_lmdb {

Result<void> BackupThread::begin(Request* request, const ThreadApi& threads) {
  const std::lock_guard lock(mutex_);
  if (stopped_.load(std::memory_order_relaxed))
    return Error{.code = Code::closed, .operation = "backup"};
  if (request_ != nullptr) return Error{.code = Code::overloaded, .operation = "backup"};
  // The one before has nothing left to do but to answer.
  if (thread_ != nullptr) threads.join(std::exchange(thread_, nullptr));
  request_ = request;
  const int rc = threads.start("hyper_lmdb_bk", &BackupThread::run, this, &thread_);
  if (rc == 0) return {};
  request_ = nullptr;
  return from_thread_start(rc);
}

void BackupThread::stop(const ThreadApi& threads) {
  void* thread = nullptr;
  {
    const std::lock_guard lock(mutex_);
    stopped_.store(true, std::memory_order_relaxed);
    thread = std::exchange(thread_, nullptr);
  }
  if (thread != nullptr) threads.join(thread);
}

void* BackupThread::run(void* self) {
  auto& all = *static_cast<BackupThread*>(self);
  Request* request = nullptr;
  {
    const std::lock_guard lock(all.mutex_);
    request = all.request_;
  }
  Result<void> done;
  try {
    done = all.make_(*request, &all.stopped_);
  } catch (const std::bad_alloc&) {
    done = Error{.code = Code::no_memory, .operation = "backup"};
  }
  {
    // Before the answer: who has it may ask for the next one.
    const std::lock_guard lock(all.mutex_);
    all.request_ = nullptr;
  }
  request->done(done);
  return nullptr;
}

}  // namespace hyper_lmdb
