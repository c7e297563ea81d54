// One call that reads, and what the disk does to it.
#pragma once

#include <string_view>
#include <utility>

#include "hyper_lmdb/reader.h"
#include "hyper_lmdb/result.h"
#include "read/residency.h"

namespace hyper_lmdb {

/// Lives as long as the call; tells the store at its end whether the disk kept it waiting.
///
/// Thread-safety: none; lives on the thread that reads.
class ReadCall {
 public:
  ReadCall(Residency* residency, const Effort& effort) noexcept
      : residency_(residency), may_wait_(effort.may_wait), cold_(residency->cold()) {
    if (!may_wait_) {
      if (!cold_) forget_waits();
    } else if (cold_) {
      waits_before_ = disk_waits();
    }
  }
  ReadCall(const ReadCall&) = delete;
  ReadCall& operator=(const ReadCall&) = delete;
  ~ReadCall() {
    if (!may_wait_) {
      if (!refused()) note();
    } else if (cold_) {
      residency_->read_elsewhere(disk_waits() != waits_before_, ticks());
    }
  }

  /// Whether the call may not even begin: it may not wait, and the store is cold.
  bool refused() const noexcept { return cold_ && !may_wait_; }

  /// Whether the call is to end here: it may not wait, and the disk has kept it waiting already. To
  /// be asked before each step, which may touch a few pages.
  bool over() noexcept {
    if (may_wait_ || !std::exchange(begun_, true)) return false;
    note();
    return waited_;
  }

  /// Whether the bytes may be read: all of them are in memory, or few, or the call may wait; then
  /// they are brought in together.
  bool may_touch(std::string_view bytes) const noexcept {
    return bytes.size() <= kFewBytes || may_touch_many(bytes);
  }

  /// Whether a batch may look at so many bytes of one record, or look up so many records on the way
  /// of its paths: a thread that may not wait is not for more.
  bool allows_bytes(std::size_t bytes) const noexcept { return may_wait_ || bytes <= kMostBytes; }
  std::uint64_t most_lookups() const noexcept { return may_wait_ ? kNoLimit : kMostLookups; }

  static Error work_limit() noexcept { return {.code = Code::work_limit, .operation = "read"}; }

 private:
  // To ask costs half a microsecond, which would show beside what fewer take.
  static constexpr std::size_t kFewBytes = 16 << 10;
  static constexpr std::size_t kMostBytes = 64 << 10;
  static constexpr std::uint64_t kMostLookups = 200;

  bool may_touch_many(std::string_view bytes) const noexcept;

  void note() noexcept {
    const Residency::Time took = waited_for_disk();
    if (took == Residency::Time{0}) return;
    waited_ = true;
    residency_->blocked(took, ticks());
  }

  Residency* residency_;
  const bool may_wait_;
  const bool cold_;
  bool begun_ = false;
  bool waited_ = false;
  std::uint64_t waits_before_ = 0;
};

}  // namespace hyper_lmdb
