// What differs between versions of LMDB: the only place that asks which one it is compiled against.
#pragma once

#include <lmdb.h>

#include <cerrno>
#include <cstdint>

namespace hyper_lmdb {

/// Whether a new file may have pages of a size to choose: from LMDB 1.0 on.
inline constexpr bool kPageSizeToChoose = MDB_VERSION_MAJOR >= 1;

/// For an environment that is not open yet; 0 leaves the size to LMDB. Returns an LMDB code.
inline int set_page_size([[maybe_unused]] MDB_env* env, std::uint64_t bytes) noexcept {
  if (bytes == 0) return 0;
#if MDB_VERSION_MAJOR >= 1
  return mdb_env_set_pagesize(env, static_cast<int>(bytes));
#else
  return ENOTSUP;
#endif
}

}  // namespace hyper_lmdb
