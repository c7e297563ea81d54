// Paths taken apart and put together.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "format/identity.h"
#include "hyper_lmdb/path.h"

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

/// A canonical path. A short one lies in a fixed place: its resolution allocates nothing, however
/// long the chain. What makes it longer throws std::bad_alloc.
class PathText {
 public:
  PathText() noexcept {}
  // Only the bytes in use are copied: these stand on hot paths.
  PathText(const PathText& other) { assign(other.view()); }
  PathText& operator=(const PathText& other) {
    assign(other.view());
    return *this;
  }

  std::string_view view() const noexcept { return {at_, size_}; }

  void assign(std::string_view path) {
    if (path.size() > room_) grow(path.size());
    // The source may lie inside, where nothing has grown.
    if (!path.empty()) std::memmove(at_, path.data(), path.size());
    size_ = path.size();
  }
  /// Adds segments after a `/` where one is due. False, and nothing changed, where the path would
  /// have more than `most_bytes`.
  bool append(std::string_view segments, std::size_t most_bytes) {
    if (segments.empty()) return true;
    const std::size_t slash = size_ == 0 ? 0 : 1;
    const std::size_t size = size_ + slash + segments.size();
    if (size > most_bytes) return false;
    if (size > room_) grow(size);
    if (slash != 0) at_[size_] = '/';
    std::memcpy(at_ + size_ + slash, segments.data(), segments.size());
    size_ = size;
    return true;
  }
  /// The canonical form of any path; false, and nothing changed, where that has more than
  /// `most_bytes`.
  bool assign_canonical(std::string_view path, std::size_t most_bytes);

 private:
  void grow(std::size_t bytes);

  std::array<char, 512> few_;
  std::unique_ptr<char[]> many_;  // once few_ was too small
  char* at_ = few_.data();
  std::size_t room_ = few_.size();
  std::size_t size_ = 0;
};

}  // namespace hyper_lmdb
