#define XXH_INLINE_ALL
#include "buffer/write_buffer.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kBytesPerBucket = 256;
constexpr std::size_t kFirstChunkBytes = 64 << 10;
constexpr std::size_t kMostChunkBytes = ChunkPool::kChunkBytes;
// From here on a reservation gets a chunk of its own, so that little is lost at the end of a shared
// one.
constexpr std::size_t kBigBytes = kMostChunkBytes / 16;
// What the order keeps for a key: a pointer, and one more while runs are merged.
constexpr std::uint64_t kOrderBytesPerKey = 2 * sizeof(void*);
// Keys are numbered in 32 bits; so many bytes hold fewer.
constexpr std::uint64_t kMostBytes = 256ULL << 30;

constexpr std::size_t kAlignment = 8;
static_assert(alignof(BufferKey) <= kAlignment && alignof(BufferVersion) <= kAlignment);

constexpr std::size_t aligned(std::size_t bytes) noexcept {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Node headers of one outcome, and what aligning its key and its record may take.
constexpr std::uint64_t kMostNodeBytes =
    sizeof(BufferKey) + sizeof(BufferVersion) + 2 * (kAlignment - 1);
static_assert(kMostBytes / (kMostNodeBytes + kOrderBytesPerKey) <
              std::numeric_limits<std::uint32_t>::max());

// Sixteen bits of filter a bucket: about eleven a key in a buffer full of small records.
constexpr std::size_t kBucketsPerWord = 4;

std::size_t filter_words(std::size_t buckets) noexcept {
  return std::max<std::size_t>(1, buckets / kBucketsPerWord);
}

std::size_t buckets_for(std::uint64_t most_bytes) noexcept {
  return std::max<std::uint64_t>(1, std::bit_floor(most_bytes / kBytesPerBucket));
}

}  // namespace

WriteBuffer::WriteBuffer(std::uint64_t most_bytes, std::uint64_t hash_seed,
                         std::uint64_t expected_bytes, std::shared_ptr<ChunkPool> pool)
    : pool_(pool != nullptr ? std::move(pool) : std::make_shared<ChunkPool>(0)),
      most_bytes_(std::min(most_bytes, kMostBytes)),
      seed_(hash_seed),
      buckets_(buckets_for(std::min(expected_bytes, most_bytes_))),
      index_(index_bytes()),
      filter_(reinterpret_cast<KeyFilter::Word*>(index_.at() + buckets_ * sizeof(Bucket)),
              filter_words(buckets_)),
      next_chunk_(kFirstChunkBytes) {
  static_assert(sizeof(Bucket) == sizeof(void*) && Bucket::is_always_lock_free);
}

WriteBuffer::~WriteBuffer() {
  for (Pages& chunk : chunks_) {
    if (chunk.bytes() == ChunkPool::kChunkBytes) pool_->give(std::move(chunk));
  }
}

std::uint64_t WriteBuffer::index_bytes() const noexcept {
  return buckets_ * sizeof(Bucket) + filter_words(buckets_) * sizeof(KeyFilter::Word);
}

std::uint64_t WriteBuffer::hash_of(std::string_view key) const noexcept {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed_);
}

WriteBuffer::Bucket& WriteBuffer::bucket_of(std::uint64_t hash) const noexcept {
  // Zeroed memory is as good as null heads.
  return reinterpret_cast<Bucket*>(index_.at())[hash & (buckets_ - 1)];
}

const BufferKey* WriteBuffer::look_up(std::string_view key, std::uint64_t hash) const noexcept {
  if (!filter_.may_hold(hash)) return nullptr;
  const BufferKey* node = bucket_of(hash).load(std::memory_order_acquire);
  while (node != nullptr && (node->hash != hash >> 48 || node->key() != key)) node = node->next;
  return node;
}

std::optional<WriteBuffer::Outcome> WriteBuffer::find(std::string_view key, std::uint64_t hash,
                                                      std::uint64_t version) const noexcept {
  const BufferKey* const node = look_up(key, hash);
  const BufferVersion* const found = node == nullptr ? nullptr : node->at(version);
  if (found == nullptr) return std::nullopt;
  return found->outcome();
}

void WriteBuffer::count(std::uint64_t bytes) noexcept {
  used_.store(bytes_used() + bytes, std::memory_order_relaxed);  // nobody else stores
}

