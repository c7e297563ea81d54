#include "os/pages.h"

#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <cerrno>
#include <cstdint>
#include <new>

namespace hyper_lmdb {

namespace {

constexpr std::size_t kUnitBytes = 64 << 10;  // a multiple of any system's page

#if defined(__linux__) && !defined(MADV_COLLAPSE)
constexpr int MADV_COLLAPSE = 25;  // Linux 6.1; the C library's headers may be older
#endif
#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14
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

int touch_pages(char* at, std::size_t bytes) noexcept {
#ifdef __linux__
  if (::madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return 0;
  if (errno != EINVAL) return errno;  // else a kernel before 5.14
#endif
  // Adding nothing loses nothing of what somebody stores there.
  for (std::size_t i = 0; i < bytes; i += Pages::kSmallBytes) {
    __atomic_fetch_add(at + i, 0, __ATOMIC_RELAXED);
  }
  return 0;
}

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

void Pages::guard([[maybe_unused]] bool guarded) noexcept {
#ifdef __SANITIZE_ADDRESS__
  if (guarded) {
    ASAN_POISON_MEMORY_REGION(at_, bytes_);
  } else {
    ASAN_UNPOISON_MEMORY_REGION(at_, bytes_);
  }
#endif
}

}  // namespace hyper_lmdb
