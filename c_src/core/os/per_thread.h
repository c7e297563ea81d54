// One object for each thread that asks for it.
#pragma once

#include <pthread.h>

#include <new>

namespace hyper_lmdb {

/// The thread's own T. It goes when the thread ends, and at no other time: a thread_local object
/// with a destructor would also run at exit. Throws std::bad_alloc.
template <typename T>
T& per_thread() {
  struct Key {
    Key() noexcept {
      made = pthread_key_create(&key, [](void* object) { delete static_cast<T*>(object); }) == 0;
    }
    pthread_key_t key{};
    bool made = false;
  };
  static const Key key;
  if (!key.made) throw std::bad_alloc();
  if (void* object = pthread_getspecific(key.key)) return *static_cast<T*>(object);
  T* const object = new T;
  if (pthread_setspecific(key.key, object) != 0) {
    delete object;
    throw std::bad_alloc();
  }
  return *object;
}

}  // namespace hyper_lmdb
