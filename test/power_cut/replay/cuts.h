// Where in a recording the power is cut.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "image.h"
#include "log_reader.h"
#include "promise.h"

namespace hyper_lmdb::power {

enum class Control { none, marks, checksums, flushes };

/// One cut, of which one image is made.
struct Cut {
  std::uint64_t number;
  std::uint64_t before_event;
  Choice choice;
  Bounds bounds;
  Durability open_mode;
};

/// So many cuts, most of them where something is flushed or has just been; the same for the same
/// recording, seed and pass.
class Cuts {
 public:
  /// `initial`: as Disk's.
  Cuts(const std::vector<LogEvent>& events, std::string initial, Control control,
       std::uint64_t seed);

  /// Goes through the recording once, and makes about `count` cuts on the way; `on_cut` answers
  /// whether to go on. Cuts of one pass come in order of time, and passes differ.
  void go(std::uint64_t pass, std::uint64_t count,
          const std::function<bool(const Cut&, Image)>& on_cut) const;

 private:
  std::vector<unsigned> weights_;  // of the moment before each event
  std::uint64_t all_weights_ = 0;
  const std::vector<LogEvent>& events_;
  const std::string initial_;
  const Control control_;
  const std::uint64_t seed_;
};

}  // namespace hyper_lmdb::power
