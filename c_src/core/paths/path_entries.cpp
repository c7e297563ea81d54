#include "paths/path_entries.h"

#include <utility>

namespace hyper_lmdb {

namespace {

constexpr std::size_t kFirstBuckets = 16;
constexpr std::size_t kMostBytesOfBuckets = 2 * sizeof(PathEntry*);  // an entry

}  // namespace

std::size_t PathEntry::bytes() const noexcept {
  return sizeof(PathEntry) + kMostBytesOfBuckets + text.capacity() +
         slots.capacity() * sizeof(Slots::value_type);
}

PathEntry* PathEntries::find(std::uint64_t hash) const noexcept {
  if (buckets_.empty()) return nullptr;
  PathEntry* entry = buckets_[hash & (buckets_.size() - 1)];
  while (entry != nullptr && entry->hash != hash) entry = entry->next;
  return entry;
}

void PathEntries::grow() {
  std::vector<PathEntry*> larger(buckets_.empty() ? kFirstBuckets : 2 * buckets_.size());
  std::swap(buckets_, larger);
  for (PathEntry* entry = newest_; entry != nullptr; entry = entry->older) {
    entry->next = std::exchange(bucket_of(entry->hash), entry);
  }
}

void PathEntries::add(std::unique_ptr<PathEntry> made) {
  if (size_ >= buckets_.size()) grow();
  PathEntry* const entry = made.release();
  entry->next = std::exchange(bucket_of(entry->hash), entry);
  to_front(entry);
  ++size_;
  bytes_ += entry->bytes();
}

void PathEntries::remove(PathEntry* entry) noexcept {
  PathEntry** link = &bucket_of(entry->hash);
  while (*link != entry) link = &(*link)->next;
  *link = entry->next;
  out_of_order(entry);
  --size_;
  bytes_ -= entry->bytes();
  delete entry;
}

void PathEntries::clear() noexcept {
  while (newest_ != nullptr) delete std::exchange(newest_, newest_->older);
  buckets_.clear();
  oldest_ = nullptr;
  size_ = 0;
  bytes_ = 0;
}

// Moving an entry touches its neighbours, which are not in the processor's cache.
void PathEntries::used(PathEntry* entry) noexcept {
  if (moves_ - entry->moved_at <= size_ / 4) return;
  out_of_order(entry);
  to_front(entry);
}

void PathEntries::to_front(PathEntry* entry) noexcept {
  entry->moved_at = ++moves_;
  entry->newer = nullptr;
  entry->older = newest_;
  (newest_ == nullptr ? oldest_ : newest_->newer) = entry;
  newest_ = entry;
}

void PathEntries::out_of_order(PathEntry* entry) noexcept {
  (entry->newer == nullptr ? newest_ : entry->newer->older) = entry->older;
  (entry->older == nullptr ? oldest_ : entry->older->newer) = entry->newer;
}

}  // namespace hyper_lmdb
