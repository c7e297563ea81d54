// Paths taken apart and put together.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "hyper_lmdb/path.h"
#include "hyper_lmdb/store.h"

namespace hyper_lmdb {

/// Whether a canonical path is the reserved key or lies below it: no path function sees it.
inline bool is_reserved_path(std::string_view path) noexcept {
  return path.starts_with(kReservedKey) &&
         (path.size() == kReservedKey.size() || path[kReservedKey.size()] == '/');
}

/// Bytes of the canonical form.
std::size_t canonical_size(std::string_view path) noexcept;

/// The path one segment up; the root for a single segment.
inline std::string_view parent_of(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// The last segment.
inline std::string_view name_in(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);
}

/// A canonical path of at most kMaxKeyBytes in a fixed place: resolution allocates nothing, however
/// long the chain.
class PathText {
 public:
  PathText() noexcept {}
  // Only the bytes in use are copied: these stand on hot paths.
  PathText(const PathText& other) noexcept { (void)assign(other.view()); }
  PathText& operator=(const PathText& other) noexcept {
    (void)assign(other.view());
    return *this;
  }

  std::string_view view() const noexcept { return {bytes_.data(), size_}; }

  /// False, and nothing changed, where it does not fit.
  bool assign(std::string_view path) noexcept {
    if (path.size() > bytes_.size()) return false;
    // The source may lie inside.
    if (!path.empty()) std::memmove(bytes_.data(), path.data(), path.size());
    size_ = path.size();
    return true;
  }
  /// Adds segments after a `/` where one is due.
  bool append(std::string_view segments) noexcept {
    if (segments.empty()) return true;
    const std::size_t slash = size_ == 0 ? 0 : 1;
    if (size_ + slash + segments.size() > bytes_.size()) return false;
    if (slash != 0) bytes_[size_] = '/';
    std::memcpy(bytes_.data() + size_ + slash, segments.data(), segments.size());
    size_ += slash + segments.size();
    return true;
  }
  /// The canonical form of any path; false where it does not fit.
  bool assign_canonical(std::string_view path) noexcept;

 private:
  std::array<char, kMaxKeyBytes> bytes_;
  std::size_t size_ = 0;
};

}  // namespace hyper_lmdb
