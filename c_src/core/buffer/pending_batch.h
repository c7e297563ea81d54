// What a batch comes to, key by key, before it is written anywhere: the payload of its journal
// record, and what its own later elements see of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "buffer/write_buffer.h"
#include "format/identity.h"
#include "format/record.h"
#include "hyper_lmdb/function_ref.h"
#include "hyper_lmdb/result.h"
#include "os/key_hash.h"

namespace hyper_lmdb {

/// Thread-safety: none. Throws std::bad_alloc.
///
/// The payload: a byte that says whether counts stand at its end; for each outcome the sizes of key
/// (2 bytes) and record (4 bytes, all ones where the key is removed), key and record; the counts,
/// three numbers of 8 bytes. Numbers are little endian.
class PendingBatch {
 public:
  /// Begins anew. Where `indexed`, `find` sees what was added.
  void begin(bool indexed, std::uint64_t expected_bytes);

  void add(std::string_view key, const Record& record);
  void add_removal(std::string_view key);
  /// What the store holds of links and marks after this batch. After the last outcome.
  void add_counts(const RecordCounts& counts);

  std::optional<WriteBuffer::Outcome> find(std::string_view key) const;

  std::size_t outcomes() const noexcept { return entries_.size(); }
  /// Of keys and records.
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::string_view payload() const noexcept { return payload_; }
  /// Enters all of it under one version. Room was reserved.
  void insert_into(WriteBuffer* buffer, std::uint64_t version) const noexcept;

 private:
  struct Entry {
    std::size_t key_at;
    std::uint32_t record_bytes;
    std::uint16_t key_bytes;
    bool removed;
  };
  void enter(std::string_view key, std::uint64_t record_bytes, bool removed);
  std::string_view key_of(const Entry& entry) const noexcept;
  WriteBuffer::Outcome outcome_of(const Entry& entry) const noexcept;

  std::string payload_;
  std::vector<Entry> entries_;
  std::uint64_t bytes_ = 0;
  bool indexed_ = false;
  std::unordered_map<std::string, std::size_t, KeyHash, std::equal_to<>> index_;
};

/// Reads a payload back. Errors: corrupted, where a key is longer than `most_key_bytes` too.
Result<void> read_payload(
    std::string_view payload, std::size_t most_key_bytes, RecordCounts* counts,
    FunctionRef<Result<void>(std::string_view key, const WriteBuffer::Outcome& outcome)>
        on_outcome);

}  // namespace hyper_lmdb
