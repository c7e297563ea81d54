// How much address space a store maps.
#pragma once

#include <atomic>
#include <cstdint>

namespace hyper_lmdb {

/// Least capacity a store is opened with when the address space has no room for more.
inline constexpr std::uint64_t kLeastCapacity = 1ULL << 20;

/// Bytes to map for a capacity. More than that: the limit users see is decided before LMDB's own,
/// so that deletes still find pages at the limit.
std::uint64_t map_bytes_for(std::uint64_t capacity) noexcept;

/// What a store that did not ask may map: a share of what is left of half the address space.
/// Thread-safe, as are the two below.
std::uint64_t fair_map_bytes() noexcept;

/// Counts what the stores of this process have mapped.
void count_mapped(std::uint64_t bytes) noexcept;
void count_unmapped(std::uint64_t bytes) noexcept;

/// The number that is counted in, and another copy's of this library in its place: to be called
/// before this copy counts.
std::atomic<std::uint64_t>* mapped_bytes() noexcept;
void use_mapped_bytes(std::atomic<std::uint64_t>* number) noexcept;

}  // namespace hyper_lmdb
