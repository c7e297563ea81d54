// The only translation of LMDB's and the system's error numbers.
#pragma once

#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// The error for a non-zero return code of an LMDB call (its own codes, or an errno).
Error from_lmdb(int code, const char* operation) noexcept;

/// The error for an errno value.
Error from_errno(int code, const char* operation) noexcept;

/// The error for what ThreadApi::start returned.
Error from_thread_start(int code) noexcept;

/// Whether it says that the disk has no room, for anybody or for this user.
constexpr bool says_no_room(Code code) noexcept {
  return code == Code::disk_full || code == Code::quota_exceeded;
}

}  // namespace hyper_lmdb
