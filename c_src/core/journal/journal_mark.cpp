#define XXH_INLINE_ALL
#include "journal/journal_mark.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>

#include "format/mark_file.h"
#include "os/errors.h"
#include "os/file_blocks.h"
#include "os/little_endian.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kPlace = kMarkBytes;  // in the file
constexpr std::string_view kMagic = "HLMJMRK\n";
constexpr std::size_t kStoreIdBytes = 32;
constexpr std::size_t kNumbersAt = kMagic.size() + kStoreIdBytes;
constexpr std::size_t kChecksumAt = kNumbersAt + 2 * 8;
constexpr std::size_t kBytes = kChecksumAt + 8;

}  // namespace

Result<JournalMark::Segments> JournalMark::read() {
  segments_ = {};
  auto file = directory_->read_file(kMarkFile);
  if (!file) return file.error();
  if (!file.value() || file.value()->size() < kPlace + kBytes) return segments_;
  const std::string_view bytes = std::string_view(*file.value()).substr(kPlace, kBytes);
  if (!bytes.starts_with(kMagic) || bytes.substr(kMagic.size(), kStoreIdBytes) != store_id_ ||
      XXH3_64bits(bytes.data(), kChecksumAt) != load_little_endian(&bytes[kChecksumAt])) {
    return segments_;
  }
  // A killed process may have left it in the page cache alone.
  durable_ = false;
  segments_ = {.first = load_little_endian(&bytes[kNumbersAt]),
               .last = load_little_endian(&bytes[kNumbersAt + 8])};
  return segments_;
}

Result<void> JournalMark::add(std::uint64_t generation) {
  return say({.first = segments_.none() ? generation : segments_.first, .last = generation});
}

Result<void> JournalMark::take_back(std::uint64_t generation) {
  return say({.first = segments_.first, .last = std::min(segments_.last, generation - 1)});
}

Result<void> JournalMark::drop_through(std::uint64_t generation) {
  if (segments_.none() && durable_) return {};
  return say({.first = std::max(segments_.first, generation + 1), .last = segments_.last});
}

Result<void> JournalMark::say(Segments segments) {
  if (segments == segments_ && durable_) return {};
  if (auto opened = open(); !opened) return opened;
  std::string bytes(kMagic);
  bytes += store_id_;
  bytes.resize(kNumbersAt, ' ');
  append_little_endian(&bytes, segments.first);
  append_little_endian(&bytes, segments.last);
  append_little_endian(&bytes, XXH3_64bits(bytes.data(), bytes.size()));
  durable_ = false;  // a write that fails may have taken effect
  if (auto done = write_at(file_.get(), bytes.data(), bytes.size(), kPlace); !done) return done;
  segments_ = segments;
  durable_ = sync_data(file_.get()) == 0;
  return durable_ ? Result<void>() : from_errno(errno, "flush journal mark");
}

Result<void> JournalMark::open() {
  if (file_) return {};
  if (!directory_->exists(kMarkFile)) {
    const std::string line = mark_line(kMarkClean);
    if (auto made = directory_->overwrite_file(kMarkFile, line); !made) return made;
  }
  auto file = directory_->open_file(kMarkFile, Directory::For::writing);
  if (!file) return file.error();
  file_ = std::move(file).value();
  return {};
}

}  // namespace hyper_lmdb
