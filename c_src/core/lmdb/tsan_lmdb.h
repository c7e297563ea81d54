// The order between readers and writers of the map's pages, told to ThreadSanitizer.
//
// LMDB keeps it: a page is written again only once the reader table shows that no snapshot can see
// it, and a snapshot begins at a meta page that was written after its pages. liblmdb is not built
// for the sanitizer, so what it orders is repeated here; without the sanitizer this is nothing.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define HYPER_LMDB_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HYPER_LMDB_TSAN 1
#endif
#endif

#ifdef HYPER_LMDB_TSAN
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace hyper_lmdb {

/// A transaction begins: it sees what was done before the last `pages_left`.
inline void pages_entered([[maybe_unused]] void* env) noexcept {
#ifdef HYPER_LMDB_TSAN
  __tsan_acquire(env);
#endif
}

/// A transaction is about to end: it touches no page any more.
inline void pages_left([[maybe_unused]] void* env) noexcept {
#ifdef HYPER_LMDB_TSAN
  __tsan_release(env);
#endif
}

}  // namespace hyper_lmdb
