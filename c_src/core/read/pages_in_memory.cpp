#include "read/pages_in_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace hyper_lmdb {

namespace {

std::size_t page_bytes() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

/// The whole pages around the bytes.
std::string_view pages_of(std::string_view bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::size_t before = begin % page_bytes();
  const std::size_t size = (before + bytes.size() + page_bytes() - 1) / page_bytes() * page_bytes();
  return {bytes.data() - before, size};
}

}  // namespace

bool in_memory(std::string_view bytes) noexcept {
#ifdef __APPLE__
  std::array<char, 256> present;
#else
  std::array<unsigned char, 256> present;
#endif
  std::string_view left = pages_of(bytes);
  while (!left.empty()) {
    const std::size_t size = std::min(left.size(), present.size() * page_bytes());
    if (::mincore(const_cast<char*>(left.data()), size, present.data()) != 0) return true;
    const auto end = present.begin() + static_cast<std::ptrdiff_t>(size / page_bytes());
    if (!std::all_of(present.begin(), end, [](auto page) { return (page & 1) != 0; })) return false;
    left.remove_prefix(size);
  }
  return true;
}

void bring_in(std::string_view bytes) noexcept {
  if (bytes.empty()) return;
  const std::string_view pages = pages_of(bytes);
  // Only advice: without it the pages come one by one, below.
  if (pages.size() > page_bytes()) {
    (void)::madvise(const_cast<char*>(pages.data()), pages.size(), MADV_WILLNEED);
  }
  for (std::size_t at = 0; at < bytes.size(); at += page_bytes()) {
    (void)*static_cast<const volatile char*>(bytes.data() + at);
  }
  (void)*static_cast<const volatile char*>(&bytes.back());
}

}  // namespace hyper_lmdb
