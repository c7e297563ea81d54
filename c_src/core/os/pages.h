// Memory straight from the system: zeroed, free of cost until it is touched, given back at once.
#pragma once

#include <cstddef>
#include <utility>

namespace hyper_lmdb {

/// Mapped pages are there now, as if each had been stored into; what others store meanwhile stays.
/// Takes its time. Returns 0 or an errno.
int touch_pages(char* at, std::size_t bytes) noexcept;

/// Owns a mapping. A large one begins where a huge page may.
class Pages {
 public:
  static constexpr std::size_t kSmallBytes = 4 << 10;
  static constexpr std::size_t kHugeBytes = 2 << 20;

  /// Throws std::bad_alloc.
  explicit Pages(std::size_t bytes);
  Pages(Pages&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Pages();

  char* at() const noexcept { return at_; }
  std::size_t bytes() const noexcept { return bytes_; }

  // Wishes; a system that does not know them carries on with small pages.

  /// What is touched from now on comes in huge pages: fewer faults, and faster reads all over it.
  void prefer_huge() noexcept;
  /// All of it becomes huge pages now, whatever was touched. Others may use it meanwhile.
  void make_huge() noexcept;
  /// With AddressSanitizer a guarded mapping must not be touched; otherwise nothing.
  void guard(bool guarded) noexcept;

 private:
  char* at_;
  std::size_t bytes_;
};

}  // namespace hyper_lmdb
