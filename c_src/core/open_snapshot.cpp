#include "open_snapshot.h"

namespace hyper_lmdb {

Error OpenSnapshot::ending() const noexcept {
  const bool closed = why_.load(std::memory_order_acquire) == End::closed;
  return {.code = closed ? Code::closed : Code::snapshot_expired, .operation = "snapshot"};
}

Result<ReadPool::Lease> OpenSnapshot::lease(bool may_wait) noexcept {
  unsigned seen = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((seen & kEnded) != 0) return ending();
    if ((seen & kReading) == 0) {
      // Acquire: the transaction's last user wrote it before the release in `give_back`.
      if (state_.compare_exchange_weak(seen, kReading, std::memory_order_acquire)) break;
      continue;
    }
    if (!may_wait) return Error{.code = Code::work_limit, .operation = "snapshot"};
    state_.wait(seen, std::memory_order_acquire);
    seen = state_.load(std::memory_order_acquire);
  }
  return ReadPool::Lease(slot_, this);
}

void OpenSnapshot::give_back() noexcept {
  const unsigned before = state_.fetch_and(~kReading, std::memory_order_acq_rel);
  if ((before & kEnded) != 0) held_.reset();
  // All: those who find it ended do not wake the next.
  state_.notify_all();
}

void OpenSnapshot::end(End why) noexcept {
  End none = End::none;
  if (!why_.compare_exchange_strong(none, why, std::memory_order_acq_rel)) return;
  const unsigned before = state_.fetch_or(kEnded, std::memory_order_acq_rel);
  if ((before & kReading) == 0) held_.reset();
}

}  // namespace hyper_lmdb
