// Whether a map_async store was closed, or what it was left in can be trusted.
//
// The file `dirty.mark` says `clean`, or, while a store is open in map_async, the boot id of the
// machine. A later open that finds it under the same boot id knows that the page cache outlived the
// process, so the data file is whole; under another one the operating system went down in between,
// and pages may have reached the disk in any order. The file is made with the store and overwritten
// in place, within a sector, so that a full disk keeps nobody from opening.
#pragma once

#include <string>

#include "directory.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

enum class MarkState : std::uint8_t {
  clean,      ///< closed, or never open in map_async
  same_boot,  ///< left open, the machine has been up since
  other_boot  ///< left open, the machine went down since
};

inline constexpr std::string_view kMarkFile = "dirty.mark";

/// The machine's id for this boot; empty where the system has none (a mark then never matches).
std::string boot_id();

Result<MarkState> read_mark(const Directory& directory, const std::string& boot);
/// Durable when it returns.
Result<void> set_mark(const Directory& directory, const std::string& boot);
/// Durable when it returns.
Result<void> clear_mark(const Directory& directory);

}  // namespace hyper_lmdb
