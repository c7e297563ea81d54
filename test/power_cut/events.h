// The recording: what a store did to its directory, in order, as the recorder writes it down and
// the replayer reads it.
#pragma once

#include <cstdint>

namespace hyper_lmdb::power {

enum class Event : std::uint32_t {
  process,         ///< a process begins; files that are there follow as `exists`
  exists,          ///< `file` is the number of the name in the data from here on
  create,          ///< a name came to be: data is the name
  rename,          ///< data is the new name
  unlink,          ///< data is the name
  write,           ///< `count` bytes at `at`; without data they are zeros
  mapped,          ///< the same by a store into a shared map: may be cut at any byte
  size,            ///< the file is `at` bytes long
  flush,           ///< fsync (`at` is 0) or fdatasync (1) of the file is done
  flush_range,     ///< msync (at, count) is done
  flush_write,     ///< as flush_range, of a write through an O_DSYNC descriptor
  sync_directory,  ///< fsync of the directory is done
  mark,            ///< the workload says something: `file` is a Mark, see there
};

/// Each has a writer (in `count`) and a number (in `at`): the writer's part of the store is in
/// state 0 while it is empty and in state n after its n-th atomic write.
enum class Mark : std::uint32_t {
  opening,         ///< number: the mode
  opened,          ///< number: the mode
  begin,           ///< a write that leads up to state `number` begins
  ack,             ///< it was acknowledged
  begin_everyone,  ///< a write that takes every writer's part to its next state begins
  ack_everyone,    ///< it was acknowledged
  sync_begin,      ///< Store::sync is called
  sync_end,        ///< it returned
  closed,          ///< Store::close returned
  kept,            ///< an earlier recording promises that state `number` is not lost
  end,             ///< the process ends here, with nothing done that is not in the log
};

/// Followed by `data_bytes` bytes.
struct Head {
  Event event;
  std::uint32_t file;
  std::uint64_t at;
  std::uint64_t count;
  std::uint64_t data_bytes;
};

}  // namespace hyper_lmdb::power
