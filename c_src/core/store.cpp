#include "hyper_lmdb/store.h"

#include <lmdb.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <utility>

#include "directory.h"
#include "env.h"
#include "flusher.h"
#include "read_pool.h"
#include "registry.h"
#include "request_queue.h"
#include "settings.h"
#include "txn.h"
#include "value.h"
#include "writer.h"

namespace hyper_lmdb {

namespace {

Error key_error(Code code) noexcept {
  return {.code = code, .operation = "key"};
}

Result<void> check_key(std::string_view key) noexcept {
  if (key.empty() || key == kReservedKey) return key_error(Code::bad_key);
  if (key.size() > kMaxKeyBytes) return key_error(Code::key_too_large);
  return {};
}

/// The stored bytes at a key that passed `check_key`.
Result<std::optional<std::string_view>> find(MDB_txn* txn, MDB_dbi dbi, std::string_view key) {
  MDB_val wanted = to_val(key);
  MDB_val found{};
  const int rc = mdb_get(txn, dbi, &wanted, &found);
  if (rc == MDB_NOTFOUND) return std::optional<std::string_view>();
  if (rc != 0) return from_lmdb(rc, "mdb_get");
  return std::optional(to_view(found));
}

Store::Lookup find_value(MDB_txn* txn, MDB_dbi dbi, std::string_view key) {
  auto bytes = find(txn, dbi, key);
  if (!bytes || !bytes.value()) return bytes;
  auto record = decode(*bytes.value());
  if (!record) return record.error();
  if (record.value().kind != Kind::value) return std::optional<std::string_view>();
  if (record.value().checksum) {
    if (auto intact = verify(key, *bytes.value()); !intact) return intact.error();
  }
  return std::optional(record.value().payload);
}

/// A request whose caller waits for it.
class BlockingRequest final : public Request {
 public:
  void done(const Result<void>& result) noexcept override {
    const std::lock_guard lock(mutex_);
    result_ = result;
    finished_ = true;
    // Under the lock: the waiter destroys this object as soon as it sees the flag.
    changed_.notify_one();
  }
  Result<void> wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return finished_; });
    return result_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Result<void> result_;
  bool finished_ = false;
};

class BlockingTicket final : public Ticket {
 public:
  void granted() noexcept override {
    const std::lock_guard lock(mutex_);
    granted_ = true;
    changed_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return granted_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool granted_ = false;
};

Result<void> run_blocking(Store& store, BlockingRequest& request) {
  std::shared_ptr<BlockingTicket> ticket;
  if (request.kind != Request::Kind::sync) {
    auto admission = store.reserve(request.bytes);
    if (admission && admission.value() == Admission::full) {
      ticket = std::make_shared<BlockingTicket>();
      ticket->bytes = request.bytes;
      admission = store.park(ticket);
      if (admission && admission.value() == Admission::full) ticket->wait();
    }
    if (!admission) return admission.error();
  }
  if (auto submitted = store.submit(&request, ticket.get()); !submitted) return submitted;
  return request.wait();
}

}  // namespace

struct Store::Impl {
  Impl(std::unique_ptr<Env> opened, const Settings& chosen, const ThreadApi& api)
      : settings(chosen),
        threads(api),
        env(std::move(opened)),
        pool(env->get(), env->reader_slots()),
        queue(settings.write_buffer_bytes) {
    if (settings.read_only) return;
    if (settings.durability == Durability::map_async) {
      flusher = std::make_unique<Flusher>(env->get(),
                                          std::chrono::milliseconds(settings.sync_interval_ms),
                                          &failed, [this] { writer->trim(); });
    }
    writer = std::make_unique<Writer>(env.get(), settings, &pool, &queue, flusher.get(), &failed);
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
  ReadPool pool;
  RequestQueue queue;
  std::unique_ptr<Flusher> flusher;  // map_async
  std::unique_ptr<Writer> writer;    // none where the store is read-only

  enum class State { open, closing, closed };
  std::atomic<State> state{State::open};
  std::mutex close_mutex;  // guards the wait for `closed`
  std::condition_variable closed_changed;
};

Store::Store(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

// The registry keeps an open store alive, so only a closed one comes here: nothing to join or
// flush.
Store::~Store() = default;

Result<std::shared_ptr<Store>> Store::open(const Options& options, const ThreadApi& threads) {
  auto settings = resolve_settings(options);
  if (!settings) return settings.error();
  auto directory = Directory::open(
      options.directory, {.create = !settings.value().read_only, .force = settings.value().force});
  if (!directory) return directory.error();
  const DirectoryId id = directory.value().id();

  const auto open_store = [&]() -> Result<std::shared_ptr<Store>> {
    auto env = Env::open(std::move(directory).value(), settings.value());
    if (!env) return env.error();
    auto impl = std::make_unique<Impl>(std::move(env).value(), settings.value(), threads);
    if (auto started = impl->start_threads(); !started) {
      impl->stop_threads();
      (void)impl->env->close(false);  // the thread that did not start is what is reported
      return started.error();
    }
    return std::shared_ptr<Store>(new Store(std::move(impl)));
  };
  bool was_open = false;
  auto store = registry::find_or_open(id, open_store, &was_open);
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
  const DirectoryId id = impl_->env->directory().id();
  registry::closing(id);
  impl_->stop_threads();
  impl_->pool.close();
  auto done = impl_->env->close(impl_->failed);
  // The directory's lock goes with its descriptor, before anybody else may open the store.
  impl_->env.reset();
  registry::closed(id);
  const std::lock_guard lock(impl_->close_mutex);
  impl_->state = Impl::State::closed;
  impl_->closed_changed.notify_all();
  return done;
}

bool Store::is_open() const noexcept {
  return impl_->state == Impl::State::open;
}

const Settings& Store::settings() const noexcept {
  return impl_->settings;
}

Result<bool> Store::get(std::string_view key, FunctionRef<void(std::string_view)> on_value) const {
  if (auto good = check_key(key); !good) return good.error();
  auto lease = impl_->pool.lease();
  if (!lease) return lease.error();
  auto value = find_value(lease.value().txn(), impl_->env->dbi(), key);
  if (!value) return value.error();
  if (!value.value()) return false;
  on_value(*value.value());
  return true;
}

Result<bool> Store::exists(std::string_view key) const {
  if (auto good = check_key(key); !good) return good.error();
  auto lease = impl_->pool.lease();
  if (!lease) return lease.error();
  auto bytes = find(lease.value().txn(), impl_->env->dbi(), key);
  if (!bytes) return bytes.error();
  if (!bytes.value()) return false;
  auto record = decode(*bytes.value());
  if (!record) return record.error();
  return record.value().kind == Kind::value;
}

Result<void> Store::read_many(std::span<const std::string_view> keys,
                              FunctionRef<bool(std::size_t, const Lookup&)> on_result) const {
  auto lease = impl_->pool.lease();
  if (!lease) return lease.error();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto good = check_key(keys[i]);
    const Lookup found =
        good ? find_value(lease.value().txn(), impl_->env->dbi(), keys[i]) : Lookup(good.error());
    if (!on_result(i, found)) break;
  }
  return {};
}

Result<void> Store::check(std::span<const Op> ops) const {
  if (!is_open()) return Error{.code = Code::closed, .operation = "write"};
  if (impl_->settings.read_only) return Error{.code = Code::read_only, .operation = "write"};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (auto good = check_key(ops[i].key); !good) {
      Error error = good.error();
      error.index = i + 1;
      return error;
    }
    if (ops[i].value.size() > impl_->settings.max_value_bytes) {
      return Error{.code = Code::value_too_large, .operation = "write", .index = i + 1};
    }
    bytes += bytes_of(ops[i]);
  }
  if (bytes > impl_->settings.max_batch_bytes && ops.size() > 1) {
    return Error{.code = Code::batch_too_large, .operation = "write"};
  }
  return {};
}

