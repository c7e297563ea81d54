#define XXH_INLINE_ALL
#include "format/record.h"

#include <xxhash.h>

#include <cstring>

#include "os/little_endian.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint8_t kKindMask = 0x0f;
constexpr std::uint8_t kParityBit = 0x20;
constexpr std::uint8_t kChecksumBit = 0x40;
constexpr std::uint8_t kGroupBit = 0x80;
constexpr std::size_t kChecksumBytes = 8;
constexpr std::uint8_t kLz4Value = 3;
constexpr std::uint8_t kZstdValue = 4;
constexpr std::uint64_t kMostValueBytes = (1ULL << 30) - 1;

std::uint8_t what_is(const Record& record) noexcept {
  if (record.codec == Compression::lz4) return kLz4Value;
  if (record.codec == Compression::zstd) return kZstdValue;
  return static_cast<std::uint8_t>(record.kind);
}

/// False where the format has no such thing.
bool set_what(std::uint8_t what, Record* record) noexcept {
  if (what > kZstdValue) return false;
  record->kind = what >= kLz4Value ? Kind::value : static_cast<Kind>(what);
  if (what == kLz4Value) record->codec = Compression::lz4;
  if (what == kZstdValue) record->codec = Compression::zstd;
  return true;
}

bool has_possible_size(const Record& record) noexcept {
  if (record.codec == Compression::none) return true;
  if (record.payload.size() <= kRawSizeBytes) return false;
  const std::uint64_t size = value_size(record);
  return size > record.payload.size() && size <= kMostValueBytes;
}

std::uint64_t checksum_of(std::string_view key, std::uint8_t tag,
                          std::string_view payload) noexcept {
  const std::uint64_t seed = XXH3_64bits_withSeed(key.data(), key.size(), tag);
  return XXH3_64bits_withSeed(payload.data(), payload.size(), seed);
}

}  // namespace

std::uint64_t value_size(const Record& record) noexcept {
  if (record.codec == Compression::none) return record.payload.size();
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < kRawSizeBytes; ++i) {
    size |= std::uint64_t{static_cast<std::uint8_t>(record.payload[i])} << (8 * i);
  }
  return size;
}

std::size_t encoded_size(const Record& record) noexcept {
  return 1 + (record.checksum ? kChecksumBytes : 0) + record.payload.size();
}

void encode(std::string_view key, const Record& record, char* out) noexcept {
  auto tag = static_cast<std::uint8_t>(what_is(record) | (record.checksum ? kChecksumBit : 0) |
                                       (record.group ? kGroupBit : 0));
  if (__builtin_parity(tag) != 0) tag |= kParityBit;
  *out++ = static_cast<char>(tag);
  if (record.checksum) {
    store_little_endian(checksum_of(key, tag, record.payload), out);
    out += kChecksumBytes;
  }
  if (!record.payload.empty()) std::memcpy(out, record.payload.data(), record.payload.size());
}

Result<Record> decode(std::string_view bytes) noexcept {
  if (bytes.empty()) return Error{.code = Code::corrupted, .operation = "decode"};
  const auto tag = static_cast<std::uint8_t>(bytes.front());
  Record record;
  record.group = (tag & kGroupBit) != 0;
  record.checksum = (tag & kChecksumBit) != 0;
  const std::size_t header = 1 + (record.checksum ? kChecksumBytes : 0);
  if (__builtin_parity(tag) != 0 || bytes.size() < header) {
    return Error{.code = Code::corrupted, .operation = "decode"};
  }
  constexpr std::uint8_t kKnownBits = kKindMask | kParityBit | kChecksumBit | kGroupBit;
  if ((tag & ~kKnownBits) != 0 || !set_what(tag & kKindMask, &record)) {
    return Error{.code = Code::unknown_format, .operation = "decode"};
  }
  record.payload = bytes.substr(header);
  if (!has_possible_size(record)) return Error{.code = Code::corrupted, .operation = "decode"};
  return record;
}

Result<void> verify(std::string_view key, std::string_view bytes) noexcept {
  auto record = decode(bytes);
  if (!record) return record.error();
  if (!record.value().checksum) return {};
  const auto tag = static_cast<std::uint8_t>(bytes.front());
  if (checksum_of(key, tag, record.value().payload) == load_little_endian(bytes.data() + 1))
    return {};
  return Error{.code = Code::checksum_mismatch, .operation = "verify"};
}

}  // namespace hyper_lmdb
