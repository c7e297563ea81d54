#include "pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace hyper_lmdb {

namespace {

constexpr std::size_t kUnitBytes = 64 << 10;  // a multiple of any system's page

#if defined(__linux__) && !defined(MADV_COLLAPSE)
constexpr int MADV_COLLAPSE = 25;  // Linux 6.1; the C library's headers may be older
#endif

char* map(std::size_t bytes) {
  void* const at =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(at);
}

char* map_aligned(std::size_t bytes, std::size_t alignment) {
  char* const mapped = map(bytes + alignment);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(mapped) % alignment;
  if (before != 0) ::munmap(mapped, before);
  ::munmap(mapped + before + bytes, alignment - before);
  return mapped + before;
}

}  // namespace

Pages::Pages(std::size_t bytes) : bytes_((bytes + kUnitBytes - 1) / kUnitBytes * kUnitBytes) {
  at_ = bytes_ < kHugeBytes ? map(bytes_) : map_aligned(bytes_, kHugeBytes);
}

Pages::~Pages() {
  if (at_ != nullptr) ::munmap(at_, bytes_);
}

void Pages::prefer_huge() noexcept {
#ifdef MADV_HUGEPAGE
  (void)::madvise(at_, bytes_, MADV_HUGEPAGE);
#endif
}

void Pages::make_huge() noexcept {
  prefer_huge();
#ifdef __linux__
  (void)::madvise(at_, bytes_, MADV_COLLAPSE);
#endif
}

}  // namespace hyper_lmdb
