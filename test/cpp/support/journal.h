// Journals to write, to damage and to read back.
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "journal/journal_replay.h"
#include "journal/journal_segment.h"
#include "support/outcome.h"
#include "support/temp_dir.h"

namespace hyper_lmdb::test {

using Append = JournalSegment::Append;
using SegmentPtr = std::unique_ptr<JournalSegment>;
using Payloads = std::vector<std::pair<std::uint64_t, std::string>>;

inline constexpr Append kBothAppends[] = {Append::mapped, Append::written};
inline constexpr std::uint64_t kMiB = 1 << 20;
inline const std::string kStoreId = "0123456789abcdef0123456789abcdef";

inline const char* name_of(Append way) {
  return way == Append::mapped ? "mapped" : "written";
}

inline Directory open_directory(const std::string& path) {
  auto directory = Directory::open(path, {});
  if (!directory) throw std::runtime_error("open directory: " + outcome(directory));
  return std::move(directory).value();
}

inline Result<SegmentPtr> try_segment(const std::string& path, const SegmentId& id, Append way,
                                      std::uint64_t most_bytes = 64 * kMiB) {
  return JournalSegment::create(open_directory(path), id, most_bytes, way);
}

inline SegmentPtr must_create(const std::string& path, const SegmentId& id, Append way,
                              std::uint64_t most_bytes = 64 * kMiB) {
  auto segment = try_segment(path, id, way, most_bytes);
  if (!segment) throw std::runtime_error("create segment: " + outcome(segment));
  return std::move(segment).value();
}

inline SegmentId segment_id(std::uint64_t generation, std::uint64_t first_seq,
                            std::uint64_t flushed_seq = 0) {
  return {.store_id = kStoreId,
          .generation = generation,
          .first_seq = first_seq,
          .flushed_seq = flushed_seq};
}

inline std::string append(JournalSegment& segment, std::uint64_t seq, std::uint64_t flushed_seq,
                          std::string_view payload) {
  return outcome(segment.append(seq, flushed_seq, {&payload, 1}));
}

/// What a replay answered and handed over.
struct Replay {
  std::string word;
  Payloads delivered;
  Replayed done;
};

inline Replay replay(const std::string& path, std::uint64_t applied_seq = 0,
                     const std::string& store_id = kStoreId) {
  Replay all;
  const auto take = [&](std::uint64_t seq, std::string_view payload) {
    all.delivered.emplace_back(seq, payload);
    return Result<void>();
  };
  const auto done = replay_journal(open_directory(path), store_id, applied_seq, take);
  all.word = outcome(done);
  if (done) all.done = done.value();
  return all;
}

inline std::string path_of(const std::string& path, std::uint64_t generation) {
  return path + "/" + journal::segment_name(generation);
}

/// A payload that tells its number, of this size.
inline std::string payload_of(std::uint64_t seq, std::size_t bytes) {
  std::string payload(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    payload[i] = static_cast<char>(seq * 31 + i * 7 + i / 251);
  return payload;
}

/// The bytes of the file up to the segment's end and a page more, where a reader looks too.
inline std::string image_of(const std::string& path, std::uint64_t generation,
                            const JournalSegment& segment) {
  return read_whole(path_of(path, generation), segment.bytes() + 2 * journal::kPageBytes);
}

}  // namespace hyper_lmdb::test
