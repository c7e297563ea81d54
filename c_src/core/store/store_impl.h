// What a Store is made of.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "backup/backup.h"
#include "backup/backup_thread.h"
#include "buffer/buffer_set.h"
#include "engine/journaled_engine.h"
#include "engine/mapped_engine.h"
#include "engine/recovery.h"
#include "hyper_lmdb/store.h"
#include "journal/journal.h"
#include "lmdb/env.h"
#include "os/errors.h"
#include "os/key_hash.h"
#include "paths/links.h"
#include "paths/path_view.h"
#include "read/read_pool.h"
#include "read/residency.h"
#include "read/snapshots.h"
#include "write/flusher.h"
#include "write/request_queue.h"
#include "write/writer.h"

namespace hyper_lmdb {

struct StoreImpl {
  StoreImpl(std::unique_ptr<Env> opened, const Settings& chosen, Recovered found,
            const ThreadApi& api)
      : settings(as_running(chosen, *opened)),
        threads(api),
        env(std::move(opened)),
        max_key_bytes(env->max_key_bytes()),
        recovered(std::move(found)),
        pool(env->get(), env->reader_slots(), &buffers, [this] { return env->for_reading(); }),
        snapshots(
            &pool, &buffers,
            {.age_ms = settings.max_snapshot_age_ms, .bytes = 2 * settings.write_buffer_bytes},
            &steady_ms),
        residency(Residency::of(env->get())),
        links({.entries = settings.path_cache_entries, .ttl_ms = settings.path_cache_ttl_ms},
              random_seed(), recovered.counts,
              has_journal() || recovered.buffer != nullptr ? recovered.replayed.last_seq
                                                           : env->version()),
        queue(has_journal() ? settings.write_buffer_bytes / 2 : settings.write_buffer_bytes),
        backup([this](const Request& request, const std::atomic<bool>* stopped) {
          return make_backup(request, stopped);
        }) {
    if (recovered.buffer != nullptr) {
      buffers.start(recovered.buffer, nullptr, recovered.replayed.last_seq);
    }
    if (settings.read_only) return;
    const std::chrono::milliseconds interval(settings.sync_interval_ms);
    if (has_journal()) {
      make_journal();
      flusher =
          std::make_unique<Flusher>([this] { return flush_journal(); }, interval, &failed, [] {});
    } else {
      flusher = std::make_unique<Flusher>([this] { return flush_tree(); }, interval, &failed,
                                          [this] { trim(); });
    }
    // A journaled store comes to its tree only through transactions that are flushed each.
    tree = std::make_unique<MappedEngine>(env.get(), settings, &links,
                                          has_journal() ? nullptr : flusher.get(), &failed);
    if (has_journal()) make_journal_writer();
    make_writer(has_journal() ? static_cast<WriteEngine*>(journal.get()) : tree.get());
  }

  /// Whether a key may be used, now or ever. Errors: bad_key, key_too_large.
  Result<void> check_key(std::string_view key) const noexcept;

  bool has_journal() const noexcept {
    return !settings.read_only && settings.durability != Durability::map_async;
  }

  /// A picture of the store as it is now, or of a snapshot of it. Errors: as ReadPool and
  /// Snapshots; work_limit where the effort allows no wait and the snapshot is an old one.
  Result<ReadPool::Lease> lease(OpenSnapshot* snapshot, const Effort& effort) {
    if (snapshot == nullptr) return pool.lease(ReadPool::For::call, wait_ms(effort));
    // A look-up in the buffers passes over what is newer than the snapshot, one by one. (Without a
    // journal nothing is ever visible in them.)
    if (!effort.may_wait && buffers.visible() > snapshot->version() + kFewVersions) {
      return Error{.code = Code::work_limit, .operation = "snapshot"};
    }
    return snapshots.lease(snapshot, wait_ms(effort));
  }
  static std::uint64_t wait_ms(const Effort& effort) noexcept {
    return effort.may_wait ? effort.turn_ms : 0;
  }

  /// Into the file `request.ops[0].key` names: `request.snapshot`, or else the store as it is now.
  Result<void> make_backup(const Request& request, const std::atomic<bool>* stopped) {
    if (failed.load(std::memory_order_acquire)) {
      return Error{.code = Code::env_failed, .operation = "backup"};
    }
    // One of its own ends neither by its age nor by the memory it keeps: two buffers at most.
    std::shared_ptr<OpenSnapshot> moment = request.snapshot;
    if (moment == nullptr) {
      auto now = pool.lease(ReadPool::For::backup);
      if (!now) return now.error();
      moment = std::make_shared<OpenSnapshot>(std::move(now).value(), 0);
    }
    const auto lease = [&] {
      return request.snapshot == nullptr ? moment->lease(kNoLimit)
                                         : snapshots.lease(moment.get(), kNoLimit);
    };
    return back_up({env->dbi(), env->page_bytes(), lease, stopped},
                   std::string(request.ops.front().key));
  }

