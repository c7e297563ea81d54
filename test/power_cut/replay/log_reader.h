// Reads a recording back.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "events.h"

namespace hyper_lmdb::power {

struct LogEvent {
  Event event;
  std::uint32_t file;  // of a mark: the Mark
  std::uint64_t at;
  std::uint64_t count;
  std::shared_ptr<const std::string> data;  // null: none

  bool is(Mark mark) const {
    return event == Event::mark && file == static_cast<std::uint32_t>(mark);
  }
};

/// Throws where the file cannot be read or ends within an event.
std::vector<LogEvent> read_log(const std::string& path);

}  // namespace hyper_lmdb::power
