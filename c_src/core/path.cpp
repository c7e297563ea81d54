#include "path.h"

namespace hyper_lmdb {

namespace {

template <typename OnSegment>
void each_segment(std::string_view path, OnSegment&& on_segment) {
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (!segment.empty()) on_segment(segment);
    if (slash == std::string_view::npos) return;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

bool is_canonical_path(std::string_view path) noexcept {
  if (path.empty()) return true;
  if (path.front() == '/' || path.back() == '/') return false;
  std::size_t slash = path.find('/');
  while (slash != std::string_view::npos) {
    if (path[slash + 1] == '/') return false;
    slash = path.find('/', slash + 1);
  }
  return true;
}

std::size_t canonical_size(std::string_view path) noexcept {
  std::size_t size = 0;
  each_segment(path, [&](std::string_view segment) { size += segment.size() + (size != 0); });
  return size;
}

std::string canonical_path(std::string_view path) {
  std::string text;
  text.reserve(path.size());
  each_segment(path, [&](std::string_view segment) {
    if (!text.empty()) text += '/';
    text += segment;
  });
  return text;
}

bool PathText::assign_canonical(std::string_view path) noexcept {
  if (is_canonical_path(path)) return assign(path);
  if (canonical_size(path) > bytes_.size()) return false;
  size_ = 0;
  each_segment(path, [&](std::string_view segment) { (void)append(segment); });
  return true;
}

}  // namespace hyper_lmdb
