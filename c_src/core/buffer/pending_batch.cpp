#include "buffer/pending_batch.h"

#include "os/little_endian.h"

namespace hyper_lmdb {

namespace {

constexpr std::size_t kSizesBytes = 2 + 4;
constexpr std::uint32_t kRemoved = 0xFFFFFFFF;
constexpr std::size_t kCountsBytes = 3 * 8;

Error damaged() noexcept {
  return {.code = Code::corrupted, .operation = "read journal"};
}

template <typename Number>
void store_number(Number value, char* out) noexcept {
  for (std::size_t i = 0; i < sizeof value; ++i) out[i] = static_cast<char>(value >> 8 * i);
}

template <typename Number>
Number load_number(const char* bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << 8 * i;
  }
  return static_cast<Number>(value);
}

}  // namespace

void PendingBatch::begin(bool indexed, std::uint64_t expected_bytes) {
  entries_.clear();
  index_.clear();
  bytes_ = 0;
  indexed_ = indexed;
  payload_.clear();
  // What one large batch took is not kept.
  constexpr std::size_t kKeptBytes = 1 << 20;
  if (payload_.capacity() > kKeptBytes && expected_bytes < kKeptBytes) {
    payload_.shrink_to_fit();
    entries_.shrink_to_fit();
  }
  payload_.reserve(expected_bytes);
  payload_.push_back(0);
}

void PendingBatch::enter(std::string_view key, std::uint64_t record_bytes, bool removed) {
  const std::size_t at = payload_.size();
  payload_.resize(at + kSizesBytes + key.size() + record_bytes);
  char* const out = payload_.data() + at;
  store_number(static_cast<std::uint16_t>(key.size()), out);
  store_number(removed ? kRemoved : static_cast<std::uint32_t>(record_bytes), out + 2);
  key.copy(out + kSizesBytes, key.size());
  entries_.push_back({.key_at = at + kSizesBytes,
                      .record_bytes = static_cast<std::uint32_t>(record_bytes),
                      .key_bytes = static_cast<std::uint16_t>(key.size()),
                      .removed = removed});
  bytes_ += key.size() + record_bytes;
  if (indexed_) index_[std::string(key)] = entries_.size() - 1;
}

void PendingBatch::add(std::string_view key, const Record& record) {
  const std::size_t size = encoded_size(record);
  enter(key, size, false);
  encode(key, record, payload_.data() + payload_.size() - size);
}

void PendingBatch::add_removal(std::string_view key) {
  enter(key, 0, true);
}

void PendingBatch::add_counts(const RecordCounts& counts) {
  payload_.front() = 1;
  append_little_endian(&payload_, counts.links);
  append_little_endian(&payload_, counts.marks);
  append_little_endian(&payload_, counts.link_generation);
}

std::string_view PendingBatch::key_of(const Entry& entry) const noexcept {
  return {payload_.data() + entry.key_at, entry.key_bytes};
}

WriteBuffer::Outcome PendingBatch::outcome_of(const Entry& entry) const noexcept {
  return {.removed = entry.removed,
          .record = {payload_.data() + entry.key_at + entry.key_bytes, entry.record_bytes}};
}

std::optional<WriteBuffer::Outcome> PendingBatch::find(std::string_view key) const {
  if (index_.empty()) return std::nullopt;
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  return outcome_of(entries_[found->second]);
}

void PendingBatch::insert_into(WriteBuffer* buffer, std::uint64_t version) const noexcept {
  for (const Entry& entry : entries_) buffer->insert(key_of(entry), version, outcome_of(entry));
}

Result<void> read_payload(
    std::string_view payload, std::size_t most_key_bytes, RecordCounts* counts,
    FunctionRef<Result<void>(std::string_view key, const WriteBuffer::Outcome& outcome)>
        on_outcome) {
  if (payload.empty()) return damaged();
  const bool counted = payload.front() != 0;
  payload.remove_prefix(1);
  if (counted) {
    if (payload.size() < kCountsBytes) return damaged();
    const char* const numbers = payload.data() + payload.size() - kCountsBytes;
    *counts = {.links = load_little_endian(numbers),
               .marks = load_little_endian(numbers + 8),
               .link_generation = load_little_endian(numbers + 16)};
    payload.remove_suffix(kCountsBytes);
  }
  while (!payload.empty()) {
    if (payload.size() < kSizesBytes) return damaged();
    const std::size_t key_bytes = load_number<std::uint16_t>(payload.data());
    const auto size = load_number<std::uint32_t>(payload.data() + 2);
    const std::size_t record_bytes = size == kRemoved ? 0 : size;
    payload.remove_prefix(kSizesBytes);
    if (key_bytes == 0 || key_bytes > most_key_bytes) return damaged();
    if (payload.size() < key_bytes + record_bytes) return damaged();
    const WriteBuffer::Outcome outcome{.removed = size == kRemoved,
                                       .record = payload.substr(key_bytes, record_bytes)};
    if (auto done = on_outcome(payload.substr(0, key_bytes), outcome); !done) return done;
    payload.remove_prefix(key_bytes + record_bytes);
  }
  return {};
}

}  // namespace hyper_lmdb
