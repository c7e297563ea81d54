// How the journal's bytes stand in its files: names, header, records.
//
// A segment is one file, `journal-<generation as 16 hex digits>`. Its first page is the header:
//   magic (8), version, store id (32 hex digits), generation, first sequence number (0 where the
//   segment was made before it was known), highest sequence number flushed when the segment was
//   made, salt, checksum; zeros to the page's end.
// Records follow, each at a multiple of 8 bytes:
//   payload length (u32), head check (u32), sequence number, highest sequence number flushed when
//   it was written, checksum, payload; zeros to a multiple of 8.
// The checksum covers all that is before it and the payload, seeded by the salt; the head check is
// a part of it that can be had without the payload, so that no damaged length is ever followed.
// Eight zero bytes in place of a record mean: go on at the next page, and if there is no record
// there either, the segment ends. Numbers are little endian.
//
// Thread-safety: all functions may be called from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

struct SegmentId {
  std::string store_id;  ///< 32 hex digits
  std::uint64_t generation = 0;
  std::uint64_t first_seq = 0;    ///< of its first record; 0 where only that record tells
  std::uint64_t flushed_seq = 0;  ///< highest number known to be durable when it is made
};

namespace journal {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kHeadBytes = 32;  // of a record, before its payload
inline constexpr std::uint64_t kStepBytes = 8;   // records begin at multiples of it
inline constexpr std::string_view kNamePrefix = "journal-";

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t step) noexcept {
  return (bytes + step - 1) / step * step;
}
constexpr std::uint64_t round_up_to_page(std::uint64_t bytes) noexcept {
  return round_up(bytes, kPageBytes);
}
constexpr std::uint64_t round_down_to_page(std::uint64_t bytes) noexcept {
  return bytes / kPageBytes * kPageBytes;
}
/// What a record takes in the file.
constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) noexcept {
  return kHeadBytes + round_up(payload_bytes, kStepBytes);
}

std::string segment_name(std::uint64_t generation);
/// Nothing where it is not the name of a segment.
std::optional<std::uint64_t> generation_of(std::string_view name) noexcept;

struct Header {
  SegmentId id;
  std::uint64_t salt = 0;
};

/// One page.
std::string encode_header(const Header& header);
/// Errors: unknown_format where it is no whole header, version_mismatch.
Result<Header> decode_header(std::string_view page);

struct RecordHead {
  std::uint32_t payload_bytes = 0;
  std::uint64_t seq = 0;
  std::uint64_t flushed_seq = 0;
  std::uint64_t seed = 0;      ///< of the payload's checksum; follows from the salt and the above
  std::uint64_t checksum = 0;  ///< as found; only `decode_head` sets it
};

RecordHead make_head(std::uint64_t salt, std::uint32_t payload_bytes, std::uint64_t seq,
                     std::uint64_t flushed_seq) noexcept;
std::uint64_t checksum_of(const RecordHead& head, std::string_view payload) noexcept;
/// Writes kHeadBytes.
void encode_head(const RecordHead& head, std::uint64_t checksum, char* out) noexcept;
/// Nothing where the kHeadBytes at `bytes` are not the head of a record of this salt.
std::optional<RecordHead> decode_head(std::uint64_t salt, const char* bytes) noexcept;

}  // namespace journal

}  // namespace hyper_lmdb
