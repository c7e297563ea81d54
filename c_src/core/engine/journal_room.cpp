// Where a write finds room: the part of JournalWriter that knows segment, buffers and capacity.
#include <algorithm>
#include <utility>

#include "engine/apply_pace.h"
#include "engine/journal_writer.h"
#include "os/errors.h"

namespace hyper_lmdb {

namespace {

// Who was held back may go on for so much of a buffer: few writes wait, and none for long.
constexpr double kStride = 1.0 / 128;
// What large writes are held back for: no more than if a whole buffer took that long.
constexpr std::chrono::duration<double> kSlowestBuffer{4};
// What a segment sets aside when it is made, for the one in use and a spare one.
constexpr std::uint64_t kBesideJournalBytes = 2 << 20;

/// A full disk may have room again once the journal is gone that LMDB has.
template <typename Act>
Result<void> with_room_of_removed(Applier* applier, Act act) {
  auto done = act();
  if (done) return done;
  if (!says_no_room(done.error().code)) return done;
  if (!applier->wait_tidy()) return done;
  auto again = act();
  // LMDB may have given up, which says less than why.
  return !again && again.error().code == Code::env_failed ? done : again;
}

}  // namespace

Result<ReadPool::Lease> JournalWriter::take_lease(Wait wait) noexcept {
  return parts_.pool->lease(ReadPool::For::call, wait == Wait::allowed ? ReadPool::kForever : 0);
}

/// How LMDB's tree and the disk stand, now that what was applied is in the tree.
Result<void> JournalWriter::learn_shape(Wait wait) noexcept {
  auto leased = take_lease(wait);
  if (!leased) return leased.error();
  auto shape = shape_of(leased.value().txn(), parts_.env->dbi());
  if (!shape) return shape.error();
  shape_ = shape.value();
  frozen_demand_ = {};
  if (wait == Wait::allowed) parts_.env->look_at_disk();
  return {};
}

/// How full the active buffer is, from 0 to 1.
double JournalWriter::fullness() const noexcept {
  return static_cast<double>(active_bytes_.load(std::memory_order_relaxed)) /
         static_cast<double>(parts_.settings->write_buffer_bytes);
}

bool JournalWriter::ahead_of_applier() const noexcept {
  return !parts_.applier->idle() &&
         fullness() > ApplyPace::allowed_fullness(parts_.applier->progress());
}

/// Holds a writer of so many bytes back until LMDB has caught up, or for as long as it may be.
void JournalWriter::pace(std::uint64_t bytes) {
  using std::chrono::duration_cast;
  const double share =
      static_cast<double>(bytes) / static_cast<double>(parts_.settings->write_buffer_bytes);
  patience_ += duration_cast<std::chrono::nanoseconds>(share * kSlowestBuffer);
  if (!ahead_of_applier()) return;
  const double progress = ApplyPace::progress_for(fullness() + kStride);
  patience_ = parts_.applier->wait_past(progress, patience_);
}

Result<void> JournalWriter::open_segment() {
  return with_room_of_removed(parts_.applier, [&] { return parts_.log->open_segment(); });
}

Result<void> JournalWriter::append_draft() {
  return with_room_of_removed(parts_.applier, [&] { return parts_.log->append(draft_.payload()); });
}

/// Its outcome is the request's.
void JournalWriter::write_alone(Request& request, std::uint64_t seq) {
  const auto done = with_room_of_removed(parts_.applier, [&]() -> Result<void> {
    request.outcome = {};
    parts_.tree->write_alone(&request, seq);
    // What is in the tree must not be written twice, whatever came after.
    return parts_.env->applied_seq() == seq ? Result<void>() : request.outcome;
  });
  if (!done) request.outcome = done;
}

bool JournalWriter::fits_buffer(std::uint64_t payload_bytes, std::size_t outcomes,
                                std::uint64_t bytes) {
  return parts_.log->has_room(payload_bytes) && active_->reserve(outcomes, bytes);
}

/// Room for the draft in segment and buffer.
Result<JournalWriter::Fate> JournalWriter::make_room(Wait wait) {
  const std::uint64_t payload_bytes = draft_.payload().size();
  if (wait == Wait::never) {
    const bool ready = parts_.log->room_ready(payload_bytes) &&
                       fits_buffer(payload_bytes, draft_.outcomes(), draft_.bytes());
    return ready ? Fate::done : Fate::must_wait;
  }
  pace(draft_.bytes());
  if (!parts_.log->has_segment()) {
    if (auto opened = open_segment(); !opened) return not_journaled(opened.error());
  }
  if (fits_buffer(payload_bytes, draft_.outcomes(), draft_.bytes())) return Fate::done;
  if (auto rotated = rotate(Applier::Next::soon); !rotated) return rotated.error();
  if (auto opened = open_segment(); !opened) return not_journaled(opened.error());
  if (fits_buffer(payload_bytes, draft_.outcomes(), draft_.bytes())) return Fate::done;
  return Fate::too_large;
}

/// What the file may come to take: the capacity, or what the disk has room for beside the journal,
/// if that is less.
std::uint64_t JournalWriter::most_file_bytes() const noexcept {
  const std::uint64_t room = parts_.env->disk_room().free_bytes();
  const std::uint64_t journal =
      active_bytes_.load(std::memory_order_relaxed) + draft_.payload().size() + kBesideJournalBytes;
  return std::min(parts_.env->capacity(),
                  shape_.end_page * shape_.page_bytes + room - std::min(room, journal));
}

/// Whether both buffers and this batch surely fit the capacity and the disk. Where not, the tree
/// decides, once it has the buffers.
bool JournalWriter::fits(std::span<const Op> ops, Wait wait) {
  // Where the tree cannot be asked now, what is not known to be in it still counts.
  if (parts_.applier->idle() && frozen_demand_.changes != 0) (void)learn_shape(wait);
  Demand demand = pending_;
  demand += frozen_demand_;
  demand.add(ops, shape_);
  // Far more than it can be, but without a division: mostly that is all there is to ask.
  const std::uint64_t roughly = shape_.end_page + shape_.end_page / 64 + demand.overflow_pages +
                                demand.changes * (shape_.depth + 4) + 4096;
  if (roughly * shape_.page_bytes <= most_file_bytes()) return true;
  if (wait == Wait::allowed) parts_.env->look_at_disk();  // it may have changed
  return (shape_.end_page + pages_needed(shape_, demand).total) * shape_.page_bytes <=
         most_file_bytes();
}

/// The active buffer is frozen and handed to the applier, once that has the one before.
Result<void> JournalWriter::rotate(Applier::Next next_write) {
  if (auto idle = parts_.applier->wait_idle(); !idle) return idle;
  // LMDB must not show what readers may not see yet.
  if (auto shown = show(); !shown) return shown;
  unshown_ = current_;
  (void)learn_shape(Wait::allowed);  // what is not known to be in the tree still counts
  auto next = new_buffer(*parts_.settings, *parts_.buffers, parts_.hash_seed);
  parts_.buffers->rotate(next);
  parts_.log->rotate();
  parts_.applier->give(std::exchange(active_, std::move(next)), parts_.log->appended(),
                       parts_.links->known(), next_write);
  active_bytes_.store(0, std::memory_order_relaxed);
  frozen_demand_ += std::exchange(pending_, {});
  dirty_.store(false, std::memory_order_release);
  return {};
}

/// LMDB has everything, and there is no segment.
Result<void> JournalWriter::drain() {
  if (parts_.log->has_segment()) {
    if (auto rotated = rotate(Applier::Next::perhaps_never); !rotated) return rotated;
  }
  return parts_.applier->wait_idle();
}

}  // namespace hyper_lmdb
