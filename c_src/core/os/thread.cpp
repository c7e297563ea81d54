#include <pthread.h>

#include <cerrno>
#include <new>

#include "hyper_lmdb/options.h"

namespace hyper_lmdb {

namespace {

int start_posix(const char* name, void* (*run)(void*), void* argument, void** thread) {
  auto* handle = new (std::nothrow) pthread_t;
  if (handle == nullptr) return ENOMEM;
  if (const int rc = pthread_create(handle, nullptr, run, argument); rc != 0) {
    delete handle;
    return rc;
  }
#ifdef __linux__
  pthread_setname_np(*handle, name);  // names over 15 bytes are refused: keep them short
#else
  (void)name;
#endif
  *thread = handle;
  return 0;
}

void join_posix(void* thread) {
  auto* handle = static_cast<pthread_t*>(thread);
  pthread_join(*handle, nullptr);
  delete handle;
}

}  // namespace

const ThreadApi& posix_threads() noexcept {
  static constexpr ThreadApi kThreads{.start = &start_posix, .join = &join_posix};
  return kThreads;
}

}  // namespace hyper_lmdb
