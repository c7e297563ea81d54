// What may be found after a cut at this moment: which states, and whether the store may refuse.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "disk.h"
#include "hyper_lmdb/options.h"
#include "log_reader.h"
#include "model.h"

namespace hyper_lmdb::power {

struct Bounds {
  Place low{};                         ///< the first states that keep what was promised
  Place high{};                        ///< the last that were begun
  bool may_be_unclean = false;         ///< map_async was open: open may answer unclean_shutdown
  Durability mode = Durability::sync;  ///< of the session
};

/// How far the writers are, from what they say.
struct Progress {
  Place begun{};
  Place acked{};
  void take(const LogEvent& event);
};

class Promise {
 public:
  /// `disk` has not taken the event yet.
  void take(const LogEvent& event, const Disk& disk);
  const Bounds& bounds() const { return bounds_; }

 private:
  void raise(const Place& low);
  void flushed_journal(const File& file);

  Bounds bounds_;
  Progress progress_;
  std::array<Place, kWriters> acked_at_sync_begin_{};  // of each writer's sync
  Place acked_at_last_flush_{};
  std::string newest_segment_;  // that a record was written to
};

/// Where each state stands, and which states go together: a write that began after another had been
/// acknowledged comes after it, whoever's they are.
class States {
 public:
  States(const History& history, const std::vector<LogEvent>& events);
  bool holds(const Bounds& bounds, const State& state) const { return !!place_of(bounds, state); }
  /// In words.
  std::string describe(const State& state) const;

 private:
  using Places = std::vector<std::uint64_t>;
  std::optional<Place> place_of(const Bounds& bounds, const State& state) const;
  const Place& needed_by(unsigned writer, std::uint64_t place) const;

  std::array<std::unordered_map<std::uint64_t, Places>, kWriters> places_;
  std::array<std::map<std::uint64_t, Place>, kWriters> needed_;  // from this state on
};

std::string describe(const Place& place);

}  // namespace hyper_lmdb::power
