#include "engine/journal_writer.h"

#include <new>
#include <string>
#include <utility>
#include <vector>

#include "format/identity.h"
#include "os/errors.h"
#include "read/reading.h"
#include "read/view.h"
#include "write/decide.h"

namespace hyper_lmdb {

namespace {

using std::chrono::steady_clock;

// A store at rest soon has an empty journal.
constexpr auto kMostAge = std::chrono::milliseconds(2000);
constexpr auto kBetweenLooks = std::chrono::milliseconds(500);
// A group of small writes is held back no longer than this, however slow LMDB is: so many of them
// are let through that a buffer does not fill with them before long.
constexpr auto kMostPause = std::chrono::milliseconds(10);
constexpr auto kNothingToTend = std::chrono::milliseconds(60'000);

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

}  // namespace

std::shared_ptr<WriteBuffer> JournalWriter::new_buffer(const Settings& settings,
                                                       const Buffers& buffers,
                                                       std::uint64_t hash_seed) {
  return std::make_shared<WriteBuffer>(settings.write_buffer_bytes, hash_seed, buffers.chunks());
}

JournalWriter::JournalWriter(const JournalParts& parts) noexcept
    : parts_(parts),
      synced_(parts.settings->durability == Durability::sync),
      direct_from_bytes_(parts.settings->write_buffer_bytes / 4),
      active_(parts.buffers->active()) {}

bool JournalWriter::may_wait() const noexcept {
  if (synced_ || parts_.applier->stalled() || ahead_of_applier()) return true;
  // What a link may lead elsewhere has to be looked up.
  return parts_.links->count() != 0 && parts_.warmth->cold();
}

std::optional<Result<void>> JournalWriter::try_write(std::span<const Op> ops) {
  auto fate = append(ops, Wait::never);
  if (!fate) return Result<void>(fate.error());
  if (fate.value() != Fate::done) return std::nullopt;
  if (auto shown = show(); !shown) return shown;
  return Result<void>();
}

void JournalWriter::write_group(Request* first, std::size_t) {
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

const Result<void>& JournalWriter::check_named() {
  return named_([&] {
    auto named = parts_.env->check_named();
    return named ? parts_.log->check_named() : named;
  });
}

/// Lets readers see what was appended; in `sync` once it is on disk.
Result<void> JournalWriter::show() {
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

Result<void> JournalWriter::write_one(Request& request) {
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
Result<void> JournalWriter::append_or_directly(Request& request, std::span<const Op> ops) {
  auto fate = append(ops, Wait::allowed);
  if (!fate) return fate.error();
  switch (fate.value()) {
    case Fate::done:
      return {};
    case Fate::too_large:
      return directly(request);
    case Fate::must_wait:
      break;
  }
  return Error{.code = Code::internal, .operation = "append"};
}

/// What a batch that could not be decided comes to.
Result<JournalWriter::Fate> JournalWriter::undecided(const Error& error) noexcept {
  return error.code == Code::work_limit ? Result<Fate>(Fate::must_wait) : error;
}

/// What becomes of a batch that the journal did not take: on a full disk the tree may have room,
/// and more of it once the journal is gone.
Result<JournalWriter::Fate> JournalWriter::not_journaled(const Error& error) noexcept {
  return says_no_room(error.code) ? Result<Fate>(Fate::too_large) : error;
}

/// Decides a batch, appends it and enters it into the buffer, not yet visible.
Result<JournalWriter::Fate> JournalWriter::append(std::span<const Op> ops, Wait wait) {
  LinksWrite links(parts_.links, parts_.log->appended() + 1);
  {
    std::optional<Reading> reading;
    std::optional<ReadPool::Lease> lease;
    View view(nullptr, 0, parts_.log->appended());
    if (looks_at_store(*parts_.links, ops)) {
      reading.emplace(parts_.warmth, Effort{.may_wait = wait == Wait::allowed});
      if (reading->refused()) return Fate::must_wait;
      auto leased = take_lease(wait);
      if (!leased) return wait == Wait::never ? Result<Fate>(Fate::must_wait) : leased.error();
      lease.emplace(std::move(leased).value());
      // What was appended before this batch counts, whether readers see it yet or not.
      view = lease->view(parts_.env->dbi()).at(parts_.log->appended()).under(&*reading);
    }
    if (auto held = evaluate_checks(view, ops); !held) return undecided(held.error());
    auto decided = decide(view, parts_.links, &steady_ms, parts_.settings->checksum, ops, &draft_);
    if (!decided) return undecided(decided.error());
  }
  if (draft_.outcomes() == 0) {
    links.keep();
    return Fate::done;
  }
  if (draft_.payload().size() > direct_from_bytes_ || !fits(ops, wait)) {
    return Fate::too_large;
  }
  auto room = make_room(wait);
  if (!room || room.value() != Fate::done) return room;
  if (const auto& named = check_named(); !named) return named.error();
  auto appended = wait == Wait::never ? parts_.log->append(draft_.payload()) : append_draft();
  if (!appended) return not_journaled(appended.error());
  draft_.insert_into(active_.get(), parts_.log->appended());
  active_bytes_.store(active_->bytes_used(), std::memory_order_relaxed);
  links.keep();
  pending_.add(ops, shape_);
  if (!dirty_.load(std::memory_order_relaxed)) {
    first_write_ = steady_clock::now();
    dirty_.store(true, std::memory_order_release);
  }
  const bool memory_low = active_->running_low() && parts_.buffers->chunks()->empty();
  room_low_.store(memory_low || parts_.log->running_low(), std::memory_order_relaxed);
  return Fate::done;
}

Result<void> JournalWriter::directly(Request& request) {
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
Result<void> JournalWriter::remove_some(Request& request) {
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
      if (keys.size() == TreeWriter::kMostRemovedAtOnce) {
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

bool JournalWriter::wants_tending() const noexcept {
  return room_low_.load(std::memory_order_relaxed);
}

std::chrono::milliseconds JournalWriter::until_tending() const noexcept {
  const bool busy = dirty_.load(std::memory_order_acquire) || parts_.buffers->states() > 1;
  return busy ? kBetweenLooks : kNothingToTend;
}

void JournalWriter::tend() noexcept try {
  if (parts_.failed->load(std::memory_order_acquire)) return;
  if (room_low_.load(std::memory_order_relaxed)) {
    parts_.log->prepare_ahead();
    room_low_.store(false, std::memory_order_relaxed);
    if (const auto& chunks = parts_.buffers->chunks(); chunks->empty()) chunks->add();
  }
  if (const auto buffer = parts_.buffers->active()) buffer->tend();
  parts_.buffers->collect([&](const Buffers::State* state) { return parts_.pool->pins(state); });
  if (!dirty_.load(std::memory_order_acquire) || !parts_.applier->idle()) return;
  const std::unique_lock lock(*parts_.write_mutex, std::try_to_lock);
  // Looked at again: another may have rotated meanwhile, and to wait for a whole buffer is not for
  // here.
  if (!lock || !dirty_.load(std::memory_order_relaxed) || !parts_.applier->idle()) return;
  if (steady_clock::now() - first_write_ < kMostAge) return;
  (void)rotate(Applier::Next::perhaps_never);  // a flush that failed has poisoned the store
} catch (const std::bad_alloc&) {
  // Tried again before long.
}

Result<void> JournalWriter::finish() noexcept {
  const bool failed = parts_.failed->load(std::memory_order_acquire);
  if (!failed) {
    parts_.applier->try_again();
    try {
      if (drain() && parts_.applier->wait_tidy() && parts_.log->remove_spare()) return {};
    } catch (const std::bad_alloc&) {
      // The next start does it.
    }
  }
  // Whatever keeps LMDB from it, the journal goes to disk.
  auto flushed = parts_.log->flush();
  if (flushed) flushed = parts_.log->check_named();
  return failed ? Result<void>(env_failed()) : flushed;
}

}  // namespace hyper_lmdb
