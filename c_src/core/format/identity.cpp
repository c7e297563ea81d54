#include "format/identity.h"

#include "os/little_endian.h"

namespace hyper_lmdb {

namespace {

constexpr std::string_view kMagic = "HLM";
constexpr char kFormatVersion = 1;
constexpr std::size_t kIdentityBytes = 3 + 1 + kStoreIdDigits + 5 * 8;

Error refused(Code code) noexcept {
  return {.code = code, .operation = "read identity"};
}

}  // namespace

std::string encode_identity(const Identity& identity) {
  std::string bytes = std::string(kMagic) + kFormatVersion + identity.store_id;
  append_little_endian(&bytes, identity.counts.links);
  append_little_endian(&bytes, identity.counts.marks);
  append_little_endian(&bytes, identity.counts.link_generation);
  append_little_endian(&bytes, identity.applied_seq);
  append_little_endian(&bytes, identity.applying_seq);
  return bytes;
}

Result<Identity> decode_identity(std::string_view bytes) {
  if (bytes.size() < kIdentityBytes || !bytes.starts_with(kMagic)) {
    return refused(Code::unknown_format);
  }
  if (bytes[kMagic.size()] != kFormatVersion) return refused(Code::version_mismatch);
  bytes.remove_prefix(kMagic.size() + 1);
  const char* const numbers = bytes.data() + kStoreIdDigits;
  return Identity{.store_id = std::string(bytes.substr(0, kStoreIdDigits)),
                  .counts = {.links = load_little_endian(numbers),
                             .marks = load_little_endian(numbers + 8),
                             .link_generation = load_little_endian(numbers + 16)},
                  .applied_seq = load_little_endian(numbers + 24),
                  .applying_seq = load_little_endian(numbers + 32)};
}

}  // namespace hyper_lmdb
