#include "engine/journaled_engine.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint_pacing.h"
#include "format/identity.h"
#include "os/errors.h"
#include "read/read_call.h"
#include "read/view.h"
#include "write/batch_rules.h"

namespace hyper_lmdb {

namespace {

using std::chrono::steady_clock;

// A store at rest soon has an empty journal.
constexpr auto kMostAge = std::chrono::milliseconds(2000);
constexpr auto kBetweenLooks = std::chrono::milliseconds(500);
// A group of small writes is held back no longer than this, however slow LMDB is: so many of them
// are let through that a buffer does not fill with them before long.
constexpr auto kMostPause = std::chrono::milliseconds(10);
constexpr auto kNothingToMaintain = std::chrono::milliseconds(60'000);

Error env_failed() noexcept {
  return {.code = Code::env_failed, .operation = "write"};
}

/// The links' side of a write: given up unless it is kept.
class LinksWrite {
 public:
  LinksWrite(Links* links, std::uint64_t version) noexcept : links_(links) {
    links_->begin(version);
  }
  LinksWrite(const LinksWrite&) = delete;
  LinksWrite& operator=(const LinksWrite&) = delete;
  ~LinksWrite() { links_->end(kept_); }
  void keep() noexcept { kept_ = true; }

 private:
  Links* links_;
  bool kept_ = false;
};

// Who was held back may go on for so much of a buffer: few writes wait, and none for long.
constexpr double kStride = 1.0 / 128;
// What large writes are held back for: no more than if a whole buffer took that long.
constexpr std::chrono::duration<double> kSlowestBuffer{4};
// What a segment sets aside when it is made, for the one in use and a spare one.
constexpr std::uint64_t kBesideJournalBytes = 2 << 20;
// What small transactions of a checkpoint copy at a time, and the free list with it.
constexpr std::uint64_t kCopiedPages = 256;

/// A full disk may have room again once the journal is gone that LMDB has.
template <typename Act>
Result<void> with_room_of_removed(Checkpointer* checkpointer, Act act) {
  auto done = act();
  if (done) return done;
  if (!says_no_room(done.error().code)) return done;
  if (!checkpointer->wait_cleaned_up()) return done;
  auto again = act();
  // LMDB may have given up, which says less than why.
  return !again && again.error().code == Code::env_failed ? done : again;
}

}  // namespace

std::shared_ptr<WriteBuffer> JournaledEngine::new_buffer(const Settings& settings,
                                                         const BufferSet& buffers,
                                                         std::uint64_t hash_seed) {
  return std::make_shared<WriteBuffer>(settings.write_buffer_bytes, hash_seed, buffers.chunks());
}

JournaledEngine::JournaledEngine(const JournaledParts& parts) noexcept
    : parts_(parts),
      synced_(parts.settings->durability == Durability::sync),
      direct_from_bytes_(parts.settings->write_buffer_bytes / 4),
      active_(parts.buffers->active()) {}

bool JournaledEngine::may_wait() const noexcept {
  if (synced_ || parts_.checkpointer->stalled() || ahead_of_checkpointer()) return true;
  // What a link may lead elsewhere has to be looked up.
  return parts_.links->count() != 0 && parts_.residency->cold();
}

std::optional<Result<void>> JournaledEngine::try_write(std::span<const Op> ops) {
  auto status = append(ops, Wait::never);
  if (!status) return Result<void>(status.error());
  if (status.value() != AppendStatus::done) return std::nullopt;
  if (auto shown = show(); !shown) return shown;
  return Result<void>();
}

void JournaledEngine::write_group(Request* first, std::size_t) {
  if (parts_.failed->load(std::memory_order_acquire)) {
    // Nothing of these is appended. What an earlier group appended and could not show stays so.
    for (Request* r = first; r != nullptr; r = r->next) r->outcome = env_failed();
    return;
  }
  unshown_ = first;
  patience_ = kMostPause;
  for (Request* r = first; r != nullptr; r = r->next) {
    current_ = r;
    if (r->kind == Request::Kind::sync) continue;
    if (parts_.failed->load(std::memory_order_acquire)) {
      r->outcome = env_failed();
      continue;
    }
    try {
      r->outcome = write_one(*r);
    } catch (const std::bad_alloc&) {
      r->outcome = Error{.code = Code::no_memory, .operation = "write"};
    }
  }
  if (auto shown = show(); !shown) {
    // Appended, perhaps on disk, and never to be seen in this run; answers that rest on such a
    // write are not given either.
    for (Request* r = unshown_; r != nullptr; r = r->next) r->outcome = shown;
  }
  unshown_ = nullptr;
  current_ = nullptr;
}

const Result<void>& JournaledEngine::check_named() {
  return named_([&] {
    auto named = parts_.env->check_named();
    return named ? parts_.log->check_named() : named;
  });
}

/// Lets readers see what was appended; in `sync` once it is on disk.
Result<void> JournaledEngine::show() {
  const std::uint64_t appended = parts_.log->appended();
  if (appended == parts_.buffers->visible()) return {};
  if (synced_) {
    if (auto flushed = parts_.log->flush(); !flushed) {
      return Error{.code = Code::io_error, .operation = "flush journal"};
    }
  } else {
    parts_.flusher->mark_dirty();
  }
  parts_.buffers->show(appended);
  return {};
}

Result<void> JournaledEngine::write_one(Request& request) {
  switch (request.kind) {
    case Request::Kind::batch: {
      // No need to work out what a buffer will not take.
      if (request.bytes > 2 * direct_from_bytes_) return directly(request);
      return append_or_directly(request, request.ops);
    }
    case Request::Kind::remove_prefix:
      return remove_some(request);
    case Request::Kind::reset:
      return directly(request);
    case Request::Kind::sync:
    case Request::Kind::backup:  // never in the queue
      break;
  }
  return {};
}

/// What a request comes to, where it may wait.
Result<void> JournaledEngine::append_or_directly(Request& request, std::span<const Op> ops) {
  auto status = append(ops, Wait::allowed);
  if (!status) return status.error();
  switch (status.value()) {
    case AppendStatus::done:
      return {};
    case AppendStatus::too_large:
      return directly(request);
    case AppendStatus::must_wait:
      break;
  }
  return Error{.code = Code::internal, .operation = "append"};
}

/// What a batch that could not be decided comes to.
Result<JournaledEngine::AppendStatus> JournaledEngine::undecided(const Error& error) noexcept {
  return error.code == Code::work_limit ? Result<AppendStatus>(AppendStatus::must_wait) : error;
}

/// What becomes of a batch that the journal did not take: on a full disk the tree may have room,
/// and more of it once the journal is gone.
Result<JournaledEngine::AppendStatus> JournaledEngine::not_journaled(const Error& error) noexcept {
  return says_no_room(error.code) ? Result<AppendStatus>(AppendStatus::too_large) : error;
}

/// Decides a batch, appends it and enters it into the buffer, not yet visible.
Result<JournaledEngine::AppendStatus> JournaledEngine::append(std::span<const Op> ops, Wait wait) {
  LinksWrite links(parts_.links, parts_.log->appended() + 1);
  {
    std::optional<ReadCall> reading;
    std::optional<ReadPool::Lease> lease;
    View view(nullptr, 0, parts_.log->appended());
    if (looks_at_store(*parts_.links, ops)) {
      reading.emplace(parts_.residency, Effort{.may_wait = wait == Wait::allowed});
      if (reading->refused()) return AppendStatus::must_wait;
      auto leased = take_lease(wait);
      if (!leased)
        return wait == Wait::never ? Result<AppendStatus>(AppendStatus::must_wait) : leased.error();
      lease.emplace(std::move(leased).value());
      // What was appended before this batch counts, whether readers see it yet or not.
      view = lease->view(parts_.env->dbi()).at(parts_.log->appended()).under(&*reading);
    }
    if (auto held = evaluate_checks(view, ops); !held) return undecided(held.error());
    auto decided =
        decide(view, parts_.links, &steady_ms, parts_.settings->checksum, ops, &pending_batch_);
    if (!decided) return undecided(decided.error());
  }
  if (pending_batch_.outcomes() == 0) {
    links.keep();
    return AppendStatus::done;
  }
  if (pending_batch_.payload().size() > direct_from_bytes_) return AppendStatus::too_large;
  auto fitting = fits(ops, wait);
  if (!fitting) return fitting.error();
  if (!fitting.value()) return AppendStatus::too_large;
  auto room = make_room(wait);
  if (!room || room.value() != AppendStatus::done) return room;
  if (const auto& named = check_named(); !named) return named.error();
  auto appended =
      wait == Wait::never ? parts_.log->append(pending_batch_.payload()) : append_pending_batch();
  if (!appended) return not_journaled(appended.error());
  pending_batch_.insert_into(active_.get(), parts_.log->appended());
  active_bytes_.store(active_->bytes_used(), std::memory_order_relaxed);
  links.keep();
  pending_.add(ops, shape_);
  if (!dirty_.load(std::memory_order_relaxed)) {
    first_write_ = steady_clock::now();
    dirty_.store(true, std::memory_order_release);
  }
  const bool memory_low = active_->running_low() && parts_.buffers->chunks()->empty();
  room_low_.store(memory_low || parts_.log->running_low(), std::memory_order_relaxed);
  return AppendStatus::done;
}

Result<void> JournaledEngine::directly(Request& request) {
  if (auto drained = drain(); !drained) return drained;
  const std::uint64_t seq = parts_.log->appended() + 1;
  auto renewal = parts_.buffers->prepare_renewal();
  write_alone(request, seq);
  if (parts_.env->applied_seq() == seq) {
    parts_.log->skip(seq);
    // First the state, then the version: who sees the version has a snapshot that holds it.
    parts_.buffers->renew(std::move(renewal));
    parts_.buffers->show(seq);
    unshown_ = request.next;
  }
  (void)learn_shape(Wait::allowed);  // what it held before still counts
  return request.outcome;
}

/// A prefix goes in parts: each is one batch of removals, and begins where the one before ended,
/// not at the prefix, where all that was removed would be passed over.
Result<void> JournaledEngine::remove_some(Request& request) {
  const std::string_view prefix = request.ops.front().key;
  std::vector<std::string> keys;
  request.continue_at.clear();
  {
    auto lease = parts_.pool->lease();
    if (!lease) return lease.error();
    const View view = lease.value().view(parts_.env->dbi()).at(parts_.log->appended());
    auto cursor = ViewCursor::open(view, kNoLimit);
    if (!cursor) return cursor.error();
    ViewCursor& at = cursor.value();
    auto there = at.seek(std::max(prefix, request.from));
    for (; there && there.value() && at.key().starts_with(prefix); there = at.next()) {
      if (at.key() == kReservedKey) continue;
      if (keys.size() == MappedEngine::kMostRemovedAtOnce) {
        request.continue_at = at.key();
        break;
      }
      keys.emplace_back(at.key());
    }
    if (!there) return there.error();
  }
  request.removed = keys.size();
  if (keys.empty()) return {};
  std::vector<Op> ops;
  ops.reserve(keys.size());
  for (const std::string& key : keys) ops.push_back({.kind = OpKind::remove, .key = key});
  return append_or_directly(request, ops);
}

bool JournaledEngine::wants_maintenance() const noexcept {
  return room_low_.load(std::memory_order_relaxed);
}

std::chrono::milliseconds JournaledEngine::until_maintenance() const noexcept {
  const bool busy = dirty_.load(std::memory_order_acquire) || parts_.buffers->states() > 1;
  return busy ? kBetweenLooks : kNothingToMaintain;
}

void JournaledEngine::maintain() noexcept try {
  if (parts_.failed->load(std::memory_order_acquire)) return;
  if (room_low_.load(std::memory_order_relaxed)) {
    parts_.log->prepare_ahead();
    room_low_.store(false, std::memory_order_relaxed);
    if (const auto& chunks = parts_.buffers->chunks(); chunks->empty()) chunks->add();
  }
  // What was written meanwhile was reckoned against the last look.
  if (dirty_.load(std::memory_order_acquire)) parts_.env->look_at_disk();
  if (const auto buffer = parts_.buffers->active()) buffer->maintain();
  parts_.buffers->collect(
      [&](const BufferSet::Generation* state) { return parts_.pool->pins(state); });
  if (!dirty_.load(std::memory_order_acquire) || !parts_.checkpointer->idle()) return;
  const std::unique_lock lock(*parts_.write_mutex, std::try_to_lock);
  // Looked at again: another may have rotated meanwhile, and to wait for a whole buffer is not for
  // here.
  if (!lock || !dirty_.load(std::memory_order_relaxed) || !parts_.checkpointer->idle()) return;
  if (steady_clock::now() - first_write_ < kMostAge) return;
  (void)rotate(Checkpointer::Next::perhaps_never);  // a flush that failed has poisoned the store
} catch (const std::bad_alloc&) {
  // Tried again before long.
}

Result<void> JournaledEngine::finish() noexcept {
  const bool failed = parts_.failed->load(std::memory_order_acquire);
  if (!failed) {
    parts_.checkpointer->try_again();
    try {
      if (drain() && parts_.checkpointer->wait_cleaned_up() && parts_.log->remove_spare())
        return {};
    } catch (const std::bad_alloc&) {
      // The next start does it.
    }
  }
  // Whatever keeps LMDB from it, the journal goes to disk.
  auto flushed = parts_.log->flush();
  if (flushed) flushed = parts_.log->check_named();
  return failed ? Result<void>(env_failed()) : flushed;
}

Result<ReadPool::Lease> JournaledEngine::take_lease(Wait wait) noexcept {
  return parts_.pool->lease(ReadPool::For::call, wait == Wait::allowed ? ReadPool::kForever : 0);
}

/// How LMDB's tree and the disk stand, now that what was applied is in the tree.
Result<void> JournaledEngine::learn_shape(Wait wait) noexcept {
  auto leased = take_lease(wait);
  if (!leased) return leased.error();
  auto shape = shape_of(leased.value().txn(), parts_.env->dbi());
  if (!shape) return shape.error();
  shape_ = shape.value();
  frozen_estimate_ = {};
  if (wait == Wait::allowed) parts_.env->look_at_disk();
  return {};
}

/// How full the active buffer is, from 0 to 1.
double JournaledEngine::fullness() const noexcept {
  return static_cast<double>(active_bytes_.load(std::memory_order_relaxed)) /
         static_cast<double>(parts_.settings->write_buffer_bytes);
}

bool JournaledEngine::ahead_of_checkpointer() const noexcept {
  return !parts_.checkpointer->idle() &&
         fullness() > CheckpointPacing::allowed_fullness(parts_.checkpointer->progress());
}

/// Holds a writer of so many bytes back until LMDB has caught up, or for as long as it may be.
void JournaledEngine::pace(std::uint64_t bytes) {
  using std::chrono::duration_cast;
  const double share =
      static_cast<double>(bytes) / static_cast<double>(parts_.settings->write_buffer_bytes);
  patience_ += duration_cast<std::chrono::nanoseconds>(share * kSlowestBuffer);
  if (!ahead_of_checkpointer()) return;
  const double progress = CheckpointPacing::progress_for(fullness() + kStride);
  patience_ = parts_.checkpointer->wait_past(progress, patience_);
}

Result<void> JournaledEngine::open_segment() {
  return with_room_of_removed(parts_.checkpointer, [&] { return parts_.log->open_segment(); });
}

Result<void> JournaledEngine::append_pending_batch() {
  return with_room_of_removed(parts_.checkpointer,
                              [&] { return parts_.log->append(pending_batch_.payload()); });
}

/// Its outcome is the request's.
void JournaledEngine::write_alone(Request& request, std::uint64_t seq) {
  const auto done = with_room_of_removed(parts_.checkpointer, [&]() -> Result<void> {
    request.outcome = {};
    parts_.tree->write_alone(&request, seq);
    // What is in the tree must not be written twice, whatever came after.
    return parts_.env->applied_seq() == seq ? Result<void>() : request.outcome;
  });
  if (!done) request.outcome = done;
}

bool JournaledEngine::fits_buffer(std::uint64_t payload_bytes, std::size_t outcomes,
                                  std::uint64_t bytes) {
  return parts_.log->has_room(payload_bytes) && active_->reserve(outcomes, bytes);
}

/// Room for the pending_batch in segment and buffer.
Result<JournaledEngine::AppendStatus> JournaledEngine::make_room(Wait wait) {
  const std::uint64_t payload_bytes = pending_batch_.payload().size();
  if (wait == Wait::never) {
    const bool ready =
        parts_.log->room_ready(payload_bytes) &&
        fits_buffer(payload_bytes, pending_batch_.outcomes(), pending_batch_.bytes());
    return ready ? AppendStatus::done : AppendStatus::must_wait;
  }
  pace(pending_batch_.bytes());
  if (!parts_.log->has_segment()) {
    if (auto opened = open_segment(); !opened) return not_journaled(opened.error());
  }
  if (fits_buffer(payload_bytes, pending_batch_.outcomes(), pending_batch_.bytes()))
    return AppendStatus::done;
  if (auto rotated = rotate(Checkpointer::Next::soon); !rotated) return rotated.error();
  if (auto opened = open_segment(); !opened) return not_journaled(opened.error());
  if (fits_buffer(payload_bytes, pending_batch_.outcomes(), pending_batch_.bytes()))
    return AppendStatus::done;
  return AppendStatus::too_large;
}

/// Whether both buffers and more surely fit the capacity.
bool JournaledEngine::fits_capacity(const PageEstimate& estimate) const noexcept {
  const std::uint64_t capacity_pages = parts_.env->capacity() / shape_.page_bytes;
  // Far more than it can be, but without a division: mostly that is all there is to ask.
  const std::uint64_t roughly = shape_.end_page + shape_.end_page / 64 + estimate.overflow_pages +
                                estimate.changes * (shape_.depth + 4) + 4096;
  return roughly <= capacity_pages ||
         shape_.end_page + pages_needed(shape_, estimate).total <= capacity_pages;
}

/// Whether the disk has room for both buffers and more, in the tree and in the journal, as of the
/// last look. Pages that a checkpoint copies are used again by its next transactions, so they count
/// little; while a snapshot keeps them, and where others fill the disk meanwhile, it may be too
/// little, and the buffers stay until there is room.
bool JournaledEngine::fits_disk(const PageEstimate& estimate) const noexcept {
  const std::uint64_t journal = active_bytes_.load(std::memory_order_relaxed) +
                                pending_batch_.payload().size() + kBesideJournalBytes;
  const std::uint64_t tree =
      2 * estimate.inline_bytes + (estimate.overflow_pages + kCopiedPages) * shape_.page_bytes;
  return journal + tree <= parts_.env->disk_space().free_bytes();
}

/// Whether both buffers and this batch surely fit the capacity, and as far as one can tell the
/// disk. Where not, the tree decides, once it has the buffers.
Result<bool> JournaledEngine::fits(std::span<const Op> ops, Wait wait) {
  // Where the tree cannot be asked now, what is not known to be in it still counts.
  if (parts_.checkpointer->idle() && frozen_estimate_.changes != 0) (void)learn_shape(wait);
  PageEstimate estimate = pending_;
  estimate += frozen_estimate_;
  estimate.add(ops, shape_);
  if (!fits_capacity(estimate)) return false;
  if (fits_disk(estimate)) return true;
  if (wait == Wait::never) return false;
  // It may have changed; and mostly it is what waits for the tree that asks for so much.
  parts_.env->look_at_disk();
  if (fits_disk(estimate)) return true;
  if (estimate.changes > ops.size()) {
    if (auto drained = drain(); !drained) return drained.error();
    (void)learn_shape(wait);
    estimate = {};
    estimate.add(ops, shape_);
  }
  return fits_disk(estimate);
}

/// The active buffer is frozen and handed to the checkpointer, once that has the one before.
Result<void> JournaledEngine::rotate(Checkpointer::Next next_write) {
  if (auto idle = parts_.checkpointer->wait_idle(); !idle) return idle;
  // LMDB must not show what readers may not see yet.
  if (auto shown = show(); !shown) return shown;
  unshown_ = current_;
  (void)learn_shape(Wait::allowed);  // what is not known to be in the tree still counts
  auto next = new_buffer(*parts_.settings, *parts_.buffers, parts_.hash_seed);
  parts_.buffers->rotate(next);
  parts_.log->rotate();
  parts_.checkpointer->give(std::exchange(active_, std::move(next)), parts_.log->appended(),
                            parts_.links->known(), next_write);
  active_bytes_.store(0, std::memory_order_relaxed);
  frozen_estimate_ += std::exchange(pending_, {});
  dirty_.store(false, std::memory_order_release);
  return {};
}

/// LMDB has everything, and there is no segment.
Result<void> JournaledEngine::drain() {
  if (parts_.log->has_segment()) {
    if (auto rotated = rotate(Checkpointer::Next::perhaps_never); !rotated) return rotated;
  }
  return parts_.checkpointer->wait_idle();
}

}  // namespace hyper_lmdb
