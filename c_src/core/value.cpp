#define XXH_INLINE_ALL
#include "value.h"

#include <xxhash.h>

#include <cstring>

#include "little_endian.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint8_t kKindMask = 0x0f;
constexpr std::uint8_t kParityBit = 0x20;
constexpr std::uint8_t kChecksumBit = 0x40;
constexpr std::uint8_t kGroupBit = 0x80;
constexpr std::size_t kChecksumBytes = 8;

std::uint64_t checksum_of(std::string_view key, std::uint8_t tag,
                          std::string_view payload) noexcept {
  const std::uint64_t seed = XXH3_64bits_withSeed(key.data(), key.size(), tag);
  return XXH3_64bits_withSeed(payload.data(), payload.size(), seed);
}

}  // namespace

std::size_t encoded_size(const Record& record) noexcept {
  return 1 + (record.checksum ? kChecksumBytes : 0) + record.payload.size();
}

void encode(std::string_view key, const Record& record, char* out) noexcept {
  auto tag = static_cast<std::uint8_t>(static_cast<std::uint8_t>(record.kind) |
                                       (record.checksum ? kChecksumBit : 0) |
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
  record.kind = static_cast<Kind>(tag & kKindMask);
  record.group = (tag & kGroupBit) != 0;
  record.checksum = (tag & kChecksumBit) != 0;
  const std::size_t header = 1 + (record.checksum ? kChecksumBytes : 0);
  if (__builtin_parity(tag) != 0 || bytes.size() < header) {
    return Error{.code = Code::corrupted, .operation = "decode"};
  }
  constexpr std::uint8_t kKnownBits = kKindMask | kParityBit | kChecksumBit | kGroupBit;
  if ((tag & ~kKnownBits) != 0 || record.kind > Kind::link) {
    return Error{.code = Code::unknown_format, .operation = "decode"};
  }
  record.payload = bytes.substr(header);
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
