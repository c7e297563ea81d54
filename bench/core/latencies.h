// Counts durations in buckets 3 % wide, in memory that does not grow.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace hyper_lmdb::bench {

class Latencies {
 public:
  void add(std::uint64_t ns) noexcept {
    ++counts_[bucket(ns)];
    ++total_;
    longest_ = std::max(longest_, ns);
  }
  std::uint64_t longest() const noexcept { return longest_; }
  /// The upper end of the bucket that holds this part of all.
  std::uint64_t percentile(double part) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(static_cast<double>(total_) * part);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return std::min(upper(i), longest_);
    }
    return longest_;
  }

 private:
  static constexpr unsigned kSubBits = 5;
  static constexpr std::uint64_t kSub = 1U << kSubBits;

  static std::size_t bucket(std::uint64_t ns) noexcept {
    if (ns < kSub) return ns;
    const unsigned shift = std::bit_width(ns) - 1 - kSubBits;
    return (shift + 1) * kSub + (ns >> shift) - kSub;
  }
  static std::uint64_t upper(std::size_t bucket) noexcept {
    if (bucket < kSub) return bucket;
    const std::size_t shift = bucket / kSub - 1;
    return ((bucket % kSub + kSub + 1) << shift) - 1;
  }

  std::array<std::uint64_t, 64 * kSub> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t longest_ = 0;
};

}  // namespace hyper_lmdb::bench
