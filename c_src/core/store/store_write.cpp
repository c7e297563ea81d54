// The writing half of Store.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "format/compression.h"
#include "format/identity.h"
#include "format/path.h"
#include "store/store_impl.h"

namespace hyper_lmdb {

namespace {

Error key_error(Code code) noexcept {
  return {.code = code, .operation = "key"};
}

Result<void> check_path(const StoreImpl& store, std::string_view path) noexcept {
  const std::size_t size = canonical_size(path);
  if (size == 0) return key_error(Code::bad_key);
  if (size > store.max_key_bytes) return key_error(Code::key_too_large);
  return is_reserved_path(path) ? key_error(Code::bad_key) : Result<void>();
}

Result<void> check_op(const StoreImpl& store, const Op& op) noexcept {
  if (auto good = op.is_path ? check_path(store, op.key) : store.check_key(op.key); !good) {
    return good;
  }
  if (op.kind == OpKind::link) {
    if (canonical_size(op.value) > store.max_key_bytes) return key_error(Code::key_too_large);
  } else if (op.value.size() > store.settings.max_value_bytes) {
    return Error{.code = Code::value_too_large, .operation = "write"};
  }
  return {};
}

/// A request whose caller waits for it.
class BlockingRequest : public Request {
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

class BackupRequest final : public BlockingRequest {
 public:
  explicit BackupRequest(std::string_view file) : op_{.kind = OpKind::put, .key = file} {
    kind = Kind::backup;
    ops = {&op_, 1};
  }

 private:
  const Op op_;
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
  if (request.kind != Request::Kind::sync && request.kind != Request::Kind::backup) {
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

Result<void> StoreImpl::check_key(std::string_view key) const noexcept {
  if (key.empty() || key == kReservedKey) return key_error(Code::bad_key);
  if (key.size() > max_key_bytes) return key_error(Code::key_too_large);
  return {};
}

Result<void> Store::check(std::span<const Op> ops) const {
  if (!is_open()) return Error{.code = Code::closed, .operation = "write"};
  if (impl_->settings.read_only) return Error{.code = Code::read_only, .operation = "write"};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (auto good = check_op(*impl_, ops[i]); !good) {
      Error error = good.error();
      error.index = i + 1;
      return error;
    }
    bytes += bytes_of(ops[i]);
  }
  if (bytes > impl_->settings.max_batch_bytes && ops.size() > 1) {
    return Error{.code = Code::batch_too_large, .operation = "write"};
  }
  return {};
}

std::chrono::nanoseconds Store::packing_time(std::span<const Op> ops) const noexcept {
  return hyper_lmdb::packing_time(impl_->settings, ops);
}

Result<void> Store::pack(std::span<Op> ops, PackedValues* memory) const try {
  hyper_lmdb::pack(impl_->settings, ops, memory);
  return {};
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "pack"};
}

std::optional<Result<void>> Store::try_write(std::span<const Op> ops) try {
  if (auto good = check(ops); !good) return good;
  if (ops.empty()) return Result<void>();
  const auto packing = packing_time(ops);
  if (packing.count() == 0) return impl_->writer->try_write(ops);
  if (packing > kMostPackingAtOnce || impl_->writer->would_wait(ops)) return std::nullopt;
  std::vector<Op> packed(ops.begin(), ops.end());
  PackedValues memory;
  if (auto done = pack(packed, &memory); !done) return done;
  return impl_->writer->try_write(packed);
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "write"};
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
  if (!is_open()) {
    if (ticket == nullptr) give_back(request->bytes);
    return Error{.code = Code::closed, .operation = "submit"};
  }
  if (request->kind == Request::Kind::backup) return impl_->backup.begin(request, impl_->threads);
  if (impl_->settings.read_only) return Error{.code = Code::read_only, .operation = "submit"};
  if (request->kind == Request::Kind::sync) return impl_->flusher->request(request);
  return impl_->queue.push(request, ticket);
}

Result<void> Store::batch_write(std::span<const Op> ops) {
  if (auto done = try_write(ops)) return *done;
  std::vector<Op> packed;
  PackedValues memory;
  BlockingRequest request;
  request.ops = ops;
  if (packing_time(ops).count() != 0) {
    packed.assign(ops.begin(), ops.end());
    if (auto done = pack(packed, &memory); !done) return done;
    request.ops = packed;
  }
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

Result<std::uint64_t> Store::remove_prefix(std::string_view prefix) {
  std::uint64_t removed = 0;
  std::string from;
  const Op op{.kind = OpKind::remove, .key = prefix};
  do {
    BlockingRequest request;
    request.kind = Request::Kind::remove_prefix;
    request.ops = {&op, 1};
    request.from = from;
    if (auto done = run_blocking(*this, request); !done) return done.error();
    removed += request.removed;
    from = std::move(request.continue_at);
  } while (!from.empty());
  return removed;
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

Result<void> Store::backup(std::string_view file) {
  BackupRequest request(file);
  return run_blocking(*this, request);
}

Result<void> Snapshot::submit_backup(Request* request) const {
  request->snapshot = open_;
  return store_->submit(request);
}

Result<void> Snapshot::backup(std::string_view file) const {
  BackupRequest request(file);
  request.snapshot = open_;
  return run_blocking(*store_, request);
}

}  // namespace hyper_lmdb
