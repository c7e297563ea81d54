#include "path_view.h"

#include <chrono>
#include <utility>

namespace hyper_lmdb {

namespace {

/// The record in stored bytes; one of no kind where there are none.
Result<Record> record_in(const Bytes& bytes) noexcept {
  return bytes ? decode(*bytes) : Result<Record>(Record());
}

}  // namespace

std::uint64_t steady_ms() noexcept {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

Result<Bytes> PathView::look_up(std::string_view key) {
  if (key.empty() || is_reserved_path(key)) return Bytes();
  if (lookups_left_ == 0) return Error{.code = Code::work_limit, .operation = "resolve"};
  --lookups_left_;
  return store_.find(key);
}

Result<std::optional<std::string_view>> PathView::link_at(std::string_view key) {
  auto bytes = look_up(key);
  if (!bytes) return bytes.error();
  if (!bytes.value()) return std::optional<std::string_view>();
  auto record = decode(*bytes.value());
  if (!record) return record.error();
  if (record.value().kind != Kind::link) return std::optional<std::string_view>();
  if (auto intact = verify(key, *bytes.value()); !intact) return intact.error();
  return std::optional(record.value().payload);
}

// Where a path leads once every link among its prefixes is followed, the whole path included. A
// function of the links alone, which is what makes it worth caching.
Result<Resolved> PathView::follow(std::string_view path, PathText* end) {
  if (view_.none || path.empty()) {
    (void)end->assign(path);
    return Resolved::path;
  }
  PathCache& cache = links_->cache();
  const bool cached = view_.use_cache;
  const std::uint64_t now_ms = cached ? clock_() : 0;
  PathCache::Resolution at;
  const auto known = [&](std::string_view prefix, PathCache::Slots* slots) {
    return cached && cache.find(prefix, view_.version, now_ms, &at, slots);
  };
  if (known(path, nullptr)) return arrive(at, end);
  // From the nearest parent that is known, downwards; each parent on the way is remembered.
  PathCache::Slots slots;
  std::string_view start = cached ? parent_of(path) : std::string_view();
  while (!start.empty() && !known(start, &slots)) start = parent_of(start);
  if (start.empty()) at = PathCache::Resolution();
  const auto traced = [&](std::string_view key) {
    if (cached) slots.push_back(cache.slot_of(key));
    return link_at(key);
  };
  for (std::size_t done = start.size(); done < path.size();) {
    const std::size_t from = done == 0 ? 0 : done + 1;
    done = std::min(path.find('/', from), path.size());
    if (at.resolved == Resolved::path) {
      const std::size_t checked = at.end.view().size();
      // The limit is one for the whole way, whatever part of it was remembered.
      unsigned steps_left = kMostSteps - at.steps;
      Result<Resolved> followed = Resolved::dead;
      if (at.end.append(path.substr(from, done - from))) {
        followed = follow_links(&at.end, checked, &steps_left, traced);
      }
      if (!followed) return followed.error();
      at.resolved = followed.value();
      at.steps = kMostSteps - steps_left;
    }
    if (cached) cache.insert(path.substr(0, done), view_.version, now_ms, at, slots);
  }
  return arrive(at, end);
}

// The limit is one for a path, however many parts its way has.
Resolved PathView::arrive(const PathCache::Resolution& at, PathText* end) noexcept {
  steps_ += at.steps;
  *end = at.end;
  return steps_ > kMostSteps ? Resolved::dead : at.resolved;
}

// The path with the links among its parents followed, its own name left alone.
Result<Resolved> PathView::through_parents(std::string_view path, PathText* key) {
  auto followed = follow(parent_of(path), key);
  if (!followed || followed.value() == Resolved::dead) return followed;
  return key->append(name_in(path)) ? Resolved::path : Resolved::dead;
}

Result<PathView::Found> PathView::locate(std::string_view path) {
  Found found;
  steps_ = 0;
  (void)found.key.assign(path);
  auto record = look_at(&found);
  if (!record) return record.error();
  if (record.value().kind == Kind::none && !view_.none) {
    auto followed = through_parents(path, &found.key);
    if (!followed) return followed.error();
    if (followed.value() == Resolved::dead) return dead_end();
    if (found.key.view() == path) return found;
    record = look_at(&found);
    if (!record) return record.error();
  }
  if (record.value().kind != Kind::link) return found;
  // Its own target first, then the links on the way to that.
  if (auto intact = verify(found.key.view(), *found.bytes); !intact) return intact.error();
  ++steps_;
  auto followed = follow(record.value().payload, &found.key);
  if (!followed) return followed.error();
  if (followed.value() == Resolved::dead) return dead_end();
  if (auto last = look_at(&found); !last) return last.error();
  return found;
}

PathView::Found PathView::dead_end() {
  Found found;
  found.resolved = Resolved::dead;
  return found;
}

Result<Record> PathView::look_at(Found* found) {
  auto bytes = look_up(found->key.view());
  if (!bytes) return bytes.error();
  found->bytes = bytes.value();
  return record_in(found->bytes);
}

Result<Resolved> PathView::locate_for_write(std::string_view path, PathText* key) {
  steps_ = 0;
  if (view_.none) {
    (void)key->assign(path);
    return Resolved::path;
  }
  auto followed = through_parents(path, key);
  if (!followed || (followed.value() == Resolved::path && key->view() == path)) return followed;
  // The links among the parents lead elsewhere, unless the path itself holds something.
  auto bytes = look_up(path);
  if (!bytes) return bytes.error();
  auto record = record_in(bytes.value());
  if (!record) return record.error();
  if (record.value().kind == Kind::none) return followed;
  (void)key->assign(path);
  return Resolved::path;
}

}  // namespace hyper_lmdb
