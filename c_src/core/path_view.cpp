#include "path_view.h"

#include <chrono>
#include <utility>

#include "errors.h"
#include "txn.h"
#include "value.h"

namespace hyper_lmdb {

namespace {

/// The kind of a record; nothing where there is no record.
Result<Kind> kind_of(const std::optional<std::string_view>& bytes) noexcept {
  if (!bytes) return Kind::none;
  auto record = decode(*bytes);
  if (!record) return record.error();
  return record.value().kind;
}

}  // namespace

std::uint64_t steady_ms() noexcept {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

Result<PathView::Bytes> PathView::look_up(std::string_view key) {
  if (key.empty() || key == kReservedKey) return Bytes();
  if (lookups_left_ == 0) return Error{.code = Code::work_limit, .operation = "resolve"};
  --lookups_left_;
  MDB_val wanted = to_val(key);
  MDB_val found{};
  const int rc = mdb_get(txn_, dbi_, &wanted, &found);
  if (rc == MDB_NOTFOUND) return Bytes();
  if (rc != 0) return from_lmdb(rc, "mdb_get");
  return Bytes(to_view(found));
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
  if (!view_.use_cache) return follow_uncached(path, end);
  PathCache& cache = links_->cache();
  const std::uint64_t now_ms = clock_();
  PathCache::Resolution at;
  const auto answer = [&] {
    *end = at.end;
    return at.resolved;
  };
  if (cache.find(path, view_.version, now_ms, &at, nullptr)) return answer();

  // From the nearest parent that is known, downwards; each parent on the way is remembered.
  PathCache::Slots slots;
  std::string_view known = parent_of(path);
  while (!known.empty() && !cache.find(known, view_.version, now_ms, &at, &slots)) {
    known = parent_of(known);
  }
  if (known.empty()) at = {};
  const auto traced = [&](std::string_view key) {
    slots.push_back(cache.slot_of(key));
    return link_at(key);
  };
  for (std::size_t done = known.size(); done < path.size();) {
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
    cache.insert(path.substr(0, done), view_.version, now_ms, at, slots);
  }
  return answer();
}

Result<Resolved> PathView::follow_uncached(std::string_view path, PathText* end) {
  (void)end->assign(path);
  unsigned steps_left = kMostSteps;
  return follow_links(end, 0, &steps_left, [this](std::string_view key) { return link_at(key); });
}

// The path with the links among its parents followed, its own name left alone.
Result<Resolved> PathView::through_parents(std::string_view path, PathText* key) {
  auto followed = follow(parent_of(path), key);
  if (!followed || followed.value() == Resolved::dead) return followed;
  return key->append(name_in(path)) ? Resolved::path : Resolved::dead;
}

Result<PathView::Found> PathView::locate(std::string_view path) {
  Found found;
  (void)found.key.assign(path);
  auto bytes = look_up(path);
  if (!bytes) return bytes.error();
  found.bytes = bytes.value();
  auto kind = kind_of(found.bytes);
  if (!kind) return kind.error();
  if (kind.value() == Kind::value || view_.none) return found;

  if (kind.value() == Kind::none) {
    auto followed = through_parents(path, &found.key);
    if (!followed) return followed.error();
    found.resolved = followed.value();
    if (found.resolved == Resolved::dead) found.bytes.reset();
    if (found.resolved == Resolved::dead || found.key.view() == path) return found;
    bytes = look_up(found.key.view());
    if (!bytes) return bytes.error();
    found.bytes = bytes.value();
    kind = kind_of(found.bytes);
    if (!kind) return kind.error();
    if (kind.value() != Kind::link) return found;
  }
  const PathText link = found.key;
  auto followed = follow(link.view(), &found.key);
  if (!followed) return followed.error();
  found.resolved = followed.value();
  found.bytes.reset();
  if (found.resolved == Resolved::dead) return found;
  bytes = look_up(found.key.view());
  if (!bytes) return bytes.error();
  found.bytes = bytes.value();
  return found;
}

Result<Resolved> PathView::locate_for_write(std::string_view path, PathText* key) {
  if (view_.none) {
    (void)key->assign(path);
    return Resolved::path;
  }
  auto followed = through_parents(path, key);
  if (!followed || (followed.value() == Resolved::path && key->view() == path)) return followed;
  // The links among the parents lead elsewhere, unless the path itself holds something.
  auto bytes = look_up(path);
  if (!bytes) return bytes.error();
  auto kind = kind_of(bytes.value());
  if (!kind) return kind.error();
  if (kind.value() == Kind::none) return followed;
  (void)key->assign(path);
  return Resolved::path;
}

}  // namespace hyper_lmdb
