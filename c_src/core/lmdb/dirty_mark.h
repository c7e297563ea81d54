// Whether a map_async store was closed, or what it was left in can be trusted.
//
// The file `dirty.mark` says `clean`, or, while a store is open in map_async, the boot id of the
// machine and the number under which it attached the disk. A later open that finds both unchanged
// knows that the page cache outlived the process, so the data file is whole; else the operating
// system went down in between, or the disk was gone, and pages may have reached it in any order. A
// flush that fails leaves `failed` at once: the page cache then pretends to have what was lost. The
// file is made with the store and overwritten in place, within a sector, so that a full disk keeps
// nobody from opening.
#pragma once

#include <sys/types.h>

#include <string>

#include "format/mark_file.h"
#include "hyper_lmdb/result.h"
#include "os/directory.h"

namespace hyper_lmdb {

enum class MarkState : std::uint8_t {
  clean,      ///< closed, or never open in map_async
  same_boot,  ///< left open, the machine has been up since
  other_boot  ///< left open, and the machine went down, the disk was gone or a flush failed since
};

/// The machine's id for this boot; empty where the system has none (a mark then never matches).
std::string boot_id();
/// The same, and behind a `/` the number under which the disk was attached, where the system counts
/// that.
std::string boot_id(dev_t device);

Result<MarkState> read_mark(const Directory& directory, const std::string& boot);
/// Durable when it returns.
Result<void> set_mark(const Directory& directory, const std::string& boot);
/// What the page cache has of the data file is not to be trusted. Durable when it returns.
Result<void> set_mark_failed(const Directory& directory);
/// Durable when it returns.
Result<void> clear_mark(const Directory& directory);

}  // namespace hyper_lmdb
