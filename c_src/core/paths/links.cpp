#include "paths/links.h"

#include <limits>

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

}  // namespace

Links::Links(const PathCache::Limits& limits, std::uint64_t seed, const RecordCounts& counts,
             std::uint64_t version)
    : cache_(limits, seed),
      none_since_(counts.links == 0 ? version : kNever),
      count_(counts.links),
      known_(counts) {
  // Whatever was there before.
  cache_.any_appeared(version);
}

void Links::begin(std::uint64_t version) noexcept {
  next_version_ = version;
  counts_changed_ = false;
  links_changed_ = false;
  next_ = known_;
  none_since_before_ = none_since_.load(std::memory_order_relaxed);
}

Links::View Links::view_of_writer() const noexcept {
  return {.version = next_version_ - 1,
          .none = next_.links == 0,
          .use_cache = cache_.enabled() && !links_changed_};
}

void Links::change(std::string_view key, int difference) noexcept {
  links_changed_ = true;
  counts_changed_ = true;
  next_.links += static_cast<std::uint64_t>(static_cast<std::int64_t>(difference));
  // Before the transaction can be seen.
  if (next_.links == 1 && difference > 0) cache_.any_appeared(next_version_);
  if (difference > 0) none_since_.store(kNever, std::memory_order_release);
  cache_.link_changes(key, next_version_);
}

// An entry of the cache that passed through a link ended when that link went: where there is no
// link, none asks what lies below.
void Links::appears(std::string_view key) noexcept {
  if (next_.links != 0) cache_.appears(key, next_version_);
}

void Links::change_mark(int difference) noexcept {
  counts_changed_ = true;
  next_.marks += static_cast<std::uint64_t>(static_cast<std::int64_t>(difference));
}

void Links::drop_all() noexcept {
  if (next_.marks != 0) counts_changed_ = true;
  next_.marks = 0;
  if (next_.links == 0 && !links_changed_) return;
  counts_changed_ = true;
  links_changed_ = true;
  next_.links = 0;
  cache_.all_change(next_version_);
}

RecordCounts Links::to_store() const noexcept {
  RecordCounts counts = next_;
  if (links_changed_) ++counts.link_generation;
  return counts;
}

void Links::end(bool committed) noexcept {
  if (!counts_changed_) return;
  if (committed) {
    known_ = to_store();
    count_.store(known_.links, std::memory_order_relaxed);
    none_since_.store(known_.links == 0 ? next_version_ : kNever, std::memory_order_release);
  } else {
    none_since_.store(none_since_before_, std::memory_order_release);
  }
  counts_changed_ = false;
  links_changed_ = false;
}

}  // namespace hyper_lmdb
