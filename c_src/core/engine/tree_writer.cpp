#include "engine/tree_writer.h"

#include <new>

#include "lmdb/data_file.h"
#include "lmdb/txn.h"
#include "os/errors.h"
#include "read/reading.h"

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

void TreeWriter::write_group(Request* first, std::size_t requests) {
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

void TreeWriter::write_alone(Request* request, std::uint64_t seq) {
  if (auto done = write_together(request, request->next, seq); !done) request->outcome = done;
}

// Requests from `first` up to `end` in one transaction. A request that fails by itself gets its
// outcome and leaves no trace; an error returned here is one of the transaction.
Result<void> TreeWriter::write_together(Request* first, const Request* end, std::uint64_t seq) {
  auto done = one_transaction(first, end, seq);
  if (!done) env_->cut_tail(done.error().code);
  return done;
}

Result<void> TreeWriter::one_transaction(Request* first, const Request* end,
                                         std::uint64_t seq) try {
  if (failed_->load(std::memory_order_acquire)) {
    return Error{.code = Code::env_failed, .operation = "write"};
  }
  if (const auto& named = check_named(); !named) return named;
  Change change(env_, links_, settings_.checksum, seq);
  if (auto begun = change.begin(); !begun) return env_->explain(begun.error());
  std::uint64_t pages = 0;
  if (auto room = make_room(change.shape(), first, end, &pages); !room) {
    return env_->explain(room.error());
  }
  bool changed = false;
  for (Request* r = first; r != end; r = r->next) {
    if (r->kind == Request::Kind::sync) continue;
    const Reading reading(&warmth_, {});
    // A check that does not hold is the answer even where there would be no room.
    if (auto held = change.evaluate_checks(r->ops); !held) r->outcome = held;
    if (!r->outcome) continue;
    if (auto done = perform(change, *r, &pages); !done) return env_->explain(done.error());
    changed = true;
  }
  if (!changed) return {};
  return commit(change);
} catch (const std::bad_alloc&) {
  // Thrown by our own code, so LMDB's transaction was whole when it was aborted on the way here.
  return Error{.code = Code::no_memory, .operation = "write"};
}

Result<void> TreeWriter::perform(Change& change, Request& request, std::uint64_t* pages) {
  if (request.kind == Request::Kind::reset) return change.drop_all();
  if (request.kind == Request::Kind::remove_prefix) {
    auto part = change.remove_prefix(request.ops.front().key, request.from, kMostRemovedAtOnce);
    if (!part) return part.error();
    request.removed = part.value().records;
    request.continue_at = std::move(part.value().next);
    return {};
  }
  return change.apply(request.ops, [&](std::uint64_t more) -> Result<void> {
    *pages += more;
    return extend_blocks(change.shape(), *pages);
  });
}

// A failure before this point is undone by the abort. One in here may leave pages that the kernel
// calls clean and the disk does not have: nothing is written any more.
Result<void> TreeWriter::commit(Change& change) {
  const auto done = change.commit();
  if (done) {
    if (flusher_ != nullptr) flusher_->mark_dirty();
    return done;
  }
  const Error error = env_->explain(done.error());
  if (!is_own_fault(error)) failed_->store(true, std::memory_order_release);
  return error;
}

const Result<void>& TreeWriter::check_named() {
  return named_([&] { return env_->check_named(); });
}

bool TreeWriter::may_wait() const noexcept {
  return !env_->mapped_writes() || (flusher_ != nullptr && flusher_->flushing());
}

std::optional<Result<void>> TreeWriter::try_write(std::span<const Op> ops) {
  Reading reading(&warmth_, {.may_wait = false});
  if (reading.refused()) return std::nullopt;
  if (const auto& named = check_named(); !named) return named;
  Change change(env_, links_, settings_.checksum);
  if (!change.begin()) return std::nullopt;
  const TreeShape& shape = change.shape();
  Demand demand;
  demand.add(ops, shape);
  const PagesNeeded needed = pages_needed(shape, demand);
  if (shape.end_page + needed.total > env_->capacity() / shape.page_bytes ||
      !env_->reserve().covers(reserve_pages(shape, demand, needed) * shape.page_bytes)) {
    return std::nullopt;
  }
  // From here on the writer thread would fare no better, but it alone tells failures apart.
  if (auto held = change.evaluate_checks(ops, &reading); !held) {
    if (held.error().code == Code::work_limit) return std::nullopt;
    return held;
  }
  const auto no_more_pages = [](std::uint64_t) -> Result<void> {
    return Error{.code = Code::disk_full, .operation = "write"};
  };
  if (!change.apply(ops, no_more_pages, &reading)) return std::nullopt;
  return commit(change);
}

void TreeWriter::trim() noexcept {
  MDB_envinfo info;
  if (mdb_env_info(env_->get(), &info) != 0) return;
  env_->reserve().trim((info.me_last_pgno + 1) * env_->page_bytes());
}

}  // namespace hyper_lmdb
