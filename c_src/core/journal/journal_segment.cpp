#include "journal/journal_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "os/errors.h"
#include "os/file_blocks.h"
#include "os/pages.h"

namespace hyper_lmdb {

namespace {

using namespace journal;

constexpr std::uint64_t kFirstStepBytes = 1 << 20;
constexpr std::uint64_t kMostStepBytes = 4 << 20;
// Made ready beyond the end: as much again as there is, within these.
constexpr std::uint64_t kLeastAheadBytes = 512 << 10;
constexpr std::uint64_t kMostAheadBytes = 4 << 20;

/// Puts a whole record at `out`, its head last.
void compose(const RecordHead& head, std::span<const std::string_view> parts, char* out) noexcept {
  char* const payload = out + kHeadBytes;
  char* at = payload;
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  std::memset(at, 0, round_up(head.payload_bytes, kStepBytes) - head.payload_bytes);
  encode_head(head, checksum_of(head, {payload, head.payload_bytes}), out);
}

}  // namespace

Result<std::unique_ptr<JournalSegment>> JournalSegment::create(const Directory& directory,
                                                               const SegmentId& id,
                                                               std::uint64_t most_bytes,
                                                               Append preferred) {
  most_bytes = std::max(round_up_to_page(most_bytes), 2 * kPageBytes);
  auto file = directory.create_file(segment_name(id.generation));
  if (!file) {
    Error error = file.error();
    // Somebody else's: this store has had no segment of that number yet.
    if (error.code == Code::exists) error.code = Code::journal_mismatch;
    return error;
  }
  std::unique_ptr<JournalSegment> segment(
      new JournalSegment(file.value().take_descriptor(), id.first_seq, most_bytes));
  if (auto done = segment->write_first_step(id); !done) return done.error();
  if (auto done = directory.sync(); !done) return done.error();
  file.value().keep();
  if (preferred == Append::mapped) segment->map_where_blocks_are_kept();
  return segment;
}

JournalSegment::~JournalSegment() {
  if (map_ != nullptr) ::munmap(map_, most_bytes_);
}

Result<void> JournalSegment::write_first_step(const SegmentId& id) {
  if (::getentropy(&salt_, sizeof salt_) != 0) return from_errno(errno, "getentropy");
  if (auto done = extend(std::min(kFirstStepBytes, most_bytes_), Fill::zeros); !done) return done;
  const std::string header = encode_header({.id = id, .salt = salt_});
  if (auto done = write_at(file_.get(), header.data(), header.size(), 0); !done) return done;
  if (::fsync(file_.get()) != 0) return from_errno(errno, "fsync journal");
  return {};
}

void JournalSegment::map_where_blocks_are_kept() noexcept {
  if (!keeps_blocks(file_.get())) return;
  void* const map =
      ::mmap(nullptr, most_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (map != MAP_FAILED) map_ = static_cast<char*>(map);
}

std::uint64_t JournalSegment::bytes() const noexcept {
  return end_.load(std::memory_order_relaxed) - kPageBytes;
}

/// Where the next record may begin at the latest, whatever a flush does meanwhile.
std::uint64_t JournalSegment::latest_place() const noexcept {
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  return map_ != nullptr ? round_up_to_page(end) : end;
}

bool JournalSegment::has_room(std::uint64_t payload_bytes) const noexcept {
  return payload_bytes <= std::min<std::uint64_t>(most_bytes_, UINT32_MAX) &&
         latest_place() + record_bytes(payload_bytes) <= most_bytes_;
}

std::uint64_t JournalSegment::ahead_bytes() const noexcept {
  return std::clamp(end_.load(std::memory_order_relaxed), kLeastAheadBytes, kMostAheadBytes);
}

std::uint64_t JournalSegment::ready_bytes() const noexcept {
  return (map_ != nullptr ? touched_ : allocated_).load(std::memory_order_acquire);
}

bool JournalSegment::running_low() const noexcept {
  return std::min(most_bytes_, latest_place() + ahead_bytes() / 2) > ready_bytes();
}

bool JournalSegment::room_ready(std::uint64_t payload_bytes) const noexcept {
  return has_room(payload_bytes) && latest_place() + record_bytes(payload_bytes) <= ready_bytes();
}

Result<void> JournalSegment::append(std::uint64_t seq, std::uint64_t flushed_seq,
                                    std::span<const std::string_view> payload_parts) {
  if (failed()) return Error{.code = Code::env_failed, .operation = "append to journal"};
  std::uint64_t payload_bytes = 0;
  for (const std::string_view part : payload_parts) payload_bytes += part.size();
  if (payload_bytes == 0 || seq != next_seq_ || flushed_seq >= seq || !has_room(payload_bytes)) {
    return Error{.code = Code::internal, .operation = "append to journal"};
  }
  if (auto done = extend(latest_place() + record_bytes(payload_bytes), Fill::none); !done) {
    return done;
  }
  const std::lock_guard lock(tail_mutex_);
  if (auto done = put(seq, flushed_seq, payload_parts, payload_bytes); !done) return done;
  ++next_seq_;
  end_.store(end_.load(std::memory_order_relaxed) + record_bytes(payload_bytes),
             std::memory_order_relaxed);
  return {};
}

Result<void> JournalSegment::put(std::uint64_t seq, std::uint64_t flushed_seq,
                                 std::span<const std::string_view> parts,
                                 std::uint64_t payload_bytes) {
  const std::uint64_t place = end_.load(std::memory_order_relaxed);
  const RecordHead head =
      make_head(salt_, static_cast<std::uint32_t>(payload_bytes), seq, flushed_seq);
  if (map_ != nullptr) {
    compose(head, parts, map_ + place);
    return {};
  }
  const std::uint64_t count = record_bytes(payload_bytes);
  std::array<char, 4096> few;
  std::unique_ptr<char[]> many;
  if (count > few.size()) {
    many.reset(new (std::nothrow) char[count]);
    if (!many) return from_errno(ENOMEM, "append to journal");
  }
  char* const record = many ? many.get() : few.data();
  compose(head, parts, record);
  return write_at(file_.get(), record, count, place);
}

Result<void> JournalSegment::extend(std::uint64_t bytes, Fill fill) noexcept {
  if (bytes <= allocated_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(room_mutex_);
  const std::uint64_t have = allocated_.load(std::memory_order_relaxed);
  if (bytes <= have) return {};
  const FileSizeSignalBlock block;
  const std::uint64_t least = round_up_to_page(bytes);
  const std::uint64_t step = std::clamp(have, kFirstStepBytes, kMostStepBytes);
  std::uint64_t most = std::min(most_bytes_, std::max(least, have + step));
  if (have == 0) most = least;
  for (;;) {
    auto done = allocate(file_.get(), have, most);
    if (done && fill == Fill::zeros) done = write_zeros(file_.get(), have, most);
    if (done) break;
    // What was found before the disk was full must not stay taken.
    if (::ftruncate(file_.get(), static_cast<off_t>(have)) != 0) return done;
    if (most == least) return done;
    most = least;
  }
  if (fill == Fill::zeros && write_out(file_.get(), have, most) != 0) {
    return final_failure(errno, "write journal");
  }
  allocated_.store(most, std::memory_order_release);
  return {};
}

Result<void> JournalSegment::prepare_ahead() noexcept {
  if (failed()) return Error{.code = Code::env_failed, .operation = "prepare journal"};
  const std::uint64_t wanted =
      std::min(most_bytes_, round_up_to_page(latest_place() + ahead_bytes()));
  // A background flush may take its time; one that a caller waits for is spared a commit.
  const auto extended = extend(wanted, map_ != nullptr ? Fill::none : Fill::zeros);
  if (map_ == nullptr) return extended;
  // What there is is touched even where there is no more.
  const std::uint64_t to =
      round_down_to_page(std::min(wanted, allocated_.load(std::memory_order_acquire)));
  const std::uint64_t from = std::max(touched_.load(std::memory_order_relaxed),
                                      round_down_to_page(end_.load(std::memory_order_relaxed)));
  if (from < to) {
    if (auto done = touch(from, to); !done) return done;
  }
  return extended;
}

Result<void> JournalSegment::touch(std::uint64_t from, std::uint64_t to) noexcept {
#ifdef __linux__
  if (const int rc = touch_pages(map_ + from, to - from); rc != 0) {
    return from_errno(rc, "touch journal");
  }
#endif
  touched_.store(to, std::memory_order_release);
  return {};
}

Result<void> JournalSegment::flush() {
  if (failed()) return Error{.code = Code::env_failed, .operation = "flush journal"};
  std::uint64_t end = 0;
  {
    const std::lock_guard lock(tail_mutex_);
    // In a map the next record starts on a page of its own: whoever stores into one that is being
    // written to disk may have to wait for the disk.
    end = latest_place();
    end_.store(end, std::memory_order_relaxed);
  }
  if (end == flushed_) return {};
  if (map_ != nullptr) forget(flushed_, end);
  const int rc =
      map_ != nullptr ? ::msync(map_ + flushed_, end - flushed_, MS_SYNC) : sync_data(file_.get());
  if (rc != 0) return final_failure(errno, "flush journal");
  flushed_ = end;
  return {};
}

/// Takes pages that are never stored into again out of the map, changes and all: the page cache has
/// them. A flush protects each page that it finds in a map against stores, one by one, and each
/// time interrupts every core on which a thread of this process runs: here once for all of them.
void JournalSegment::forget(std::uint64_t from, std::uint64_t to) noexcept {
#ifdef __linux__
  if (to - from > kPageBytes) (void)::madvise(map_ + from, to - from, MADV_DONTNEED);
#else
  (void)from;
  (void)to;
#endif
}

void JournalSegment::leave_cache(FunctionRef<bool()> pause) noexcept {
#ifdef POSIX_FADV_DONTNEED
  // A wish: what it does not do, the removal of the file does. Beyond what was flushed there may be
  // pages that it would write out first.
  constexpr std::uint64_t kStep = 1 << 20;
  for (std::uint64_t at = 0; at < flushed_ && pause(); at += kStep) {
    const std::uint64_t count = std::min(kStep, flushed_ - at);
    (void)::posix_fadvise(file_.get(), static_cast<off_t>(at), static_cast<off_t>(count),
                          POSIX_FADV_DONTNEED);
  }
#else
  (void)pause;
#endif
}

/// After a failed flush nobody knows what is on disk, and the system forgets that it failed.
Error JournalSegment::final_failure(int code, const char* operation) noexcept {
  failed_.store(true, std::memory_order_relaxed);
  return {.code = Code::io_error, .native = code, .operation = operation};
}

}  // namespace hyper_lmdb
