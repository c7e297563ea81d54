// The data every case runs on: integer keys in decimal, random bytes as values (100 of them where a
// case does not say otherwise), fixed seeds.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hyper_lmdb::bench {

/// A key small enough to lie in the sequence itself: following a pointer to each random key would
/// cost a cache miss that belongs to no store.
class PackedKey {
 public:
  static constexpr std::size_t kMaxBytes = 7;

  PackedKey() = default;
  /// `text` is at most kMaxBytes long.
  explicit PackedKey(std::string_view text) noexcept
      : size_(static_cast<std::uint8_t>(text.size())) {
    std::memcpy(bytes_.data(), text.data(), text.size());
  }
  std::string_view view() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<char, kMaxBytes> bytes_{};
  std::uint8_t size_ = 0;
};

struct Entry {
  std::string_view key;
  std::string_view value;
};

class Dataset {
 public:
  static constexpr std::size_t kValueBytes = 100;
  static constexpr std::uint64_t kSeed = 20240229;

  explicit Dataset(std::size_t keys, std::size_t value_bytes = kValueBytes);

  std::size_t keys() const noexcept { return all_.size(); }
  std::size_t value_bytes() const noexcept { return value_bytes_; }
  const PackedKey& key(std::size_t index) const noexcept { return all_[index]; }
  /// Key `index` and the value both stores hold there before the first case runs.
  Entry entry(std::size_t index) const noexcept { return {all_[index].view(), value(index)}; }
  /// Random keys, evenly drawn; its length is a power of two.
  std::span<const PackedKey> sequence() const noexcept { return sequence_; }
  /// Where in the sequence the next walk begins. Any thread may call it.
  std::size_t next_start() const noexcept {
    return walks_.fetch_add(1, std::memory_order_relaxed) * 15'485'863;
  }
  /// Any index will do: values repeat after `keys()`, or earlier where they are large in all.
  std::string_view value(std::size_t index) const noexcept {
    return {pool_.data() + index % values_ * value_bytes_, value_bytes_};
  }

 private:
  std::size_t value_bytes_;
  std::size_t values_;
  std::vector<PackedKey> all_;
  std::vector<PackedKey> sequence_;
  std::string pool_;
  mutable std::atomic<std::size_t> walks_{0};
};

/// All entries in the order of their numbers, in batches that are bounded in entries and bytes.
template <typename Write>
void for_each_load_batch(const Dataset& data, Write write) {
  constexpr std::size_t kEntries = 1000;
  constexpr std::size_t kBytes = 16 << 20;
  const std::size_t size = std::clamp<std::size_t>(kBytes / data.value_bytes(), 1, kEntries);
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < data.keys();) {
    entries.clear();
    for (; i < data.keys() && entries.size() < size; ++i) entries.push_back(data.entry(i));
    write(std::span<const Entry>(entries));
  }
}

/// Walks the random sequence for ever, each walk from a place of its own: repeats of a case that
/// all began at the same place would find their keys in the processor's caches, however many there
/// are.
class Walk {
 public:
  explicit Walk(const Dataset& data) noexcept : data_(data), at_(data.next_start()) {}

  const PackedKey& key() noexcept {
    return data_.sequence()[at_++ & (data_.sequence().size() - 1)];
  }
  Entry entry() noexcept {
    const PackedKey& next = key();
    return {next.view(), data_.value(at_)};
  }

 private:
  const Dataset& data_;
  std::size_t at_;
};

/// A new directory below `parent`, removed with all it holds when the object goes.
class TempDir {
 public:
  explicit TempDir(const std::string& parent);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const noexcept { return path_; }
  /// A directory below it, made here.
  std::string make(const std::string& name) const;

 private:
  std::string path_;
};

}  // namespace hyper_lmdb::bench
