#include "journal/journal_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "os/errors.h"
#include "os/little_endian.h"

namespace hyper_lmdb {

namespace {

using namespace journal;

constexpr std::uint64_t kWindowBytes = 256 << 10;
constexpr std::uint64_t kMostReadings = 4;  // of a file's bytes

/// Where the head of a record may be that says that `seq` was flushed. Where there is none, the
/// first place too near the end to know.
std::size_t find_flushed(std::string_view bytes, std::uint64_t seq, std::uint64_t salt) noexcept {
  std::size_t at = 0;
  for (; at + kHeadBytes <= bytes.size(); at += kStepBytes) {
    // Any two numbers may be like that, and mostly are not; a head is checked, which takes longer.
    const std::uint64_t own = load_little_endian(bytes.data() + at + 8);
    const std::uint64_t flushed = load_little_endian(bytes.data() + at + 16);
    if (flushed >= seq && flushed < own && decode_head(salt, bytes.data() + at)) break;
  }
  return at;
}

}  // namespace

Result<JournalReader> JournalReader::open(const Directory& directory, const std::string& name) {
  auto file = directory.open_file(name, Directory::For::reading);
  if (!file) {
    Error error = file.error();
    if (error.code == Code::not_a_database) error.code = Code::journal_mismatch;
    return error;
  }
  JournalReader reader(std::move(file).value());
  struct stat found;
  if (::fstat(reader.file_.get(), &found) != 0) return from_errno(errno, "stat journal");
  reader.file_bytes_ = static_cast<std::uint64_t>(found.st_size);
  return reader;
}

/// The bytes there; fewer where the file ends before. Valid until the next call.
Result<std::string_view> JournalReader::bytes_at(std::uint64_t at, std::uint64_t count) {
  if (at >= file_bytes_) return std::string_view();
  count = std::min(count, file_bytes_ - at);
  if (at < window_at_ || at + count > window_at_ + window_.size()) {
    window_at_ = at;
    window_.resize(std::min(std::max(count, kWindowBytes), file_bytes_ - at));
    std::size_t have = 0;
    while (have < window_.size()) {
      const ssize_t read = ::pread(file_.get(), window_.data() + have, window_.size() - have,
                                   static_cast<off_t>(at + have));
      if (read < 0 && errno == EINTR) continue;
      if (read < 0) {
        const int code = errno;
        window_.clear();
        return from_errno(code, "read journal");
      }
      if (read == 0) {
        file_bytes_ = at + have;  // cut meanwhile
        window_.resize(have);
        count = std::min<std::uint64_t>(count, have);
      }
      have += static_cast<std::size_t>(read);
    }
  }
  return std::string_view(window_).substr(at - window_at_, count);
}

Result<Header> JournalReader::read_header() {
  auto page = bytes_at(0, kPageBytes);
  if (!page) return page.error();
  auto header = decode_header(page.value());
  if (header) salt_ = header.value().salt;
  return header;
}

Result<bool> JournalReader::is_bare() {
  for (std::uint64_t at = kPageBytes; at < file_bytes_; at += kPageBytes) {
    auto page = bytes_at(at, kPageBytes);
    if (!page) return page.error();
    if (page.value().find_first_not_of('\0') != std::string_view::npos) return false;
  }
  return true;
}

Result<std::optional<JournalReader::Record>> JournalReader::record_at(std::uint64_t at) {
  const std::optional<Record> none;
  auto bytes = bytes_at(at, kHeadBytes);
  if (!bytes) return bytes.error();
  if (bytes.value().size() < kHeadBytes) return none;
  const auto head = decode_head(salt_, bytes.value().data());
  if (!head || head->payload_bytes > file_bytes_ - at - kHeadBytes) return none;
  bytes = bytes_at(at + kHeadBytes, head->payload_bytes);
  if (!bytes) return bytes.error();
  payload_bytes_ += head->payload_bytes;
  const std::string_view payload = bytes.value();
  if (payload.size() != head->payload_bytes || checksum_of(*head, payload) != head->checksum) {
    return none;
  }
  return std::optional(
      Record{.seq = head->seq, .flushed_seq = head->flushed_seq, .payload = payload});
}

/// Whether a record's first eight bytes are zeros, or beyond the end of the file.
Result<bool> JournalReader::is_blank(std::uint64_t at) {
  auto bytes = bytes_at(at, kStepBytes);
  if (!bytes) return bytes.error();
  return bytes.value().find_first_not_of('\0') == std::string_view::npos;
}

Result<std::optional<std::uint64_t>> JournalReader::first_seq() {
  auto record = record_at(kPageBytes);
  if (!record) return record.error();
  if (!record.value()) return std::optional<std::uint64_t>();
  return std::optional(record.value()->seq);
}

Result<std::optional<JournalReader::Record>> JournalReader::next(std::uint64_t seq) {
  for (const std::uint64_t at : {at_, round_up_to_page(at_)}) {
    auto record = record_at(at);
    if (!record) return record;
    if (record.value() && record.value()->seq == seq) {
      at_ = at + record_bytes(record.value()->payload.size());
      return record;
    }
    auto blank = is_blank(at);
    if (!blank) return blank.error();
    torn_ = !blank.value();
    if (torn_) break;
  }
  return std::optional<Record>();
}

Result<bool> JournalReader::says_flushed(std::uint64_t seq) {
  for (std::uint64_t at = at_; at < file_bytes_;) {
    auto bytes = bytes_at(at, kWindowBytes);
    if (!bytes) return bytes.error();
    if (bytes.value().size() < kHeadBytes) break;
    const std::size_t found = find_flushed(bytes.value(), seq, salt_);
    at += found;
    if (found + kHeadBytes > bytes.value().size()) continue;  // on, with the bytes that follow
    auto record = record_at(at);
    if (!record) return record.error();
    if (record.value()) return true;
    // Records do not overlap: whoever makes heads that do must not decide how long this takes.
    if (payload_bytes_ > kMostReadings * file_bytes_) {
      return Error{.code = Code::corrupted, .operation = "read journal"};
    }
    at += kStepBytes;
  }
  return false;
}

}  // namespace hyper_lmdb
