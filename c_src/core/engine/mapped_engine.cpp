#include "engine/mapped_engine.h"

#include <algorithm>
#include <new>

#include "lmdb/data_file.h"
#include "lmdb/txn.h"
#include "os/errors.h"
#include "read/read_call.h"

namespace hyper_lmdb {

namespace {

/// Whether the transaction failed for a reason that another one need not share. A commit that
/// failed so was undone without a trace: no room is found before the new root is written, and the
/// pages that were written are in no tree.
bool is_own_fault(const Error& error) noexcept {
  return error.index != 0 || error.code == Code::map_full || error.code == Code::batch_too_large ||
         error.code == Code::no_memory || error.code == Code::disk_full ||
         error.code == Code::quota_exceeded || error.code == Code::file_too_large;
}

}  // namespace

void MappedEngine::write_group(Request* first, std::size_t requests) {
  Result<void> done = write_together(first, nullptr, 0);
  if (!done && is_own_fault(done.error()) && requests > 1) {
    // One of them is to blame: each is tried alone.
    for (Request* r = first; r != nullptr; r = r->next) {
      r->outcome = {};
      if (auto alone = write_together(r, r->next, 0); !alone) r->outcome = alone;
    }
  } else if (!done) {
    for (Request* r = first; r != nullptr; r = r->next) r->outcome = done;
  }
}

void MappedEngine::write_alone(Request* request, std::uint64_t seq) {
  if (auto done = write_together(request, request->next, seq); !done) request->outcome = done;
}

// Requests from `first` up to `end` in one transaction. A request that fails by itself gets its
// outcome and leaves no trace; an error returned here is one of the transaction.
Result<void> MappedEngine::write_together(Request* first, const Request* end, std::uint64_t seq) {
  auto done = one_transaction(first, end, seq);
  if (done) return done;
  env_->cut_tail(done.error().code);
  const bool alone = first->next == end && first->kind == Request::Kind::remove_prefix;
  if (!alone || !says_no_room(done.error().code)) return done;
  most_removed_ = kFewRemovedAtOnce;
  done = one_transaction(first, end, seq);
  most_removed_ = kMostRemovedAtOnce;
  if (!done) env_->cut_tail(done.error().code);
  return done;
}

Result<void> MappedEngine::one_transaction(Request* first, const Request* end,
                                           std::uint64_t seq) try {
  if (failed_->load(std::memory_order_acquire)) {
    return Error{.code = Code::env_failed, .operation = "write"};
  }
  if (const auto& named = check_named(); !named) return named;
  BatchTransaction batch(env_, links_, settings_.checksum, seq);
  if (auto begun = batch.begin(); !begun) return env_->explain(begun.error());
  std::uint64_t pages = 0;
  if (auto room = make_room(batch.shape(), first, end, &pages); !room) {
    return env_->explain(room.error());
  }
  bool changed = false;
  for (Request* r = first; r != end; r = r->next) {
    if (r->kind == Request::Kind::sync) continue;
    const ReadCall reading(&residency_, {});
    // A check that does not hold is the answer even where there would be no room.
    if (auto held = batch.evaluate_checks(r->ops); !held) r->outcome = held;
    if (!r->outcome) continue;
    if (auto done = perform(batch, *r, &pages); !done) return env_->explain(done.error());
    changed = true;
  }
  if (!changed) return {};
  return commit(batch);
} catch (const std::bad_alloc&) {
  // Thrown by our own code, so LMDB's transaction was whole when it was aborted on the way here.
  return Error{.code = Code::no_memory, .operation = "write"};
}

Result<void> MappedEngine::perform(BatchTransaction& batch, Request& request,
                                   std::uint64_t* pages) {
  if (request.kind == Request::Kind::reset) return batch.drop_all();
  if (request.kind == Request::Kind::remove_prefix) {
    auto part = batch.remove_prefix(request.ops.front().key, request.from, most_removed_);
    if (!part) return part.error();
    request.removed = part.value().records;
    request.continue_at = std::move(part.value().next);
    return {};
  }
  return batch.apply(request.ops, [&](std::uint64_t more) -> Result<void> {
    *pages += more;
    return extend_blocks(batch.shape(), *pages);
  });
}

// A failure before this point is undone by the abort. One in here may leave pages that the kernel
// calls clean and the disk does not have: nothing is written any more.
Result<void> MappedEngine::commit(BatchTransaction& batch) {
  const auto done = batch.commit();
  if (done) {
    if (flusher_ != nullptr) flusher_->mark_dirty();
    return done;
  }
  const Error error = env_->explain(done.error());
  if (!is_own_fault(error)) failed_->store(true, std::memory_order_release);
  return error;
}

const Result<void>& MappedEngine::check_named() {
  return named_([&] { return env_->check_named(); });
}

bool MappedEngine::may_wait() const noexcept {
  return !env_->mapped_writes() || (flusher_ != nullptr && flusher_->flushing());
}

std::optional<Result<void>> MappedEngine::try_write(std::span<const Op> ops) {
  ReadCall reading(&residency_, {.may_wait = false});
  if (reading.refused()) return std::nullopt;
  if (const auto& named = check_named(); !named) return named;
  BatchTransaction batch(env_, links_, settings_.checksum);
  if (!batch.begin()) return std::nullopt;
  const TreeShape& shape = batch.shape();
  PageEstimate estimate;
  estimate.add(ops, shape);
  const PagesNeeded needed = pages_needed(shape, estimate);
  if (shape.end_page + needed.total > env_->capacity() / shape.page_bytes ||
      !env_->mapped_space().covers(reserve_pages(shape, estimate, needed) * shape.page_bytes)) {
    return std::nullopt;
  }
  // From here on the writer thread would fare no better, but it alone tells failures apart.
  if (auto held = batch.evaluate_checks(ops, &reading); !held) {
    if (held.error().code == Code::work_limit) return std::nullopt;
    return held;
  }
  const auto no_more_pages = [](std::uint64_t) -> Result<void> {
    return Error{.code = Code::disk_full, .operation = "write"};
  };
  if (!batch.apply(ops, no_more_pages, &reading)) return std::nullopt;
  return commit(batch);
}

void MappedEngine::trim() noexcept {
  MDB_envinfo info;
  if (mdb_env_info(env_->get(), &info) != 0) return;
  env_->mapped_space().trim((info.me_last_pgno + 1) * env_->page_bytes());
}

void MappedEngine::add_estimate(PageEstimate* estimate, const Request& request,
                                const TreeShape& shape) const noexcept {
  estimate->add(request.ops, shape);
  if (request.kind == Request::Kind::remove_prefix) estimate->changes += most_removed_;
  if (request.kind == Request::Kind::reset) estimate->empties = true;
}

// Decides what the capacity and the disk have room for, before anything is changed. `*pages` is
// where the blocks that were made sure of end.
Result<void> MappedEngine::make_room(const TreeShape& shape, Request* first, const Request* end,
                                     std::uint64_t* pages) {
  PageEstimate estimate;
  for (Request* r = first; r != end; r = r->next) add_estimate(&estimate, *r, shape);
  PagesNeeded needed = pages_needed(shape, estimate);
  env_->look_at_disk();
  const std::uint64_t free_pages = env_->disk_space().free_bytes() / shape.page_bytes;
  const bool near_capacity = shape.end_page + needed.growth > env_->capacity() / shape.page_bytes;
  if (needed.growth != 0 && (near_capacity || needed.total > free_pages)) {
    if (auto done = make_room_near_end(shape, first, end); !done) return done;
    PageEstimate admitted;
    for (Request* r = first; r != end; r = r->next) {
      if (r->outcome) add_estimate(&admitted, *r, shape);
    }
    estimate = admitted;
    needed = pages_needed(shape, estimate);
  }
  *pages = reserve_pages(shape, estimate, needed);
  auto extended = extend_blocks(shape, *pages);
  if (extended || !says_no_room(extended.error().code)) return extended;
  // Where pages inside the file are free a write will hardly need what is kept for removals, which
  // is there should it do so all the same.
  auto free = count_free_pages();
  if (!free) return free.error();
  if (free.value().unpinned < needed.nodes) return extended;
  *pages = shape.end_page + needed.total + pages_needed(shape, {.changes = 1}).total;
  return extend_blocks(shape, *pages);
}

Result<void> MappedEngine::extend_blocks(const TreeShape& shape, std::uint64_t pages) {
  if (!env_->mapped_writes()) return {};
  return env_->mapped_space().extend(shape.end_page * shape.page_bytes, pages * shape.page_bytes);
}

Result<FreePages> MappedEngine::count_free_pages() {
  // LMDB shows its free list to readers only. Not a lease: those may all be taken.
  auto reader = ReadTxn::begin(env_->get());
  return reader ? free_pages(reader.value().get()) : Result<FreePages>(FreePages{});
}

// The file has reached the capacity, or the end of the disk: now the free pages inside it count.
Result<void> MappedEngine::make_room_near_end(const TreeShape& shape, Request* first,
                                              const Request* end) {
  int cleared = 0;
  (void)mdb_reader_check(env_->get(), &cleared);  // what it cannot free now it will next time
  auto free = count_free_pages();
  if (!free) return free.error();
  const std::uint64_t capacity_pages = env_->capacity() / shape.page_bytes;
  const DiskSpace& room = env_->disk_space();
  const std::uint64_t disk_pages = shape.end_page + room.bytes() / shape.page_bytes;
  const std::uint64_t pages_for_removals = room.bytes_for_removals() / shape.page_bytes;
  std::uint64_t used = shape.end_page - std::min(shape.end_page, free.value().all);
  // What the last transactions have freed counts, though the next one may not use it yet: until
  // then the pages for removals serve.
  std::uint64_t on_disk = shape.end_page - std::min(shape.end_page, free.value().unpinned);
  for (Request* r = first; r != end; r = r->next) {
    PageEstimate estimate;
    add_estimate(&estimate, *r, shape);
    const std::uint64_t growth = pages_needed(shape, estimate).growth;
    if (growth != 0 && used + growth > capacity_pages) {
      r->outcome = Error{.code = Code::map_full, .operation = "write"};
    } else if (growth != 0 && on_disk + growth + pages_for_removals > disk_pages) {
      r->outcome = Error{.code = Code::disk_full, .operation = "write"};
    } else {
      used += growth;
      on_disk += growth;
    }
  }
  return {};
}

}  // namespace hyper_lmdb
