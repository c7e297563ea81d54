// What a store keeps about itself, and under which key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// Refused in the calls of users.
inline constexpr std::string_view kReservedKey{"\0hyper_lmdb", 11};

inline constexpr std::size_t kStoreIdDigits = 32;

/// Records that are more than a value.
struct RecordCounts {
  std::uint64_t links = 0;
  std::uint64_t marks = 0;            ///< of groups
  std::uint64_t link_generation = 0;  ///< grows with each transaction that changes a link
};

struct Identity {
  std::string store_id;  ///< kStoreIdDigits hexadecimal digits
  RecordCounts counts = {};
  std::uint64_t applied_seq = 0;  ///< the journal's last number that is in the tree
  /// Above applied_seq while a part of the journal up to here may be in the tree.
  std::uint64_t applying_seq = 0;
};
std::string encode_identity(const Identity& identity);
/// Errors: unknown_format, version_mismatch.
Result<Identity> decode_identity(std::string_view bytes);

}  // namespace hyper_lmdb
