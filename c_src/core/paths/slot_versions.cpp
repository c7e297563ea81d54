#include "paths/slot_versions.h"

#include <algorithm>
#include <new>

namespace hyper_lmdb {

void raise_to(std::atomic<std::uint64_t>* number, std::uint64_t least) noexcept {
  std::uint64_t seen = number->load(std::memory_order_relaxed);
  while (seen < least && !number->compare_exchange_weak(seen, least, std::memory_order_release,
                                                        std::memory_order_relaxed)) {
  }
}

void SlotVersions::record(std::uint32_t slot, std::uint64_t version) noexcept try {
  std::atomic<std::uint64_t>& last = slots_.make()[slot];
  // Nobody else stores.
  if (last.load(std::memory_order_relaxed) < version) {
    last.store(version, std::memory_order_release);
  }
} catch (const std::bad_alloc&) {
  record_all(version);
}

void SlotVersions::record_all(std::uint64_t version) noexcept {
  raise_to(&all_, version);
}

bool SlotVersions::any_after(std::uint64_t version, std::uint32_t slot) const noexcept {
  if (all_.load(std::memory_order_acquire) > version) return true;
  const auto* const slots = slots_.get();
  return slots != nullptr && slots[slot].load(std::memory_order_acquire) > version;
}

bool SlotVersions::any_after(std::uint64_t version, const Slots& slots) const noexcept {
  if (all_.load(std::memory_order_acquire) > version) return true;
  const auto* const recorded = slots_.get();
  return recorded != nullptr && std::any_of(slots.begin(), slots.end(), [&](std::uint32_t slot) {
           return recorded[slot].load(std::memory_order_acquire) > version;
         });
}

}  // namespace hyper_lmdb
