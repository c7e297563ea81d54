// Makes system calls fail on purpose, ours and those of liblmdb.
//
// A program that links faults.cpp defines the calls itself. Its definitions come first in the
// dynamic linker's order, so the shared liblmdb calls them too; each passes on to the real call
// unless the plan says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hyper_lmdb::test::faults {

enum Calls : std::uint32_t {
  kWrite = 1,       // write
  kPwrite = 2,      // pwrite
  kWritev = 4,      // writev, pwritev
  kFdatasync = 8,   // fdatasync
  kFsync = 16,      // fsync
  kMsync = 32,      // msync
  kFallocate = 64,  // posix_fallocate, fallocate
  kFtruncate = 128,
  kRename = 256,
  kTryLock = 512,     // pthread_mutex_trylock: held up only
  kCursorPut = 1024,  // mdb_cursor_put: the plan's error is what it returns
  kSyncRange = 2048,  // sync_file_range; not one of kAll
  kAnyWrite = kWrite | kPwrite | kWritev,
  kAll = 511,
};

struct Plan {
  std::string directory;  ///< only files below it; msync is met wherever it points
  std::uint32_t calls = kAll;
  std::uint64_t fail_at = 0;  ///< the call to fail, from 1; 0 counts only
  bool for_ever = false;      ///< every later one too
  int error = 0;              ///< errno of the failure; 0: the write is cut short by a byte
};

/// Counts the calls of the plan from now on, and fails one.
void arm(const Plan& plan);
/// Ends that; returns how many calls were counted.
std::uint64_t disarm();
/// Whether the plan in force has failed a call.
bool has_failed();

/// Holds calls up, any of kMsync, kFdatasync (not of `dirty.mark`), kFsync, kAnyWrite and kTryLock,
/// from now on and until `release_held`; those that name a file only where it is below `directory`,
/// if one is given. Each for two minutes at most, so that a test that failed meanwhile ends.
void hold(std::uint32_t calls, const std::string& directory = "");
void release_held();
/// Waits until a call is held up. Throws where none is for a minute.
void wait_for_held();

/// Run once, right before and right after this thread's next `mdb_txn_renew`: what happens between
/// the parts of a lease. Either may be empty.
void around_next_renewal(std::function<void()> before, std::function<void()> after);

struct Range {
  const void* address = nullptr;
  std::uint64_t bytes = 0;
};
/// What the last msync call was about.
Range last_msync();

struct Call {
  std::uint32_t call = 0;   ///< one of Calls
  std::string file;         ///< its name without the directory; "" for the directory itself
  std::int64_t offset = 0;  ///< of a write; else 0
};
/// Notes, in order and from now on, the calls of `calls` that are about files in this directory.
/// Each is noted before it is made.
void trace(const std::string& directory, std::uint32_t calls);
/// Ends that, and returns them.
std::vector<Call> traced();

}  // namespace hyper_lmdb::test::faults
