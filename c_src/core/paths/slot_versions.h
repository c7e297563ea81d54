// The last version in which something happened to a key, in slots chosen by the key's hash. Two
// keys that share a slot cost a needless look, never a wrong answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "os/lazy_array.h"

namespace hyper_lmdb {

using Slots = std::vector<std::uint32_t>;

/// Thread-safety: `record` is called by the holder of the store's write lock, everything else by
/// any thread. What was recorded before a version was published is seen by whoever sees the
/// version.
class SlotVersions {
 public:
  static std::uint32_t slot_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32) % kSlots;
  }

  /// It happened to a key of the slot in `version`. Where memory is out, to every key.
  void record(std::uint32_t slot, std::uint64_t version) noexcept;
  /// It may have happened to any key, in `version` or before.
  void record_all(std::uint64_t version) noexcept;

  /// Whether it may have happened after `version`.
  bool any_after(std::uint64_t version, std::uint32_t slot) const noexcept;
  bool any_after(std::uint64_t version, const Slots& slots) const noexcept;

 private:
  static constexpr std::size_t kSlots = 1U << 15;

  LazyArray<std::uint64_t, kSlots> slots_;
  std::atomic<std::uint64_t> all_{0};
};

/// Raises a number to at least `least`.
void raise_to(std::atomic<std::uint64_t>* number, std::uint64_t least) noexcept;

}  // namespace hyper_lmdb
