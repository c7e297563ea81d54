#include "buffer/write_buffer_order.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "os/pages.h"

namespace hyper_lmdb {

namespace {

using Run = WriteBufferOrder::Run;
using Runs = WriteBufferOrder::Runs;

constexpr std::uint64_t kUnlimited = 1ULL << 32;  // no buffer has as many keys
constexpr std::size_t kManyKeys = 64 << 10;
constexpr std::size_t kPieceKeys = 4 << 10;  // sorted at a time
// Looked at, sorted in pieces, merged.
constexpr std::uint64_t kTimesMoved = 3;

bool key_less(const BufferKey* a, const BufferKey* b) noexcept {
  return a->key() < b->key();  // bytes as unsigned, then the length: LMDB's order
}

/// Eight bytes of the key as a number that compares as they do.
std::uint64_t digest(std::string_view key, std::size_t from) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = from; i < from + 8; ++i) {
    number = number << 8 | (i < key.size() ? static_cast<std::uint8_t>(key[i]) : 0U);
  }
  return number;
}

std::size_t common_prefix(std::string_view a, std::string_view b) noexcept {
  const auto ends = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(ends.first - a.begin());
}

/// The keys lie apart in memory, so most comparisons go by a few bytes kept beside the pointer:
/// those behind what all keys begin with.
struct Entry {
  std::uint64_t digest;
  const BufferKey* key;

  friend bool operator<(const Entry& a, const Entry& b) noexcept {
    return a.digest != b.digest ? a.digest < b.digest : key_less(a.key, b.key);
  }
};

/// Entries that are sorted piece by piece, in order as a whole.
std::shared_ptr<const Run> merged(std::span<const Entry> entries, FunctionRef<void()> pause) {
  struct Piece {
    const Entry* at;
    const Entry* end;
  };
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at < entries.size(); at += kPieceKeys) {
    const auto piece = entries.subspan(at, std::min(kPieceKeys, entries.size() - at));
    pieces.push_back({piece.data(), piece.data() + piece.size()});
  }
  const auto later = [](const Piece& a, const Piece& b) { return *b.at < *a.at; };
  std::make_heap(pieces.begin(), pieces.end(), later);
  auto run = std::make_shared<Run>();
  run->reserve(entries.size());
  while (!pieces.empty()) {
    std::pop_heap(pieces.begin(), pieces.end(), later);
    Piece& first = pieces.back();
    run->push_back(first.at->key);
    if (++first.at == first.end) {
      pieces.pop_back();
    } else {
      std::push_heap(pieces.begin(), pieces.end(), later);
    }
    if (run->size() % kPieceKeys == 0) pause();
  }
  return run;
}

/// The `count` keys up to `newest`, in order.
std::shared_ptr<const Run> sorted(const BufferKey* newest, std::size_t count,
                                  FunctionRef<void()> pause) {
  std::size_t prefix = newest->size;
  const BufferKey* key = newest;
  for (std::size_t i = 0; i < count; ++i, key = key->older) {
    prefix = common_prefix(newest->key().substr(0, prefix), key->key());
    if (i % kPieceKeys == 0) pause();
  }
  // Many are not from the heap, which would keep what is needed for moments.
  std::vector<Entry> few(count < kManyKeys ? count : 0);
  const std::optional<Pages> many =
      count < kManyKeys ? std::nullopt : std::make_optional<Pages>(count * sizeof(Entry));
  const std::span<Entry> entries(many ? reinterpret_cast<Entry*>(many->at()) : few.data(), count);
  key = newest;
  for (std::size_t from = 0; from < count; from += kPieceKeys) {
    const auto piece = entries.subspan(from, std::min(kPieceKeys, count - from));
    for (Entry& entry : piece) {
      entry = {.digest = digest(key->key(), prefix), .key = key};
      key = key->older;
    }
    std::sort(piece.begin(), piece.end());
    pause();
  }
  return merged(entries, pause);
}

std::shared_ptr<const Run> merged(const Run& a, const Run& b) {
  auto run = std::make_shared<Run>();
  run->reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(*run), key_less);
  return run;
}

/// What is to be done so that an order has `unsorted` more keys.
struct Plan {
  std::size_t runs_kept;
  std::uint64_t keys_moved;
};

Plan plan_for(const Runs& runs, std::uint64_t unsorted) noexcept {
  Plan plan{.runs_kept = runs.size(), .keys_moved = unsorted};
  std::uint64_t length = unsorted;
  while (plan.runs_kept > 0 && runs[plan.runs_kept - 1]->size() < 2 * length) {
    length += runs[--plan.runs_kept]->size();
    plan.keys_moved += length;
  }
  return plan;
}

