// What differs between versions of LMDB: the only place that asks which one it is.
#pragma once

#include <lmdb.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace hyper_lmdb {

// 0.9.90 is what the line of LMDB calls itself that became 1.0.
#define HYPER_LMDB_1_0 MDB_VERINT(0, 9, 90)

/// Whether a new file may have pages of a size to choose: from LMDB 1.0 on.
inline constexpr bool kPageSizeToChoose = MDB_VERSION_FULL >= HYPER_LMDB_1_0;

/// For an environment that is not open yet; 0 leaves the size to LMDB. Returns an LMDB code.
inline int set_page_size([[maybe_unused]] MDB_env* env, std::uint64_t bytes) noexcept {
  if (bytes == 0) return 0;
#if MDB_VERSION_FULL >= HYPER_LMDB_1_0
  return mdb_env_set_pagesize(env, static_cast<int>(bytes));
#else
  return ENOTSUP;
#endif
}

/// No store has longer keys. With 1.0 it is what journal and write buffers have room to say; with
/// 0.9 it is what every build of it takes, so that a store made here can be used elsewhere.
inline constexpr std::size_t kMostKeyBytes = kPageSizeToChoose ? 65'535 : 511;

/// The longest key of an open environment, which depends on its pages from 1.0 on.
inline std::size_t max_key_bytes(MDB_env* env) noexcept {
  return std::min(static_cast<std::size_t>(mdb_env_get_maxkeysize(env)), kMostKeyBytes);
}

/// The version of the file format that the LMDB in use reads and writes; it takes no other.
inline std::uint32_t lmdb_file_version() noexcept {
  int major = 0, minor = 0, patch = 0;
  (void)mdb_version(&major, &minor, &patch);
  return MDB_VERINT(major, minor, patch) >= HYPER_LMDB_1_0 ? 2 : 1;
}

#undef HYPER_LMDB_1_0

}  // namespace hyper_lmdb
