// The data file before LMDB sees it: creation that a power cut cannot leave half done, and the
// checks that keep LMDB from mapping a file it would crash on.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "format/identity.h"
#include "hyper_lmdb/result.h"
#include "os/directory.h"

namespace hyper_lmdb {

inline constexpr std::string_view kDataFile = "data.mdb";
inline constexpr std::string_view kLockFile = "lock.mdb";
inline constexpr std::string_view kTemporaryPrefix = ".new-";

/// Errors: as `decode_identity`, and as LMDB.
Result<Identity> read_identity(MDB_txn* txn, MDB_dbi dbi);
/// Errors: as LMDB.
Result<void> write_identity(MDB_txn* txn, MDB_dbi dbi, const Identity& identity);

/// Digits that nobody else has. Errors: as getentropy(3).
Result<std::string> random_hex();

/// Makes an empty store under a temporary name, flushes it, and renames it to `data.mdb`, replacing
/// what is there. `page_bytes` 0 leaves the size of its pages to LMDB; `mapped_writes` says that it
/// will be written through a map. Errors: as the system calls.
Result<void> create_data_file(const Directory& directory, std::uint64_t page_bytes = 0,
                              bool mapped_writes = false);

/// Opens the store's file, which is open as `fd`, to read it beside an environment that does not
/// write any more. Errors: as open_in.
Result<MDB_env*> open_for_reading(const Directory& directory, int fd);

/// Removes what an interrupted creation left, as far as it can be; nobody else may be creating.
void remove_unfinished_files(const Directory& directory) noexcept;

/// Who the store in the file is, read without changing a byte; nobody else may have it open for
/// writing. Errors: unknown_format where it is not one of ours, version_mismatch, and as LMDB.
Result<Identity> identify_data_file(const Directory& directory, std::string_view name, int fd);

struct CloseEnv {
  void operator()(MDB_env* env) const noexcept { mdb_env_close(env); }
};
using MdbEnvPtr = std::unique_ptr<MDB_env, CloseEnv>;

/// As open_in, without a lock file: nobody else may have it open through LMDB. With
/// `map_bytes` 0 the map is as the file says, with `page_bytes` 0 LMDB chooses the size of pages.
/// Errors: as open_in.
Result<MdbEnvPtr> open_alone(const Directory& directory, std::string_view name, int fd,
                             unsigned flags, std::uint64_t map_bytes = 0,
                             std::uint64_t page_bytes = 0);

/// Opens a file of the directory with LMDB, and no other: the one that is open as `fd`. Its name is
/// `data.mdb` unless `flags` have MDB_NOSUBDIR. Errors: as LMDB; already_open; no_such_directory
/// where the name, or the path that LMDB needs, leads to another file by now.
Result<void> open_in(const Directory& directory, std::string_view name, int fd, MDB_env* env,
                     unsigned flags);

/// What the meta pages say of a file.
struct FileShape {
  std::uint64_t page_bytes = 0;
  std::uint64_t map_bytes = 0;   ///< the map it was last written with
  std::uint64_t used_bytes = 0;  ///< up to the last page in use
};

/// Looks at the two meta pages only.
/// Errors: not_a_database, version_mismatch (a file that the LMDB in use does not read), corrupted
/// (one shorter than its tree).
Result<FileShape> inspect_data_file(int fd);

}  // namespace hyper_lmdb
