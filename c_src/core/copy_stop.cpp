#include "copy_stop.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"

namespace hyper_lmdb {

namespace {

Error closed() noexcept {
  return {.code = Code::closed, .operation = "backup"};
}

}  // namespace

Result<void> CopyStop::begin(int fd) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return closed();
  // Ahead, since a stop must not fail.
  unwritable_ = FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!unwritable_) return from_errno(errno, "open /dev/null");
  fd_ = fd;
  return {};
}

Result<void> CopyStop::end() {
  const std::lock_guard lock(mutex_);
  fd_ = -1;
  unwritable_.reset();
  return stopped_ ? Result<void>(closed()) : Result<void>();
}

Result<void> CopyStop::check() {
  const std::lock_guard lock(mutex_);
  return stopped_ ? Result<void>(closed()) : Result<void>();
}

void CopyStop::stop() noexcept {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  if (fd_ < 0) return;
  while (::dup2(unwritable_.get(), fd_) < 0 && (errno == EINTR || errno == EBUSY)) {
  }
  (void)::fcntl(fd_, F_SETFD, FD_CLOEXEC);  // which the copy of a descriptor has not
}

}  // namespace hyper_lmdb
