// The data every case runs on: integer keys in decimal, 100 random bytes a value, fixed seeds.
#pragma once

#include <array>
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

  explicit Dataset(std::size_t keys);

  std::size_t keys() const noexcept { return all_.size(); }
  const PackedKey& key(std::size_t index) const noexcept { return all_[index]; }
  /// Key `index` and the value both stores hold there before the first case runs.
  Entry entry(std::size_t index) const noexcept { return {all_[index].view(), value(index)}; }
  /// Random keys, evenly drawn; its length is a power of two.
  std::span<const PackedKey> sequence() const noexcept { return sequence_; }
  /// Any index will do: values repeat after `keys()`.
  std::string_view value(std::size_t index) const noexcept {
    return {pool_.data() + index % all_.size() * kValueBytes, kValueBytes};
  }

 private:
  std::vector<PackedKey> all_;
  std::vector<PackedKey> sequence_;
  std::string pool_;
};

/// Walks the random sequence for ever, from a place of its own for each thread.
class Walk {
 public:
  Walk(const Dataset& data, int thread) noexcept
      : data_(data), at_(static_cast<std::size_t>(thread) * 15'485'863) {}

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