  Result<void> start_threads() {
    if (writer == nullptr) return {};
    if (journal != nullptr) {
      if (auto done = log->open_mark(); !done) return done;
      if (auto done = journal->start(); !done) return done;
      if (auto done = checkpointer->start(threads); !done) return done;
    }
    if (auto done = writer->start(threads); !done) return done;
    return flusher == nullptr ? Result<void>() : flusher->start(threads);
  }

  /// Does what is queued; what was acknowledged is in LMDB afterwards, or in the journal on disk.
  Result<void> stop_threads() {
    backup.stop(threads);
    queue.close();
    if (writer == nullptr) return {};
    writer->stop(threads);
    Result<void> finished;
    if (journal != nullptr) finished = journal->finish();
    if (checkpointer != nullptr) checkpointer->stop(threads);
    if (flusher != nullptr) flusher->stop(threads);
    if (log != nullptr) log->close();
    return finished;
  }

  const Settings settings;
  const ThreadApi threads;
  std::unique_ptr<Env> env;
  const std::size_t max_key_bytes;
  Recovered recovered;
  std::atomic<bool> failed{false};                // a flush failed: nothing more is written
  const std::uint64_t hash_seed = random_seed();  // of the buffers
  BufferSet buffers{settings.write_buffer_bytes};
  ReadPool pool;
  Snapshots snapshots;
  mutable Residency residency;
  Links links;
  RequestQueue queue;
  BackupThread backup;
  std::mutex write_mutex;

  // None of these where the store is read-only.
  std::unique_ptr<Journal> log;                // with a journal
  std::unique_ptr<Checkpointer> checkpointer;  // with a journal
  std::unique_ptr<Flusher> flusher;
  std::unique_ptr<MappedEngine> tree;
  std::unique_ptr<JournaledEngine> journal;  // with a journal
  std::unique_ptr<Writer> writer;

  enum class State { open, closing, closed };
  std::atomic<State> state{State::open};
  std::mutex close_mutex;  // guards the wait for `closed`
  std::condition_variable closed_changed;

 private:
  static constexpr std::uint64_t kFewVersions = 1000;

  static Settings as_running(Settings chosen, const Env& env) noexcept {
    chosen.page_size = env.page_bytes();
    return chosen;
  }

  void make_writer(WriteEngine* engine) {
    writer =
        std::make_unique<Writer>(env->get(), &queue, engine, &write_mutex, &failed, &snapshots);
  }

  void make_journal() {
    buffers.start(JournaledEngine::new_buffer(settings, buffers, hash_seed), nullptr,
                  recovered.replayed.last_seq);
    constexpr std::uint64_t kSegmentSlackBytes = 1 << 20;  // what flushes skip, the header
    log = std::make_unique<Journal>(
        env->directory(),
        Journal::Start{.store_id = env->store_id(),
                       .last_seq = recovered.replayed.last_seq,
                       .last_generation = recovered.replayed.last_generation,
                       .segment_bytes = settings.write_buffer_bytes + kSegmentSlackBytes,
                       .way = settings.durability == Durability::sync
                                  ? JournalSegment::Append::written
                                  : JournalSegment::Append::mapped},
        &failed);
    checkpointer =
        std::make_unique<Checkpointer>(env.get(), &buffers, &pool, log.get(), &failed, &snapshots);
  }

  void make_journal_writer() {
    journal = std::make_unique<JournaledEngine>(JournaledParts{.env = env.get(),
                                                               .settings = &settings,
                                                               .links = &links,
                                                               .buffers = &buffers,
                                                               .pool = &pool,
                                                               .residency = &residency,
                                                               .log = log.get(),
                                                               .checkpointer = checkpointer.get(),
                                                               .flusher = flusher.get(),
                                                               .tree = tree.get(),
                                                               .write_mutex = &write_mutex,
                                                               .failed = &failed,
                                                               .hash_seed = hash_seed});
  }

  Result<void> flush_journal() {
    auto done = log->flush();
    if (done) done = log->check_named();
    return done ? env->check_named() : done;
  }

  Result<void> flush_tree() noexcept {
    if (failed.load(std::memory_order_acquire)) {
      return Error{.code = Code::env_failed, .operation = "sync"};
    }
    const int rc = mdb_env_sync(env->get(), 1);
    if (rc == 0) return env->check_named();
    env->distrust();
    return from_lmdb(rc, "mdb_env_sync");
  }

  void trim() noexcept {
    const std::unique_lock lock(write_mutex, std::try_to_lock);
    if (lock) tree->trim();
  }
};

}  // namespace hyper_lmdb
