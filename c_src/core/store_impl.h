// What a Store is made of.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "buffers.h"
#include "env.h"
#include "flusher.h"
#include "hyper_lmdb/store.h"
#include "links.h"
#include "read_pool.h"
#include "request_queue.h"
#include "writer.h"

namespace hyper_lmdb {

/// For hashes that a stranger must not be able to foresee.
std::uint64_t random_seed() noexcept;

/// Whether a key may be used. Errors: bad_key, key_too_large.
Result<void> check_key(std::string_view key) noexcept;

struct Store::Impl {
  Impl(std::unique_ptr<Env> opened, const Settings& chosen, const ThreadApi& api)
      : settings(chosen),
        threads(api),
        env(std::move(opened)),
        pool(env->get(), env->reader_slots(), &buffers),
        links({.entries = settings.path_cache_entries, .ttl_ms = settings.path_cache_ttl_ms},
              random_seed(), settings.shared, env->counts(), env->version()),
        queue(settings.write_buffer_bytes) {
    if (settings.read_only) return;
    if (settings.durability == Durability::map_async) {
      flusher = std::make_unique<Flusher>(env->get(),
                                          std::chrono::milliseconds(settings.sync_interval_ms),
                                          &failed, [this] { writer->trim(); });
    }
    writer = std::make_unique<Writer>(env.get(), settings, &links, &queue, flusher.get(), &failed);
  }

  Result<void> start_threads() {
    if (writer == nullptr) return {};
    if (auto done = writer->start(threads); !done) return done;
    return flusher != nullptr ? flusher->start(threads) : Result<void>();
  }

  void stop_threads() {
    queue.close();
    if (writer == nullptr) return;
    writer->stop(threads);
    if (flusher != nullptr) flusher->stop(threads);
  }

  const Settings settings;
  const ThreadApi threads;
  std::unique_ptr<Env> env;
  std::atomic<bool> failed{false};  // a flush failed: nothing more is written
  Buffers buffers;
  ReadPool pool;
  Links links;
  RequestQueue queue;
  std::unique_ptr<Flusher> flusher;  // map_async
  std::unique_ptr<Writer> writer;    // none where the store is read-only

  enum class State { open, closing, closed };
  std::atomic<State> state{State::open};
  std::mutex close_mutex;  // guards the wait for `closed`
  std::condition_variable closed_changed;
};

}  // namespace hyper_lmdb
