#include "damage.h"

#include "format/journal_record.h"
#include "lmdb/dirty_mark.h"
#include "os/little_endian.h"

namespace hyper_lmdb::power {

namespace {

constexpr std::string_view kClean = "clean";

/// Writes a text over the marks that are not `clean`.
void overwrite_mark(Image* image, std::string_view text) {
  for (ImageFile& file : *image) {
    const std::string mark = file.name == kMarkFile ? file.content.read(0, 64) : "";
    if (mark.empty() || mark.starts_with(kClean)) continue;
    file.content.write(0, text.data(), text.size());
  }
}

void forge(Content* segment) {
  const auto header = journal::decode_header(segment->read(0, journal::kPageBytes));
  if (!header) return;
  const auto first_bytes = [&](std::uint64_t at) {
    const std::string bytes = segment->read(at, 8);
    return bytes.size() == 8 ? load_little_endian(bytes.data()) : 0;
  };
  for (std::uint64_t at = journal::kPageBytes; at + journal::kHeadBytes < segment->size();) {
    if (first_bytes(at) == 0) at = journal::round_up_to_page(at);
    const auto payload_bytes = static_cast<std::uint32_t>(first_bytes(at));
    const std::string record = segment->read(at, journal::kHeadBytes + payload_bytes);
    if (payload_bytes == 0 || record.size() != journal::kHeadBytes + payload_bytes) return;
    const auto head = journal::make_head(header.value().salt, payload_bytes,
                                         load_little_endian(record.data() + 8),
                                         load_little_endian(record.data() + 16));
    const std::string_view payload = std::string_view(record).substr(journal::kHeadBytes);
    char out[journal::kHeadBytes];
    journal::encode_head(head, journal::checksum_of(head, payload), out);
    segment->write(at, out, sizeof out);
    at += journal::record_bytes(payload_bytes);
  }
}

}  // namespace

void boot_again(Image* image) {
  overwrite_mark(image, "00000000-0000-0000-0000-000000000000");
}

void pretend_clean(Image* image) {
  overwrite_mark(image, std::string(kClean) + std::string(58, ' ') + '\n');
}

void forge_checksums(Image* image) {
  for (ImageFile& file : *image) {
    if (journal::generation_of(file.name)) forge(&file.content);
  }
}

}  // namespace hyper_lmdb::power
