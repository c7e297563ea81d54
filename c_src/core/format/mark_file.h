// The file `dirty.mark`: a line of text that lmdb/dirty_mark writes, and behind it the numbers that
// journal/journal_mark writes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hyper_lmdb {

inline constexpr std::string_view kMarkFile = "dirty.mark";
inline constexpr std::size_t kMarkBytes = 64;  ///< of the line, which ends there
inline constexpr std::string_view kMarkClean = "clean";
inline constexpr std::string_view kMarkFailed = "failed";

/// The line that says so.
inline std::string mark_line(std::string_view text) {
  std::string bytes(text.substr(0, kMarkBytes - 1));
  bytes.resize(kMarkBytes - 1, ' ');
  return bytes + '\n';
}

}  // namespace hyper_lmdb
