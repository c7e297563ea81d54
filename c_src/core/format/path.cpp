#include "format/path.h"

#include <algorithm>
#include <utility>

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
  // Paths are short: a search for each slash costs more than a look at each byte.
  bool after_slash = true;
  bool empty_segment = false;
  for (const char byte : path) {
    const bool slash = byte == '/';
    empty_segment |= slash && after_slash;
    after_slash = slash;
  }
  return path.empty() || !(empty_segment || after_slash);
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

bool PathText::assign_canonical(std::string_view path, std::size_t most_bytes) {
  if (is_canonical_path(path)) {
    if (path.size() > most_bytes) return false;
    assign(path);
    return true;
  }
  if (canonical_size(path) > most_bytes) return false;
  size_ = 0;
  each_segment(path, [&](std::string_view segment) { (void)append(segment, most_bytes); });
  return true;
}

void PathText::grow(std::size_t bytes) {
  const std::size_t room = std::max(bytes, 2 * room_);
  std::unique_ptr<char[]> more(new char[room]);
  std::memcpy(more.get(), at_, size_);
  many_ = std::move(more);
  at_ = many_.get();
  room_ = room;
}

}  // namespace hyper_lmdb
