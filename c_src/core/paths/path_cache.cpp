#define XXH_INLINE_ALL
#include "paths/path_cache.h"

#include <xxhash.h>

#include <algorithm>

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kShardedFrom = 1000;
constexpr std::size_t kShards = 16;
// A resolution that depends on more keys than this is not worth remembering.
constexpr std::size_t kMostSlots = 16'384;
// A directory that keys lie below, or appear below all the time, is not looked at by every read.
constexpr std::uint64_t kBetweenLooksMs = 100;

}  // namespace

PathEntry* PathCache::Shard::find(const Key& key) const noexcept {
  PathEntry* const entry = entries.find(key.hash);
  if (entry == nullptr || entry->own_link != key.own_link || entry->path() != key.path) {
    return nullptr;
  }
  return entry;
}

PathCache::PathCache(const Limits& limits, std::uint64_t seed)
    : limits_(limits),
      seed_(seed),
      shard_count_(limits.entries >= kShardedFrom ? kShards : 1),
      most_entries_(std::max<std::uint64_t>(1, limits.entries / shard_count_)) {
  for (std::size_t i = 0; i < shard_count_; ++i) {
    shards_.push_back(std::make_unique<Shard>());
  }
}

std::uint64_t PathCache::hash_of(std::string_view text) const noexcept {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed_);
}

PathCache::Key PathCache::key_of(std::string_view path) const noexcept {
  return {.path = path, .hash = hash_of(path)};
}

PathCache::Key PathCache::own_link(Key key) noexcept {
  return {.path = key.path, .hash = ~key.hash, .own_link = true};
}

// Shards, slots and hints go by bits of their own.
PathCache::Shard& PathCache::shard_of(std::uint64_t hash) noexcept {
  return *shards_[(hash >> 56) % shard_count_];
}

std::uint32_t PathCache::slot_of(std::string_view key) const noexcept {
  return SlotVersions::slot_of(hash_of(key));
}

void PathCache::set_hint(std::string_view path, Hint hint) {
  hints_.make()[hash_of(path) % kHints].store(static_cast<std::uint8_t>(hint),
                                              std::memory_order_relaxed);
}

// Order: a change stores its slot, then last_change_, then is published; a view that sees it
// published sees both.
PathCache::Freshness PathCache::freshness(PathEntry& entry, std::uint64_t version) const noexcept {
  if (entry.computed_at > version) return Freshness::newer;
  const std::uint64_t last = last_change_.load(std::memory_order_acquire);
  if (last <= entry.validated_at) return Freshness::fresh;
  if (link_changes_.any_after(entry.computed_at, entry.slots)) return Freshness::ended;
  // Not past the view: the version that follows may change more links, or be given up and begin
  // anew.
  entry.validated_at = std::max(entry.validated_at, std::min(last, version));
  return Freshness::fresh;
}

PathCache::Below PathCache::below(const PathEntry& entry, std::uint64_t version,
                                  std::uint64_t now_ms) const noexcept {
  // kNever is past every version.
  if (entry.bare_at <= version &&
      !appeared_.any_after(entry.bare_at, SlotVersions::slot_of(entry.hash))) {
    return Below::nothing;
  }
  return now_ms >= entry.look_below_ms ? Below::find_out : Below::unknown;
}

bool PathCache::find(const Key& key, std::uint64_t version, std::uint64_t now_ms,
                     Resolution* resolution, Slots* slots) {
  Shard& shard = shard_of(key.hash);
  const std::lock_guard lock(shard.mutex);
  PathEntry* const entry = shard.find(key);
  if (entry == nullptr) {
    ++shard.stats.misses;
    return false;
  }
  Freshness state = Freshness::ended;
  if (now_ms < entry->expires_ms) state = freshness(*entry, version);
  if (state != Freshness::fresh) {
    ++shard.stats.misses;
    if (state == Freshness::ended) shard.entries.remove(entry);
    return false;
  }
  ++shard.stats.hits;
  shard.entries.used(entry);
  resolution->end.assign(entry->end());
  resolution->resolved = entry->resolved;
  resolution->steps = entry->steps;
  resolution->below = below(*entry, version, now_ms);
  if (slots != nullptr) slots->insert(slots->end(), entry->slots.begin(), entry->slots.end());
  return true;
}

void PathCache::insert(const Key& key, std::uint64_t version, std::uint64_t now_ms,
                       const Resolution& resolution, Slots slots) {
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  if (!enabled() || slots.size() > kMostSlots) return;
  slots.shrink_to_fit();
  std::string text;
  text.reserve(key.path.size() + resolution.end.view().size());
  text.append(key.path).append(resolution.end.view());
  std::unique_ptr<PathEntry> made(
      new PathEntry{.hash = key.hash,
                    .text = std::move(text),
                    .path_bytes = static_cast<std::uint32_t>(key.path.size()),
                    .steps = resolution.steps,
                    .resolved = resolution.resolved,
                    .own_link = key.own_link,
                    .computed_at = version,
                    .validated_at = version,
                    .expires_ms = now_ms + limits_.ttl_ms,
                    .slots = std::move(slots)});
  const std::uint64_t most_bytes = limits_.bytes / shard_count_;
  if (made->bytes() > most_bytes) return;

  Shard& shard = shard_of(key.hash);
  const std::lock_guard lock(shard.mutex);
  // Another path of the same hash makes way.
  if (PathEntry* const old = shard.entries.find(key.hash)) {
    if (old == shard.find(key) && old->computed_at > version) return;
    shard.entries.remove(old);
  }
  shard.entries.add(std::move(made));
  while (shard.entries.size() > most_entries_ || shard.entries.bytes() > most_bytes) {
    shard.entries.remove(shard.entries.least_recently_used());
    ++shard.stats.evictions;
  }
}

bool PathCache::may_have_appeared(const Key& directory, std::uint64_t version) const noexcept {
  return appeared_.any_after(version, SlotVersions::slot_of(directory.hash));
}

void PathCache::looked_below(const Key& directory, std::uint64_t version, std::uint64_t now_ms,
                             bool nothing) {
  Shard& shard = shard_of(directory.hash);
  const std::lock_guard lock(shard.mutex);
  PathEntry* const entry = shard.find(directory);
  if (entry == nullptr) return;
  if (nothing) entry->bare_at = version;
  entry->look_below_ms = now_ms + kBetweenLooksMs;
}

void PathCache::link_changes(std::string_view key, std::uint64_t version) noexcept {
  if (!enabled()) return;
  link_changes_.record(slot_of(key), version);
  raise_to(&last_change_, version);
}

void PathCache::all_change(std::uint64_t version) noexcept {
  link_changes_.record_all(version);
  raise_to(&last_change_, version);
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    shard->entries.clear();
  }
}

void PathCache::appears(std::string_view key, std::uint64_t version) noexcept {
  if (!enabled()) return;
  for (std::size_t end = key.find('/', 1); end < key.size(); end = key.find('/', end + 1)) {
    appeared_.record(slot_of(key.substr(0, end)), version);
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
