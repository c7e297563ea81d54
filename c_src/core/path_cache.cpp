#define XXH_INLINE_ALL
#include "path_cache.h"

#include <xxhash.h>

#include <algorithm>

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kShardedFrom = 1000;
constexpr std::size_t kShards = 16;
constexpr std::uint32_t kSlots = 1U << 15;
// A resolution that depends on more keys than this is not worth remembering.
constexpr std::size_t kMostSlots = 16'384;
constexpr std::size_t kEntryOverheadBytes = 192;  // list node, hash node, the fields

void raise_to(std::atomic<std::uint64_t>& value, std::uint64_t least) noexcept {
  std::uint64_t seen = value.load(std::memory_order_relaxed);
  while (seen < least && !value.compare_exchange_weak(seen, least, std::memory_order_release,
                                                      std::memory_order_relaxed)) {
  }
}

}  // namespace

std::size_t PathCache::Entry::bytes() const noexcept {
  return kEntryOverheadBytes + path.capacity() + end.capacity() +
         slots.capacity() * sizeof(Slots::value_type);
}

std::size_t PathCache::Hash::operator()(std::string_view text) const noexcept {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

void PathCache::Shard::erase(Order::iterator entry) {
  bytes -= entry->bytes();
  entries.erase(entry->path);
  order.erase(entry);
}

PathCache::PathCache(const Limits& limits, std::uint64_t seed) : limits_(limits), seed_(seed) {
  const std::size_t count = limits.entries >= kShardedFrom ? kShards : 1;
  for (std::size_t i = 0; i < count; ++i) shards_.push_back(std::make_unique<Shard>(seed));
}

PathCache::Shard& PathCache::shard_of(std::string_view path) noexcept {
  if (shards_.size() == 1) return *shards_.front();
  // Other bits than those the shard's own table takes.
  return *shards_[(Hash{seed_}(path) >> 56) % shards_.size()];
}

std::uint32_t PathCache::slot_of(std::string_view key) const noexcept {
  return static_cast<std::uint32_t>(Hash{~seed_}(key) % kSlots);
}

std::atomic<std::uint64_t>* PathCache::changes() const noexcept {
  if (auto* ready = changes_ready_.load(std::memory_order_acquire)) return ready;
  std::call_once(changes_made_, [this] {
    changes_.reset(new std::atomic<std::uint64_t>[kSlots]());
    changes_ready_.store(changes_.get(), std::memory_order_release);
  });
  return changes_.get();
}

// Order: a change stores its slot, then last_change_, then is published; a view that sees it
// published sees both.
PathCache::Freshness PathCache::freshness(Entry& entry, std::uint64_t version) const noexcept {
  if (entry.computed_at < all_changed_at_.load(std::memory_order_acquire)) return Freshness::ended;
  if (entry.computed_at > version) return Freshness::newer;
  const std::uint64_t last = last_change_.load(std::memory_order_acquire);
  if (last <= entry.validated_at) return Freshness::fresh;
  const std::atomic<std::uint64_t>* const slots = changes();
  for (const std::uint32_t slot : entry.slots) {
    if (slots[slot].load(std::memory_order_acquire) > entry.computed_at) return Freshness::ended;
  }
  // Not past the view: the version that follows may change more links, or be given up and begin
  // anew.
  entry.validated_at = std::max(entry.validated_at, std::min(last, version));
  return Freshness::fresh;
}

bool PathCache::find(std::string_view path, std::uint64_t version, std::uint64_t now_ms,
                     Resolution* resolution, Slots* slots) {
  Shard& shard = shard_of(path);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(path);
  if (found == shard.entries.end()) {
    ++shard.stats.misses;
    return false;
  }
  const Order::iterator entry = found->second;
  Freshness state = Freshness::ended;
  if (now_ms < entry->expires_ms) state = freshness(*entry, version);
  if (state != Freshness::fresh) {
    ++shard.stats.misses;
    if (state == Freshness::ended) shard.erase(entry);
    return false;
  }
  ++shard.stats.hits;
  shard.order.splice(shard.order.begin(), shard.order, entry);
  (void)resolution->end.assign(entry->end);
  resolution->resolved = entry->resolved;
  resolution->steps = entry->steps;
  if (slots != nullptr) slots->insert(slots->end(), entry->slots.begin(), entry->slots.end());
  return true;
}

void PathCache::insert(std::string_view path, std::uint64_t version, std::uint64_t now_ms,
                       const Resolution& resolution, Slots slots) {
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  if (!enabled() || slots.size() > kMostSlots) return;
  slots.shrink_to_fit();
  Order made;
  made.push_back({.path = std::string(path),
                  .end = std::string(resolution.end.view()),
                  .resolved = resolution.resolved,
                  .steps = resolution.steps,
                  .computed_at = version,
                  .validated_at = version,
                  .expires_ms = now_ms + limits_.ttl_ms,
                  .slots = std::move(slots)});
  Shard& shard = shard_of(path);
  const std::uint64_t most_bytes = limits_.bytes / shards_.size();
  const std::uint64_t most_entries = std::max<std::uint64_t>(1, limits_.entries / shards_.size());
  if (made.front().bytes() > most_bytes) return;

  const std::lock_guard lock(shard.mutex);
  if (const auto old = shard.entries.find(path); old != shard.entries.end()) {
    if (old->second->computed_at > version) return;
    shard.erase(old->second);
  }
  shard.order.splice(shard.order.begin(), made);
  shard.bytes += shard.order.front().bytes();
  shard.entries.emplace(shard.order.front().path, shard.order.begin());
  while (shard.entries.size() > most_entries || shard.bytes > most_bytes) {
    shard.erase(std::prev(shard.order.end()));
    ++shard.stats.evictions;
  }
}

void PathCache::link_changes(std::string_view key, std::uint64_t version) noexcept {
  if (!enabled()) return;
  raise_to(changes()[slot_of(key)], version);
  raise_to(last_change_, version);
}

void PathCache::all_change(std::uint64_t version) noexcept {
  raise_to(all_changed_at_, version);
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    shard->entries.clear();
    shard->order.clear();
    shard->bytes = 0;
  }
}

PathCache::Stats PathCache::stats() const {
  Stats sum;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    sum.hits += shard->stats.hits;
    sum.misses += shard->stats.misses;
    sum.evictions += shard->stats.evictions;
    sum.entries += shard->entries.size();
  }
  return sum;
}

}  // namespace hyper_lmdb
