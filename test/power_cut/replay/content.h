// The bytes of a file, kept by pages that copies share.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace hyper_lmdb::power {

inline constexpr std::uint64_t kPageBytes = 4096;

class Content {
 public:
  static Content of_file(const std::string& path);

  std::uint64_t size() const { return size_; }
  /// What is beyond a smaller size is gone.
  void resize(std::uint64_t bytes);
  /// Zeros where `bytes` is null. Does not make the file larger: what is beyond it shows once it is
  /// resized.
  void write(std::uint64_t at, const char* bytes, std::uint64_t count);
  std::string read(std::uint64_t at, std::uint64_t count) const;
  std::uint64_t fingerprint() const;
  /// Makes the file, with holes where there are only zeros.
  void store(const std::string& path) const;

 private:
  using Page = std::array<char, kPageBytes>;
  std::uint64_t size_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Page>> pages_;  // by number; others are zeros
};

}  // namespace hyper_lmdb::power