std::optional<Result<void>> Store::try_write(std::span<const Op> ops) {
  if (auto good = check(ops); !good) return good;
  if (ops.empty()) return Result<void>();
  return impl_->writer->try_write(ops);
}

Result<Admission> Store::reserve(std::uint64_t bytes) {
  return impl_->queue.reserve(bytes);
}

void Store::give_back(std::uint64_t bytes) noexcept {
  impl_->queue.release(bytes);
}

Result<Admission> Store::park(const std::shared_ptr<Ticket>& ticket) {
  return impl_->queue.park(ticket);
}

void Store::cancel(Ticket& ticket) noexcept {
  impl_->queue.cancel(ticket);
}

Result<void> Store::submit(Request* request, Ticket* ticket) {
  if (request->kind == Request::Kind::sync && impl_->flusher != nullptr) {
    return impl_->flusher->request(request);
  }
  if (impl_->settings.read_only) return Error{.code = Code::read_only, .operation = "submit"};
  return impl_->queue.push(request, ticket);
}

Result<void> Store::batch_write(std::span<const Op> ops) {
  if (auto done = try_write(ops)) return *done;
  BlockingRequest request;
  request.ops = ops;
  for (const Op& op : ops) request.bytes += bytes_of(op);
  return run_blocking(*this, request);
}

Result<void> Store::put(std::string_view key, std::string_view value) {
  const Op op{.kind = OpKind::put, .key = key, .value = value};
  return batch_write({&op, 1});
}

Result<void> Store::remove(std::string_view key) {
  const Op op{.kind = OpKind::remove, .key = key, .value = {}};
  return batch_write({&op, 1});
}

Result<void> Store::reset() {
  BlockingRequest request;
  request.kind = Request::Kind::reset;
  return run_blocking(*this, request);
}

Result<void> Store::sync() {
  BlockingRequest request;
  request.kind = Request::Kind::sync;
  return run_blocking(*this, request);
}

Result<Info> Store::info() const {
  // The lease keeps the environment open while it is asked.
  auto lease = impl_->pool.lease();
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
  info.entries = stat.ms_entries - 1;
  info.page_size = stat.ms_psize;
  info.tree_depth = stat.ms_depth;
  info.map_bytes = detail.me_mapsize;
  if (auto bytes = env.file_bytes()) info.file_bytes = bytes.value();
  info.used_bytes = (detail.me_last_pgno + 1) * stat.ms_psize;
  info.last_transaction_id = mdb_txn_id(lease.value().txn());
  info.reader_slots = detail.me_maxreaders;
  info.reader_slots_used = detail.me_numreaders;
  if (impl_->writer != nullptr) {
    const Writer::Counts counts = impl_->writer->counts();
    info.writes_inline = counts.writes_inline;
    info.groups = counts.groups;
    info.grouped_writes = counts.grouped_writes;
  }
  if (impl_->flusher != nullptr) info.flushes = impl_->flusher->flushes();
  info.queued_bytes = impl_->queue.queued_bytes();
  info.waiting_writers = impl_->queue.waiting_tickets();
  info.failed = impl_->failed;
  info.lmdb_version = lmdb_version();
  return info;
}

const char* lmdb_version() noexcept {
  return mdb_version(nullptr, nullptr, nullptr);
}

}  // namespace hyper_lmdb
