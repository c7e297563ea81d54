#include "read/open_snapshot.h"

#include <chrono>
#include <thread>

#include "hyper_lmdb/reader.h"

namespace hyper_lmdb {

namespace {

using std::chrono::steady_clock;

constexpr auto kBetweenLooks = std::chrono::microseconds(50);

}  // namespace

Error OpenSnapshot::ending() const noexcept {
  const bool closed = why_.load(std::memory_order_acquire) == End::closed;
  return {.code = closed ? Code::closed : Code::snapshot_expired, .operation = "snapshot"};
}

Result<ReadPool::Lease> OpenSnapshot::lease(std::uint64_t wait_ms) noexcept {
  const auto began = wait_ms == 0 ? steady_clock::time_point() : steady_clock::now();
  unsigned seen = state_.load(std::memory_order_acquire);
  for (;;) {
    if ((seen & kEnded) != 0) return ending();
    if ((seen & kReading) == 0) {
      // Acquire: the transaction's last user wrote it before the release in `give_back`.
      if (state_.compare_exchange_weak(seen, kReading, std::memory_order_acquire)) break;
      continue;
    }
    if (!wait_for_turn(seen, wait_ms, began)) {
      return Error{.code = Code::work_limit, .operation = "snapshot"};
    }
    seen = state_.load(std::memory_order_acquire);
  }
  return ReadPool::Lease(slot_, this);
}

/// False once the time is over. An atomic has no wait with an end, so a short one looks again and
/// again.
bool OpenSnapshot::wait_for_turn(unsigned seen, std::uint64_t wait_ms,
                                 steady_clock::time_point began) const noexcept {
  if (wait_ms == kNoLimit) {
    state_.wait(seen, std::memory_order_acquire);
    return true;
  }
  if (wait_ms == 0 || steady_clock::now() - began >= std::chrono::milliseconds(wait_ms)) {
    return false;
  }
  std::this_thread::sleep_for(kBetweenLooks);
  return true;
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
  state_.notify_all();
}

}  // namespace hyper_lmdb