// What is left of the room's chunk is lost; a chunk of which nothing was used is given back.
void WriteBuffer::add_chunk(Room* room, std::size_t bytes) {
  const bool pooled = bytes == ChunkPool::kChunkBytes;
  Pages made = pooled ? pool_->take() : Pages(bytes);
  if (!pooled && bytes >= Pages::kHugeBytes) made.prefer_huge();
  if (room->untouched()) {
    chunks_[room->chunk] = std::move(made);
  } else {
    chunks_.push_back(std::move(made));
    count(room->left);
    room->chunk = chunks_.size() - 1;
  }
  room->at = chunks_[room->chunk].at();
  room->left = room->all = bytes;
}

// Each of the first keys touches another page of the index, and each such page is a fault. Few keys
// are to cost few pages, but once they touch a quarter of them the rest is had for less in one go.
void WriteBuffer::maintain() noexcept {
  if (index_gathered_ || keys() < index_bytes() / Pages::kSmallBytes / 4) return;
  index_gathered_ = true;
  if (index_bytes() >= Pages::kHugeBytes) index_.make_huge();
}

bool WriteBuffer::reserve(std::size_t outcomes, std::uint64_t bytes) {
  // Each of the sums below stays far from 2^64.
  if (bytes > most_bytes_ || outcomes > most_bytes_ / kMostNodeBytes) return false;
  const std::uint64_t needed = aligned(outcomes * kMostNodeBytes + bytes);
  const std::uint64_t index = empty() ? index_bytes() : 0;
  const std::uint64_t taken = index + bytes_used() + needed + outcomes * kOrderBytesPerKey;
  if (taken > most_bytes_) return false;

  for (Room* const room : {&shared_, &big_}) {
    if (room->left < needed) continue;
    active_ = room;
    return true;
  }
  Room* const room = needed >= kBigBytes ? &big_ : &shared_;
  const std::uint64_t with_lost = taken + (room->untouched() ? 0 : room->left);
  if (with_lost > most_bytes_) return false;
  std::uint64_t size = needed;
  if (room == &shared_) {
    size = std::max(needed, std::min<std::uint64_t>(next_chunk_, needed + most_bytes_ - with_lost));
  }
  add_chunk(room, size);
  if (room == &shared_) next_chunk_ = std::min(4 * next_chunk_, kMostChunkBytes);
  active_ = room;
  return true;
}

char* WriteBuffer::take(std::size_t bytes) noexcept {
  const std::size_t size = aligned(bytes);
  assert(size <= active_->left);
  active_->left -= size;
  count(size);
  return std::exchange(active_->at, active_->at + size);
}

void WriteBuffer::insert(std::string_view key, std::uint64_t version,
                         const Outcome& outcome) noexcept {
  assert(!key.empty() && key.size() <= std::numeric_limits<std::uint16_t>::max());
  const std::string_view record = outcome.removed ? std::string_view() : outcome.record;
  assert(record.size() <= std::numeric_limits<std::uint32_t>::max());
  const std::uint64_t hash = hash_of(key);
  const BufferKey* const known = look_up(key, hash);

  const BufferVersion* older =
      known == nullptr ? nullptr : known->newest.load(std::memory_order_relaxed);
  // No view sees what the same write replaced: those that look for an older version have only whole
  // writes to pass.
  if (older != nullptr && older->version == version) older = older->older;

  char* const version_at = take(sizeof(BufferVersion) + record.size());
  auto* const made =
      new (version_at) BufferVersion{.older = older,
                                     .version = version,
                                     .size = static_cast<std::uint32_t>(record.size()),
                                     .removed = outcome.removed};
  assert(older == nullptr || older->version < version);
  if (!record.empty()) std::memcpy(version_at + sizeof *made, record.data(), record.size());
  if (known != nullptr) {
    // All nodes are the writer's to change; readers see them through const.
    const_cast<BufferKey*>(known)->newest.store(made, std::memory_order_release);
    return;
  }

  const BufferKey* const before = newest_.load(std::memory_order_relaxed);
  if (before == nullptr) {
    count(index_bytes());
    first_version_.store(version, std::memory_order_relaxed);
  }
  count(kOrderBytesPerKey);
  Bucket& bucket = bucket_of(hash);
  char* const node_at = take(sizeof(BufferKey) + key.size());
  auto* const node = new (node_at) BufferKey{.next = bucket.load(std::memory_order_relaxed),
                                             .older = before,
                                             .newest = made,
                                             .number = before == nullptr ? 1 : before->number + 1,
                                             .hash = static_cast<std::uint16_t>(hash >> 48),
                                             .size = static_cast<std::uint16_t>(key.size())};
  std::memcpy(node_at + sizeof *node, key.data(), key.size());
  filter_.add(hash);  // before the version of the insert is shown, which is what a reader goes by
  bucket.store(node, std::memory_order_release);
  newest_.store(node, std::memory_order_release);
}

}  // namespace hyper_lmdb
