#include "links.h"

#include <limits>

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

}  // namespace

Links::Links(const PathCache::Limits& limits, std::uint64_t seed, bool shared,
             const RecordCounts& counts, std::uint64_t version)
    : cache_(limits, seed),
      shared_(shared),
      none_since_(counts.links == 0 ? version : kNever),
      count_(counts.links),
      known_(counts),
      known_version_(version) {
  // Whatever was there before.
  cache_.any_appeared(version);
}

void Links::learn(const RecordCounts& counts, std::uint64_t version) noexcept {
  known_ = counts;
  count_.store(counts.links, std::memory_order_relaxed);
  none_since_.store(counts.links == 0 ? version : kNever, std::memory_order_release);
  // Last: who sees it does not look into the file.
  known_version_.store(version, std::memory_order_release);
}

// Another process has committed, and only what it did to the links is told.
void Links::learn_foreign(const RecordCounts& counts, std::uint64_t version) noexcept {
  if (counts.link_generation != known_.link_generation) cache_.all_change(version);
  cache_.any_appeared(version);
  learn(counts, version);
}

Result<Links::View> Links::view(const hyper_lmdb::View& store) {
  const std::uint64_t version = store.version();
  if (shared_ && known_version_.load(std::memory_order_acquire) < version) {
    auto found = read_identity(store.txn(), store.dbi());
    if (!found) return found.error();
    const std::lock_guard lock(mutex_);
    if (known_version_.load(std::memory_order_relaxed) < version) {
      learn_foreign(found.value().counts, version);
    }
  }
  return View{.version = version,
              .none = none_since_.load(std::memory_order_acquire) <= version,
              .use_cache = cache_.enabled()};
}

void Links::begin(std::uint64_t version) noexcept {
  next_version_ = version;
  counts_changed_ = false;
  links_changed_ = false;
  next_ = known_;
  none_since_before_ = none_since_.load(std::memory_order_relaxed);
}

Result<void> Links::begin_shared(MDB_txn* txn, MDB_dbi dbi) {
  auto found = read_identity(txn, dbi);
  if (!found) return found.error();
  const std::lock_guard lock(mutex_);
  const std::uint64_t version = mdb_txn_id(txn) - 1;
  if (known_version_.load(std::memory_order_relaxed) < version) {
    learn_foreign(found.value().counts, version);
  }
  begin(mdb_txn_id(txn));
  next_ = found.value().counts;
  return {};
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
  if (!committed) {
    counts_changed_ = false;
    links_changed_ = false;
    // In a shared store a reader may have learned something newer; there it stays unknown until
    // the next foreign commit, which costs look-ups and nothing else.
    if (!shared_) none_since_.store(none_since_before_, std::memory_order_release);
    return;
  }
  next_ = to_store();
  counts_changed_ = false;
  links_changed_ = false;
  const std::lock_guard lock(mutex_);
  // What was committed in between by another process is not known here: a reader will find out.
  if (known_version_.load(std::memory_order_relaxed) == next_version_ - 1 || !shared_) {
    learn(next_, next_version_);
  }
}

}  // namespace hyper_lmdb
