#include "journal/journal.h"

#include <cerrno>
#include <utility>

#include "format/journal_record.h"

namespace hyper_lmdb {

Journal::Journal(const Directory& directory, const Start& start, std::atomic<bool>* failed)
    : directory_(directory),
      start_(start),
      failed_(failed),
      last_generation_(start.last_generation),
      appended_(start.last_seq),
      flushed_(start.last_seq),
      mark_(directory, start.store_id) {}

std::shared_ptr<Journal::Segment> Journal::active() const {
  const std::lock_guard lock(segments_mutex_);
  return active_;
}

std::uint64_t Journal::bytes() const noexcept {
  const auto segment = active();
  return segment == nullptr ? 0 : segment->file->bytes();
}

Result<std::shared_ptr<Journal::Segment>> Journal::create(std::uint64_t first_seq) {
  auto segment = std::make_shared<Segment>(Segment{.generation = last_generation_ + 1});
  auto file = JournalSegment::create(directory_,
                                     {.store_id = start_.store_id,
                                      .generation = segment->generation,
                                      .first_seq = first_seq,
                                      .flushed_seq = flushed()},
                                     start_.segment_bytes, start_.way);
  if (!file) return file.error();
  segment->file = std::move(file).value();
  ++last_generation_;
  // Before its first record: a start is to miss it.
  auto marked = [&] {
    const std::lock_guard lock(mark_mutex_);
    return mark_.add(segment->generation);
  }();
  if (marked) return segment;
  // Where it cannot go it stays behind, empty, which does no harm.
  (void)discard(segment.get());
  return marked.error();
}

Result<void> Journal::open_segment() {
  const std::uint64_t first_seq = appended() + 1;
  const std::lock_guard one_is_made_at_a_time(spare_mutex_);
  std::shared_ptr<Segment> segment = std::exchange(spare_, nullptr);
  if (segment != nullptr && !segment->file->check_named()) {
    // Something else removed it: no start may miss it.
    if (auto gone = discard(segment.get()); !gone) return gone;
    segment = nullptr;
  }
  if (segment != nullptr) {
    segment->file->begin(first_seq);
  } else {
    auto made = create(first_seq);
    if (!made) return made.error();
    segment = std::move(made).value();
  }
  const std::lock_guard lock(segments_mutex_);
  active_ = std::move(segment);
  return {};
}

Result<void> Journal::make_spare() {
  const std::lock_guard one_is_made_at_a_time(spare_mutex_);
  if (spare_ != nullptr) return {};
  // Its header has to be on disk before any record of it may be, and nobody knows yet which number
  // comes first.
  auto made = create(0);
  if (!made) return made.error();
  (void)made.value()->file->prepare_ahead();  // what it cannot set aside, an append will say
  spare_ = std::move(made).value();
  return {};
}

Result<void> Journal::remove_spare() {
  const std::lock_guard one_is_made_at_a_time(spare_mutex_);
  if (spare_ == nullptr) return {};
  if (auto gone = discard(spare_.get()); !gone) return gone;
  // What is written to a file without a name is lost: nobody may open it any more, even if its
  // removal is not durable. If it comes back it has no records, which replay passes over.
  spare_ = nullptr;
  return directory_.sync();
}

/// The newest segment, which has no records, goes. Its number is used again: none may be missing,
/// as replay tells a removed segment from a torn tail by that.
Result<void> Journal::discard(Segment* segment) {
  {
    const std::lock_guard lock(mark_mutex_);
    if (auto done = mark_.take_back(segment->generation); !done) return done;
  }
  if (auto removed = remove(segment); !removed) return removed;
  --last_generation_;
  return {};
}

/// By its name: to list the directory would take a descriptor, which may be what has run out.
Result<void> Journal::remove(Segment* segment) {
  if (segment->removed) return {};
  auto done = directory_.remove(journal::segment_name(segment->generation));
  // Nobody else's file is meant, so one that is gone already is as good as removed.
  if (!done && done.error().native != ENOENT) return done;
  segment->removed = true;
  return {};
}

bool Journal::has_room(std::uint64_t payload_bytes) const noexcept {
  return active_ != nullptr && active_->file->has_room(payload_bytes);
}

bool Journal::room_ready(std::uint64_t payload_bytes) const noexcept {
  return active_ != nullptr && active_->file->room_ready(payload_bytes);
}

Result<void> Journal::append(std::string_view payload) {
  const std::uint64_t seq = appended() + 1;
  if (auto done = active_->file->append(seq, flushed(), {&payload, 1}); !done) return done;
  appended_.store(seq, std::memory_order_release);
  return {};
}

void Journal::skip(std::uint64_t seq) noexcept {
  appended_.store(seq, std::memory_order_release);
  flushed_.store(seq, std::memory_order_release);
}

void Journal::rotate() {
  const std::lock_guard lock(segments_mutex_);
  frozen_ = std::exchange(active_, nullptr);
}

Result<void> Journal::flush() {
  const std::lock_guard one_at_a_time(flush_mutex_);
  // Another failure of the store does not keep the journal from the disk.
  if (flush_failed_) {
    return Error{.code = Code::env_failed, .operation = "flush journal"};
  }
  std::shared_ptr<Segment> segments[2];
  std::uint64_t through = 0;
  {
    const std::lock_guard lock(segments_mutex_);
    segments[0] = frozen_;
    segments[1] = active_;
    through = appended();
  }
  if (through == flushed()) return {};
  for (const auto& segment : segments) {
    if (segment == nullptr) continue;
    if (auto done = segment->file->flush(); !done) {
      // The kernel has marked the lost pages clean: a later flush would succeed and mean nothing.
      flush_failed_ = true;
      failed_->store(true, std::memory_order_release);
      return done;
    }
  }
  if (through > flushed()) flushed_.store(through, std::memory_order_release);
  return {};
}

Result<void> Journal::check_named() const {
  // Under the lock: what is neither active nor frozen any more may rightly be gone.
  const std::lock_guard lock(segments_mutex_);
  for (const auto* segment : {&frozen_, &active_}) {
    if (*segment == nullptr) continue;
    if (auto named = (*segment)->file->check_named(); !named) return named;
  }
  return {};
}

void Journal::prepare_ahead() noexcept {
  // What it cannot set aside, an append will say.
  if (const auto segment = active()) (void)segment->file->prepare_ahead();
}

void Journal::retire_frozen() noexcept {
  const std::lock_guard lock(segments_mutex_);
  if (frozen_ != nullptr) retired_ = std::exchange(frozen_, nullptr);
}

Result<void> Journal::remove_retired(FunctionRef<bool()> pause) {
  std::shared_ptr<Segment> segment;  // outlives the lock: its map is large
  {
    const std::lock_guard lock(segments_mutex_);
    segment = retired_;
  }
  if (segment == nullptr) return {};
  segment->file->leave_cache(pause);
  {
    const std::lock_guard lock(mark_mutex_);
    if (auto done = mark_.drop_through(segment->generation); !done) return done;
  }
  if (auto removed = remove(segment.get()); !removed) return removed;
  if (auto synced = directory_.sync(); !synced) return synced;
  const std::lock_guard lock(segments_mutex_);
  retired_ = nullptr;
  return {};
}

void Journal::close() noexcept {
  const std::lock_guard no_spare_is_made(spare_mutex_);
  const std::lock_guard lock(segments_mutex_);
  for (auto* segment : {&spare_, &active_, &frozen_, &retired_}) segment->reset();
  const std::lock_guard mark_lock(mark_mutex_);
  mark_.close();
}

}  // namespace hyper_lmdb
