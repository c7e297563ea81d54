#include "lmdb/map_size.h"

#include <algorithm>
#include <atomic>

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kLeastSpareBytes = 64ULL << 20;
constexpr std::uint64_t kMostSpareBytes = 1ULL << 30;

/// Address space that the maps of all open stores of this process take.
std::atomic<std::uint64_t> own_number{0};
std::atomic<std::atomic<std::uint64_t>*> adopted_number{nullptr};

}  // namespace

std::uint64_t map_bytes_for(std::uint64_t capacity) noexcept {
  const std::uint64_t least = std::min(capacity, kLeastSpareBytes);
  const std::uint64_t bytes = capacity + std::clamp(capacity / 8, least, kMostSpareBytes);
  constexpr std::uint64_t kGranule = 64 << 10;  // a multiple of every page size
  return (bytes + kGranule - 1) / kGranule * kGranule;
}

std::uint64_t fair_map_bytes() noexcept {
  constexpr std::uint64_t kHalfAddressSpace = 1ULL << 46;
  constexpr std::uint64_t kShare = 32;
  constexpr std::uint64_t kLeast = 1ULL << 30;
  const std::uint64_t used = mapped_bytes()->load(std::memory_order_relaxed);
  return std::max(kLeast, (kHalfAddressSpace - std::min(used, kHalfAddressSpace)) / kShare);
}

std::atomic<std::uint64_t>* mapped_bytes() noexcept {
  std::atomic<std::uint64_t>* const adopted = adopted_number.load(std::memory_order_acquire);
  return adopted != nullptr ? adopted : &own_number;
}
void use_mapped_bytes(std::atomic<std::uint64_t>* number) noexcept {
  adopted_number.store(number, std::memory_order_release);
}

void count_mapped(std::uint64_t bytes) noexcept {
  mapped_bytes()->fetch_add(bytes, std::memory_order_relaxed);
}
void count_unmapped(std::uint64_t bytes) noexcept {
  mapped_bytes()->fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace hyper_lmdb
