#include "hyper_lmdb/store.h"

#include <lmdb.h>

#include <utility>

#include "os/directory.h"
#include "store/registry.h"
#include "store/settings.h"
#include "store/store_impl.h"

namespace hyper_lmdb {

namespace {

/// A journal that another mode left goes into LMDB before the file is mapped for writing: after an
/// OS crash there would be no telling what of it had arrived.
Result<void> take_journal_over(Directory* directory, const Settings& settings) {
  if (settings.durability != Durability::map_async || settings.read_only) return {};
  auto segments = journal_segments(*directory);
  if (!segments) return segments.error();
  if (segments.value().empty()) return {};
  Settings safe = settings;
  safe.durability = Durability::async;
  auto bytes = journal_bytes(*directory);
  if (!bytes) return bytes.error();
  auto env = Env::open(std::move(*directory), safe, bytes.value());
  if (!env) return env.error();
  auto recovered = recover(env.value().get(), safe);
  auto closed = env.value()->close(false);
  *directory = env.value()->take_directory();
  if (!recovered) return recovered.error();
  return closed;
}

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) noexcept
    : Reader(impl.get(), nullptr), owned_(std::move(impl)) {}

// The registry keeps an open store alive, so only a closed one comes here: nothing to join or
// flush.
Store::~Store() = default;

Result<std::shared_ptr<Store>> Store::open(const Options& options, const ThreadApi& threads,
                                           bool* opened) {
  auto settings = resolve_settings(options);
  if (!settings) return settings.error();
  auto directory = Directory::open(
      options.directory, {.create = !settings.value().read_only, .force = settings.value().force});
  if (!directory) return directory.error();
  const DirectoryId id = directory.value().id();

  const auto open_store = [&]() -> Result<std::shared_ptr<Store>> {
    if (auto done = take_journal_over(&directory.value(), settings.value()); !done) {
      return done.error();
    }
    auto bytes = journal_bytes(directory.value());
    if (!bytes) return bytes.error();
    auto env = Env::open(std::move(directory).value(), settings.value(), bytes.value());
    if (!env) return env.error();
    auto recovered = recover(env.value().get(), settings.value());
    if (!recovered) {
      (void)env.value()->close(false);  // why it could not be recovered is what is reported
      return recovered.error();
    }
    auto impl = std::make_unique<Impl>(std::move(env).value(), settings.value(),
                                       std::move(recovered).value(), threads);
    if (auto started = impl->start_threads(); !started) {
      (void)impl->stop_threads();
      impl->pool.close();
      (void)impl->env->close(false);  // the thread that did not start is what is reported
      return started.error();
    }
    return std::shared_ptr<Store>(new Store(std::move(impl)));
  };
  bool was_open = false;
  auto store = registry::find_or_open(id, open_store, &was_open);
  if (opened != nullptr) *opened = !was_open;
  if (store && was_open) {
    if (const char* option = first_conflict(options, store.value()->settings())) {
      return Error{.code = Code::conflicting_option, .operation = "open", .option = option};
    }
  }
  return store;
}

Result<void> Store::close() {
  auto expected = Impl::State::open;
  if (!impl_->state.compare_exchange_strong(expected, Impl::State::closing)) {
    std::unique_lock lock(impl_->close_mutex);
    impl_->closed_changed.wait(lock, [&] { return impl_->state == Impl::State::closed; });
    return Error{.code = Code::closed, .operation = "close"};
  }
  // Whatever happens, those who wait for this store or its directory are let go.
  struct Closed {
    Impl& impl;
    const DirectoryId id;
    ~Closed() {
      // The directory's lock goes with its descriptor, before anybody else may open the store.
      impl.env.reset();
      registry::closed(id);
      const std::lock_guard lock(impl.close_mutex);
      impl.state = Impl::State::closed;
      impl.closed_changed.notify_all();
    }
  } closed{*impl_, impl_->env->directory().id()};
  registry::closing(closed.id);
  impl_->snapshots.close();
  const auto stopped = impl_->stop_threads();
  impl_->pool.close();
  auto env_closed = impl_->env->close(impl_->failed);
  return stopped ? env_closed : stopped;
}

void Store::leave_snapshot_line(const SnapshotTurn& turn) noexcept {
  impl_->snapshots.leave(turn);
}

Result<std::shared_ptr<Snapshot>> Store::snapshot(SnapshotTurn* turn, const Effort& effort) {
  auto open = impl_->snapshots.open(turn, StoreImpl::wait_ms(effort));
  if (!open) return open.error();
  return std::shared_ptr<Snapshot>(
      new Snapshot(shared_from_this(), impl_, std::move(open).value()));
}

Snapshot::Snapshot(std::shared_ptr<Store> store, StoreImpl* impl,
                   std::shared_ptr<OpenSnapshot> open) noexcept
    : Reader(impl, open.get()), store_(std::move(store)), open_(std::move(open)) {}

Snapshot::~Snapshot() {
  release();
}

void Snapshot::release() noexcept {
  open_->end(OpenSnapshot::End::released);
}

bool Store::is_open() const noexcept {
  return impl_->state == Impl::State::open;
}

bool Store::is_cold() const noexcept {
  return impl_->residency.cold();
}

const Settings& Store::settings() const noexcept {
  return impl_->settings;
}

Result<Info> Store::info(const Effort& effort) const {
  // The lease keeps the environment open while it is asked.
  auto lease = impl_->lease(nullptr, effort);
  if (!lease) return lease.error();
  const Env& env = *impl_->env;
  MDB_stat stat;
  MDB_envinfo detail;
  if (const int rc = mdb_stat(lease.value().txn(), env.dbi(), &stat); rc != 0) {
    return from_lmdb(rc, "mdb_stat");
  }
  if (const int rc = mdb_env_info(env.get(), &detail); rc != 0) {
    return from_lmdb(rc, "mdb_env_info");
  }
  Info info;
  info.directory = env.directory().path();
  info.store_id = env.store_id();
  info.settings = impl_->settings;
  info.settings.capacity = env.capacity();
  info.capacity_reduced = env.capacity() < impl_->settings.capacity;
  info.entries = stat.ms_entries - 1;
  info.page_size = stat.ms_psize;
  info.max_key_bytes = impl_->max_key_bytes;
  info.tree_depth = stat.ms_depth;
  info.map_bytes = detail.me_mapsize;
  if (auto bytes = env.file_bytes()) info.file_bytes = bytes.value();
  info.used_bytes = (detail.me_last_pgno + 1) * stat.ms_psize;
  if (impl_->log != nullptr) {
    info.journal_bytes = impl_->log->bytes();
    for (const auto& buffer : {impl_->buffers.active(), impl_->buffers.frozen()}) {
      if (buffer == nullptr) continue;
      info.buffer_bytes += buffer->bytes_used();
      info.buffered_keys += buffer->keys();
    }
    info.applied_buffers = impl_->checkpointer->applied_buffers();
    info.apply_stalled = impl_->checkpointer->stalled();
  }
  info.replayed_records = impl_->recovered.replayed.records;
  info.replayed_bytes = impl_->recovered.replayed.bytes;
  info.last_transaction_id = mdb_txn_id(lease.value().txn());
  info.reader_slots = detail.me_maxreaders;
  info.reader_slots_used = detail.me_numreaders;
  const Snapshots::Stats snapshots = impl_->snapshots.stats();
  info.snapshots = snapshots.count;
  info.oldest_snapshot_ms = snapshots.oldest_ms;
  if (impl_->writer != nullptr) {
    const Writer::Counts counts = impl_->writer->counts();
    info.writes_inline = counts.writes_inline;
    info.groups = counts.groups;
    info.grouped_writes = counts.grouped_writes;
  }
  if (impl_->flusher != nullptr) info.flushes = impl_->flusher->flushes();
  const PathCache::Stats cache = impl_->links.cache().stats();
  info.links = impl_->links.count();
  info.path_cache_hits = cache.hits;
  info.path_cache_misses = cache.misses;
  info.path_cache_evictions = cache.evictions;
  info.path_cache_size = cache.entries;
  info.queued_bytes = impl_->queue.queued_bytes();
  info.waiting_writers = impl_->queue.waiting_tickets();
  info.failed = impl_->failed;
  info.cold = impl_->residency.cold();
  info.lmdb_version = lmdb_version();
  return info;
}

const char* lmdb_version() noexcept {
  return mdb_version(nullptr, nullptr, nullptr);
}

}  // namespace hyper_lmdb
