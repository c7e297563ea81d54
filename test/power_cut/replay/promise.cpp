#include "promise.h"

#include <algorithm>

#include "format/journal_record.h"

namespace hyper_lmdb::power {

void Progress::take(const LogEvent& event) {
  if (event.event != Event::mark) return;
  const auto writer = static_cast<std::size_t>(event.count);
  switch (static_cast<Mark>(event.file)) {
    case Mark::begin:
      begun.at(writer) = event.at;
      break;
    case Mark::begin_everyone:
      for (std::uint64_t& state : begun) ++state;
      break;
    case Mark::ack:
      acked.at(writer) = event.at;
      break;
    case Mark::ack_everyone:
      for (std::uint64_t& state : acked) ++state;
      break;
    default:
      break;
  }
}

void Promise::raise(const Place& low) {
  for (unsigned i = 0; i < kWriters; ++i) bounds_.low[i] = std::max(bounds_.low[i], low[i]);
}

void Promise::take(const LogEvent& event, const Disk& disk) {
  const bool writes = (event.event == Event::write || event.event == Event::mapped) &&
                      event.data != nullptr && event.at + event.count > journal::kPageBytes;
  if (writes) {
    const std::string& name = disk.file(event.file)->name;
    if (journal::generation_of(name)) newest_segment_ = std::max(newest_segment_, name);
  }
  // A segment's creation is flushed by fsync, its records by fdatasync or msync.
  const bool data_flush =
      event.event == Event::flush_range || (event.event == Event::flush && event.at == 1);
  if (data_flush) flushed_journal(*disk.file(event.file));
  progress_.take(event);
  bounds_.high = progress_.begun;
  if (event.event != Event::mark) return;
  const auto writer = static_cast<std::size_t>(event.count);
  switch (static_cast<Mark>(event.file)) {
    case Mark::opening:
      bounds_.mode = static_cast<Durability>(event.at);
      bounds_.may_be_unclean = bounds_.may_be_unclean || bounds_.mode == Durability::map_async;
      break;
    case Mark::opened:
      // A journaled mode has flushed what the process before left, and cleared its mark.
      bounds_.may_be_unclean = bounds_.mode == Durability::map_async;
      if (bounds_.mode != Durability::map_async) raise(progress_.acked);
      break;
    case Mark::ack:
    case Mark::ack_everyone:
      if (bounds_.mode == Durability::sync) raise(progress_.acked);
      break;
    case Mark::sync_begin:
      acked_at_sync_begin_.at(writer) = progress_.acked;
      break;
    case Mark::sync_end:
      raise(acked_at_sync_begin_.at(writer));
      break;
    case Mark::closed:
      raise(progress_.acked);
      bounds_.may_be_unclean = false;
      break;
    case Mark::kept:
      bounds_.low.at(writer) = event.at;
      break;
    default:
      break;
  }
}

/// A flush covers what was appended when it began, and one begins after the one before has ended.
/// So what was acknowledged by that end is on disk once the newest segment is flushed again.
void Promise::flushed_journal(const File& file) {
  if (!journal::generation_of(file.name)) return;
  if (file.name == newest_segment_) raise(acked_at_last_flush_);
  acked_at_last_flush_ = progress_.acked;
}

States::States(const History& history, const std::vector<LogEvent>& events) {
  for (unsigned i = 0; i < kWriters; ++i) {
    for (std::size_t at = 0; at < history[i].size(); ++at) places_[i][history[i][at]].push_back(at);
    needed_[i][0] = {};
  }
  Progress progress;
  for (const LogEvent& event : events) {
    const Progress before = progress;
    progress.take(event);
    if (event.is(Mark::begin)) {
      const auto writer = static_cast<std::size_t>(event.count);
      needed_.at(writer)[before.begun[writer] + 1] = before.acked;
    } else if (event.is(Mark::begin_everyone)) {
      // All of it or nothing.
      for (unsigned i = 0; i < kWriters; ++i) needed_[i][progress.begun[i]] = progress.begun;
    }
  }
}

const Place& States::needed_by(unsigned writer, std::uint64_t place) const {
  return std::prev(needed_[writer].upper_bound(place))->second;
}

/// Of the places that go together the last: of two such places the later one of each writer go
/// together too, so whoever is too far for another steps back.
std::optional<Place> States::place_of(const Bounds& bounds, const State& state) const {
  std::array<Places, kWriters> possible;
  for (unsigned i = 0; i < kWriters; ++i) {
    const auto found = places_[i].find(state[i]);
    if (found == places_[i].end()) return {};
    for (const std::uint64_t place : found->second) {
      if (place >= bounds.low[i] && place <= bounds.high[i]) possible[i].push_back(place);
    }
    if (possible[i].empty()) return {};
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (unsigned i = 0; i < kWriters; ++i) {
      const Place& needed = needed_by(i, possible[i].back());
      const bool together = std::equal(
          needed.begin(), needed.end(), possible.begin(),
          [](std::uint64_t least, const Places& places) { return places.back() >= least; });
      if (together) continue;
      possible[i].pop_back();
      if (possible[i].empty()) return {};
      changed = true;
    }
  }
  Place place;
  for (unsigned i = 0; i < kWriters; ++i) place[i] = possible[i].back();
  return place;
}

std::string States::describe(const State& state) const {
  std::string words;
  for (unsigned i = 0; i < kWriters; ++i) {
    const auto found = places_[i].find(state[i]);
    if (i > 0) words += ", ";
    words +=
        found == places_[i].end() ? "none there ever was" : std::to_string(found->second.back());
  }
  return "states " + words;
}

std::string describe(const Place& place) {
  std::string words;
  for (const std::uint64_t one : place) words += (words.empty() ? "" : ", ") + std::to_string(one);
  return words;
}

}  // namespace hyper_lmdb::power
