// The record stored at a key: one tag byte, a checksum where it was asked for, then the payload.
//
// The tag tells what the payload is, so that no bytes a user writes can turn into something else:
//   bits 0-3  what: 0 nothing but a mark, 1 a value as it is, 2 a link, 3 a value compressed with
//             LZ4, 4 one compressed with Zstandard; others belong to later formats
//   bit 5     makes the number of ones even
//   bit 6     an 8-byte XXH3 checksum of key, tag and payload, as they are stored, follows the tag
//   bit 7     the key is marked as a group
// The payload of a compressed value: its size before, 4 bytes little endian, then the codec's
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

enum class Kind : std::uint8_t { none = 0, value = 1, link = 2 };

struct Record {
  Kind kind = Kind::none;
  bool group = false;
  bool checksum = false;
  std::string_view payload;
  Compression codec = Compression::none;  ///< of a value
};

inline constexpr std::size_t kRawSizeBytes = 4;  // in front of what a codec made

/// Bytes of a record's value as its writer gave it.
std::uint64_t value_size(const Record& record) noexcept;

/// Bytes that `encode` writes.
std::size_t encoded_size(const Record& record) noexcept;

/// Writes `encoded_size(record)` bytes to `out`.
void encode(std::string_view key, const Record& record, char* out) noexcept;

/// Reads the tag, and the size of a compressed value: it is larger than what is stored, and no
/// value may be larger than it can be. Does not look at the checksum. Errors: corrupted,
/// unknown_format.
Result<Record> decode(std::string_view bytes) noexcept;

/// Compares the checksum of stored bytes, where they carry one. Errors: checksum_mismatch.
Result<void> verify(std::string_view key, std::string_view bytes) noexcept;

/// Whether a key with this record holds something a reader of keys sees.
inline bool is_present(const Record& record) noexcept {
  return record.kind != Kind::none;
}

}  // namespace hyper_lmdb
