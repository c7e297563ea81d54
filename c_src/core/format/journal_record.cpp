#define XXH_INLINE_ALL
#include "format/journal_record.h"

#include <xxhash.h>

#include "os/little_endian.h"

namespace hyper_lmdb::journal {

namespace {

constexpr std::string_view kMagic = "HLMJRNL\n";
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kStoreIdBytes = 32;
constexpr std::size_t kNumberDigits = 16;
constexpr std::size_t kStoreIdAt = kMagic.size() + 8;
constexpr std::size_t kNumbersAt = kStoreIdAt + kStoreIdBytes;
constexpr std::size_t kChecksumAt = kNumbersAt + 4 * 8;

std::uint64_t seed_of(std::uint64_t salt, const RecordHead& head) noexcept {
  char bytes[24];
  store_little_endian(head.payload_bytes, bytes);
  store_little_endian(head.seq, bytes + 8);
  store_little_endian(head.flushed_seq, bytes + 16);
  return XXH3_64bits_withSeed(bytes, sizeof bytes, salt);
}

/// The first eight bytes of a record. Never zero, as the length is not.
std::uint64_t length_and_check(const RecordHead& head) noexcept {
  return head.payload_bytes | (head.seed >> 32) << 32;
}

}  // namespace

std::string segment_name(std::uint64_t generation) {
  std::string name(kNamePrefix);
  for (int shift = 60; shift >= 0; shift -= 4)
    name += "0123456789abcdef"[(generation >> shift) & 15];
  return name;
}

std::optional<std::uint64_t> generation_of(std::string_view name) noexcept {
  if (!name.starts_with(kNamePrefix) || name.size() != kNamePrefix.size() + kNumberDigits) {
    return std::nullopt;
  }
  std::uint64_t generation = 0;
  for (const char digit : name.substr(kNamePrefix.size())) {
    const std::size_t value = std::string_view("0123456789abcdef").find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    generation = generation << 4 | value;
  }
  return generation;
}

std::string encode_header(const Header& header) {
  std::string page(kMagic);
  append_little_endian(&page, kVersion);
  page += header.id.store_id;
  page.resize(kNumbersAt, ' ');
  append_little_endian(&page, header.id.generation);
  append_little_endian(&page, header.id.first_seq);
  append_little_endian(&page, header.id.flushed_seq);
  append_little_endian(&page, header.salt);
  append_little_endian(&page, XXH3_64bits(page.data(), page.size()));
  page.resize(kPageBytes, '\0');
  return page;
}

Result<Header> decode_header(std::string_view page) {
  const Error none{.code = Code::unknown_format, .operation = "read journal header"};
  if (page.size() < kPageBytes || !page.starts_with(kMagic)) return none;
  if (XXH3_64bits(page.data(), kChecksumAt) != load_little_endian(&page[kChecksumAt])) return none;
  if (load_little_endian(&page[kMagic.size()]) != kVersion) {
    return Error{.code = Code::version_mismatch, .operation = "read journal header"};
  }
  return Header{.id = {.store_id = std::string(page.substr(kStoreIdAt, kStoreIdBytes)),
                       .generation = load_little_endian(&page[kNumbersAt]),
                       .first_seq = load_little_endian(&page[kNumbersAt + 8]),
                       .flushed_seq = load_little_endian(&page[kNumbersAt + 16])},
                .salt = load_little_endian(&page[kNumbersAt + 24])};
}

RecordHead make_head(std::uint64_t salt, std::uint32_t payload_bytes, std::uint64_t seq,
                     std::uint64_t flushed_seq) noexcept {
  RecordHead head{.payload_bytes = payload_bytes, .seq = seq, .flushed_seq = flushed_seq};
  head.seed = seed_of(salt, head);
  return head;
}

std::uint64_t checksum_of(const RecordHead& head, std::string_view payload) noexcept {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), head.seed);
}

void encode_head(const RecordHead& head, std::uint64_t checksum, char* out) noexcept {
  store_little_endian(length_and_check(head), out);
  store_little_endian(head.seq, out + 8);
  store_little_endian(head.flushed_seq, out + 16);
  store_little_endian(checksum, out + 24);
}

std::optional<RecordHead> decode_head(std::uint64_t salt, const char* bytes) noexcept {
  const std::uint64_t first = load_little_endian(bytes);
  RecordHead head = make_head(salt, static_cast<std::uint32_t>(first),
                              load_little_endian(bytes + 8), load_little_endian(bytes + 16));
  if (head.payload_bytes == 0 || first != length_and_check(head)) return std::nullopt;
  head.checksum = load_little_endian(bytes + 24);
  return head;
}

}  // namespace hyper_lmdb::journal