std::shared_ptr<const WriteBufferOrder> extended(const WriteBufferOrder& old, const Plan& plan,
                                                 const BufferKey* newest,
                                                 FunctionRef<void()> pause) {
  std::shared_ptr<const Run> run = sorted(newest, newest->number - old.keys(), pause);
  for (std::size_t i = old.runs().size(); i > plan.runs_kept; --i) {
    run = merged(*old.runs()[i - 1], *run);
  }
  Runs runs;
  runs.reserve(plan.runs_kept + 1);
  for (std::size_t i = 0; i < plan.runs_kept; ++i) runs.push_back(old.runs()[i]);
  runs.push_back(std::move(run));
  return std::make_shared<const WriteBufferOrder>(std::move(runs), newest);
}

}  // namespace

std::shared_ptr<const WriteBufferOrder> BufferSorter::order(const BufferKey* newest,
                                                            std::uint64_t most,
                                                            FunctionRef<void(double)> pause) {
  const std::uint64_t wanted = newest == nullptr ? 0 : newest->number;
  std::unique_lock lock(mutex_);
  while (order_->keys() < wanted && sorting_ != 0) {
    if (most < kUnlimited) return nullptr;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    done_.wait(lock);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (order_->keys() >= wanted) return order_;
  const std::shared_ptr<const WriteBufferOrder> old = order_;
  const Plan plan = plan_for(old->runs(), wanted - old->keys());
  if (plan.keys_moved > most) return nullptr;
  sorting_ = plan.keys_moved;
  lock.unlock();

  const auto publish = [&](std::shared_ptr<const WriteBufferOrder> made) noexcept {
    lock.lock();
    if (made != nullptr) order_ = made;
    sorting_ = 0;
    lock.unlock();
    done_.notify_all();
  };
  std::shared_ptr<const WriteBufferOrder> made;
  try {
    std::uint64_t moved = 0;
    const std::uint64_t all = kTimesMoved * plan.keys_moved;
    made = extended(*old, plan, newest, [&] {
      moved = std::min(moved + kPieceKeys, all);
      pause(static_cast<double>(moved) / static_cast<double>(all));
    });
  } catch (...) {
    publish(nullptr);
    throw;
  }
  publish(made);
  return made;
}

BufferCursor::BufferCursor(std::shared_ptr<const WriteBufferOrder> order, std::uint64_t version,
                           Later later) noexcept
    : order_(std::move(order)),
      version_(version),
      shows_later_(later == Later::shown),
      runs_(order_->runs().size()) {
  assert(runs_ <= kMostRuns);
  for (std::size_t i = 0; i < runs_; ++i) {
    const Run& run = *order_->runs()[i];
    places_[i] = {.begin = run.data(), .at = run.data(), .end = run.data() + run.size()};
  }
}

void BufferCursor::place(std::string_view key) noexcept {
  current_ = nullptr;
  for (std::size_t i = 0; i < runs_; ++i) {
    Place& place = places_[i];
    place.at = std::lower_bound(
        place.begin, place.end, key,
        [](const BufferKey* node, std::string_view sought) { return node->key() < sought; });
  }
}

bool BufferCursor::seek(std::string_view key) noexcept {
  place(key);
  return next();
}

bool BufferCursor::seek_before(std::string_view key) noexcept {
  place(key);
  return previous();
}

bool BufferCursor::last() noexcept {
  for (std::size_t i = 0; i < runs_; ++i) places_[i].at = places_[i].end;
  return previous();
}

/// At the key it has come to.
bool BufferCursor::stops() noexcept {
  outcome_ = (*current_->at)->at(version_);
  return outcome_ != nullptr || shows_later_;
}

bool BufferCursor::next() noexcept {
  for (;;) {
    if (current_ != nullptr) ++current_->at;
    current_ = nullptr;
    for (std::size_t i = 0; i < runs_; ++i) {
      Place& place = places_[i];
      if (place.at == place.end) continue;
      const std::string_view key = (*place.at)->key();
      if (current_ != nullptr && key >= key_) continue;
      current_ = &place;
      key_ = key;
    }
    if (current_ == nullptr) return false;
    if (stops()) return true;
  }
}

bool BufferCursor::previous() noexcept {
  for (;;) {
    current_ = nullptr;
    for (std::size_t i = 0; i < runs_; ++i) {
      Place& place = places_[i];
      if (place.at == place.begin) continue;
      const std::string_view key = place.at[-1]->key();
      if (current_ != nullptr && key <= key_) continue;
      current_ = &place;
      key_ = key;
    }
    if (current_ == nullptr) return false;
    --current_->at;
    if (stops()) return true;
  }
}

}  // namespace hyper_lmdb
