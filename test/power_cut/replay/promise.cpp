#include "promise.h"

#include <algorithm>

namespace hyper_lmdb::power {

void Promise::raise(std::uint64_t low) {
  bounds_.low = std::max(bounds_.low, low);
}

void Promise::take(const LogEvent& event, const Disk& disk) {
  // A segment's creation is flushed by fsync, its records by fdatasync or msync.
  const bool data_flush =
      event.event == Event::flush_range || (event.event == Event::flush && event.at == 1);
  if (data_flush) flushed_journal(*disk.file(event.file), disk);
  if (event.event != Event::mark) return;
  switch (static_cast<Mark>(event.file)) {
    case Mark::opening:
      bounds_.mode = static_cast<Durability>(event.at);
      bounds_.may_be_unclean = bounds_.may_be_unclean || bounds_.mode == Durability::map_async;
      break;
    case Mark::opened:
      // A journaled mode has flushed what the process before left, and cleared its mark.
      bounds_.may_be_unclean = bounds_.mode == Durability::map_async;
      if (bounds_.mode != Durability::map_async) raise(acked_);
      break;
    case Mark::begin:
      bounds_.high = event.at;
      break;
    case Mark::ack:
      acked_ = event.at;
      if (bounds_.mode == Durability::sync) raise(acked_);
      break;
    case Mark::sync_begin:
      acked_at_sync_begin_ = acked_;
      break;
    case Mark::sync_end:
      raise(acked_at_sync_begin_);
      break;
    case Mark::closed:
      raise(acked_);
      bounds_.may_be_unclean = false;
      break;
    case Mark::kept:
      raise(event.at);
      break;
  }
}

/// A flush covers what was appended when it began, and one begins after the one before has ended.
/// So what was acknowledged by that end is on disk once the newest segment is flushed again.
void Promise::flushed_journal(const File& file, const Disk& disk) {
  if (!file.name.starts_with("journal-")) return;
  const auto newest = std::prev(disk.names().lower_bound("journal."));
  if (newest->second.get() == &file) raise(acked_at_last_flush_);
  acked_at_last_flush_ = acked_;
}

States::States(const std::vector<std::uint64_t>& states) {
  for (std::size_t i = 0; i < states.size(); ++i) places_[states[i]].push_back(i);
}

bool States::holds(const Bounds& bounds, std::uint64_t state) const {
  const auto found = places_.find(state);
  if (found == places_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](std::uint64_t place) {
    return place >= bounds.low && place <= bounds.high;
  });
}

std::string States::place_of(std::uint64_t state) const {
  const auto found = places_.find(state);
  if (found == places_.end()) return "no state there ever was";
  return "state " + std::to_string(found->second.back());
}

}  // namespace hyper_lmdb::power
