// What may be found after a cut at this moment: which states, and whether the store may refuse.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "disk.h"
#include "hyper_lmdb/options.h"
#include "log_reader.h"

namespace hyper_lmdb::power {

struct Bounds {
  std::uint64_t low = 0;               ///< the first state that keeps what was promised
  std::uint64_t high = 0;              ///< the last that was begun
  bool may_be_unclean = false;         ///< map_async was open: open may answer unclean_shutdown
  Durability mode = Durability::sync;  ///< of the session
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

class Promise {
 public:
  /// `disk` has not taken the event yet.
  void take(const LogEvent& event, const Disk& disk);
  const Bounds& bounds() const { return bounds_; }

 private:
  void raise(std::uint64_t low);
  void flushed_journal(const File& file, const Disk& disk);

  Bounds bounds_;
  std::uint64_t acked_ = 0;
  std::uint64_t acked_at_sync_begin_ = 0;
  std::uint64_t acked_at_last_flush_ = 0;
};

/// Where each state stands.
class States {
 public:
  explicit States(const std::vector<std::uint64_t>& states);
  bool holds(const Bounds& bounds, std::uint64_t state) const;
  /// In words.
  std::string place_of(std::uint64_t state) const;

 private:
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> places_;
};

}  // namespace hyper_lmdb::power
