#include "journal/journal_replay.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "format/journal_record.h"
#include "journal/journal_reader.h"
#include "os/errors.h"

namespace hyper_lmdb {

namespace {

using namespace journal;

constexpr std::uint64_t kNoRecord = 0;  // a number that none has

Error invalid(Code code) noexcept {
  return {.code = code, .operation = "replay journal"};
}

class Replay {
 public:
  using OnRecord = FunctionRef<Result<void>(std::uint64_t, std::string_view)>;

  Replay(const Directory& directory, std::string_view store_id, std::uint64_t applied_seq,
         OnRecord on_record) noexcept
      : directory_(directory),
        store_id_(store_id),
        applied_seq_(applied_seq),
        on_record_(on_record) {
    done_.last_seq = applied_seq;
  }

  Result<Replayed> run(const std::vector<std::string>& names) {
    if (!names.empty()) done_.last_generation = *generation_of(names.back());
    for (const std::string& name : names) {
      auto segment = open(name, name == names.back());
      if (!segment) return segment.error();
      if (!segment.value()) break;
      if (auto read = take(*segment.value()); !read) return read.error();
    }
    return done_;
  }

 private:
  struct Segment {
    JournalReader reader;
    SegmentId id;
    std::optional<std::uint64_t> first_seq;  // nothing: nobody can tell
  };

  /// Nothing where it is what a crash left of a segment's creation.
  Result<std::optional<Segment>> open(const std::string& name, bool newest) {
    auto reader = JournalReader::open(directory_, name);
    if (!reader) return reader.error();
    auto header = reader.value().read_header();
    if (!header && header.error().code == Code::unknown_format) {
      auto bare = reader.value().is_bare();
      if (!bare) return bare.error();
      if (newest && bare.value()) return std::optional<Segment>();
      return invalid(Code::corrupted);
    }
    if (!header) return header.error();
    SegmentId& id = header.value().id;
    if (id.store_id != store_id_ || id.generation != *generation_of(name)) {
      return invalid(Code::journal_mismatch);
    }
    Result<std::optional<std::uint64_t>> first{std::optional(id.first_seq)};
    if (id.first_seq == 0) first = reader.value().first_seq();
    if (!first) return first.error();
    return std::optional(Segment{std::move(reader).value(), std::move(id), first.value()});
  }

  /// The first number that is needed from here on: LMDB has what was before.
  std::uint64_t needed() const noexcept { return std::max(next_, applied_seq_ + 1); }

  Result<void> take(Segment& segment) {
    if (segment.first_seq) {
      if (auto fits = check_order(segment.id, *segment.first_seq); !fits) return fits;
      if (!lost_) {
        next_ = *segment.first_seq;
        if (auto read = deliver(segment.reader); !read) return read;
      }
    } else if (auto none = segment.reader.next(kNoRecord); !none) {
      return none.error();
    } else if (segment.reader.ends_torn()) {
      done_.torn_tail = true;
    }
    generation_ = segment.id.generation;
    // A segment is read to its end even where its records end before: what was flushed may have
    // been lost in the middle.
    auto flushed = segment.reader.says_flushed(needed());
    if (!flushed) return flushed.error();
    if (flushed.value() || segment.id.flushed_seq >= needed()) return invalid(Code::corrupted);
    return {};
  }

  Result<void> check_order(const SegmentId& id, std::uint64_t first) {
    if (!generation_) {
      return first > applied_seq_ + 1 ? invalid(Code::journal_mismatch) : Result<void>();
    }
    if (first < next_) return invalid(Code::journal_mismatch);
    if (lost_ || first == next_ || first <= applied_seq_ + 1) {
      if (!lost_) done_.torn_tail = false;  // nothing is missing in between
      return {};
    }
    // Either a segment is missing, or the one before lost its end before a flush.
    if (id.generation != *generation_ + 1) return invalid(Code::journal_mismatch);
    lost_ = true;
    done_.torn_tail = true;
    done_.lost_generation = id.generation;
    return {};
  }

  Result<void> deliver(JournalReader& reader) {
    for (;;) {
      auto record = reader.next(next_);
      if (!record) return record.error();
      if (!record.value()) break;
      ++next_;
      const auto& [seq, flushed_seq, payload] = *record.value();
      if (seq <= applied_seq_) continue;
      if (auto taken = on_record_(seq, payload); !taken) return taken;
      done_.last_seq = seq;
      ++done_.records;
      done_.bytes += payload.size();
    }
    done_.torn_tail = reader.ends_torn();
    return {};
  }

  const Directory& directory_;
  const std::string_view store_id_;
  const std::uint64_t applied_seq_;
  const OnRecord on_record_;
  Replayed done_;
  std::optional<std::uint64_t> generation_;  // of the segment before
  std::uint64_t next_ = 0;                   // the number that comes next
  bool lost_ = false;                        // the journal has ended; later segments only tell
};

}  // namespace

Result<std::vector<std::string>> journal_segments(const Directory& directory) {
  auto names = directory.list();
  if (!names) return names;
  std::erase_if(names.value(), [](const std::string& name) { return !generation_of(name); });
  std::sort(names.value().begin(),
            names.value().end());  // as their numbers: all have as many digits
  return names;
}

Result<std::uint64_t> journal_bytes(const Directory& directory) {
  auto names = journal_segments(directory);
  if (!names) return names.error();
  std::uint64_t bytes = 0;
  for (const std::string& name : names.value()) {
    auto size = directory.file_size(name);
    if (!size) return size.error();
    bytes += size.value();
  }
  return bytes;
}

Result<Replayed> replay_journal(
    const Directory& directory, std::string_view store_id, std::uint64_t applied_seq,
    FunctionRef<Result<void>(std::uint64_t seq, std::string_view payload)> on_record) {
  auto names = journal_segments(directory);
  if (!names) return names.error();
  return Replay(directory, store_id, applied_seq, on_record).run(names.value());
}

Result<void> remove_segments(const Directory& directory, const Replayed& replayed) {
  auto names = journal_segments(directory);
  if (!names) return names.error();
  for (auto name = names.value().rbegin(); name != names.value().rend(); ++name) {
    const std::uint64_t generation = *generation_of(*name);
    if (generation > replayed.last_generation) continue;
    if (auto done = directory.remove(*name); !done) return done;
    if (replayed.lost_generation == 0 || generation < replayed.lost_generation) continue;
    if (auto done = directory.sync(); !done) return done;
  }
  return directory.sync();
}

}  // namespace hyper_lmdb
