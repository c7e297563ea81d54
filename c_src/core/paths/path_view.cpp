#include "paths/path_view.h"

#include <chrono>
#include <utility>

namespace hyper_lmdb {

namespace {

Error over_limit() noexcept {
  return {.code = Code::work_limit, .operation = "resolve"};
}

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
  if (lookups_left_ == 0) return over_limit();
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
// function of the links alone, which is what makes it worth caching. `slots`, unless null, gets
// what it depends on.
Result<void> PathView::follow(std::string_view path, PathCache::Resolution* at, Slots* slots) {
  *at = PathCache::Resolution();
  if (view_.none || path.empty()) {
    at->end.assign(path);
    return {};
  }
  const bool cached = view_.use_cache;
  if (cached && known(cache().key_of(path), at, slots)) return {};
  // From the nearest parent that is known, downwards; each parent on the way is remembered.
  Slots passed;
  std::string_view start = cached ? parent_of(path) : std::string_view();
  for (std::uint64_t unknown = 0; !start.empty(); start = parent_of(start)) {
    if (known(cache().key_of(start), at, &passed)) break;
    // Each will have to be looked up.
    if (++unknown > lookups_left_) return over_limit();
  }
  const std::size_t most_bytes = store_.max_key_bytes();
  const auto traced = [&](std::string_view key) {
    if (cached) passed.push_back(cache().slot_of(key));
    return link_at(key);
  };
  for (std::size_t done = start.size(); done < path.size();) {
    const std::size_t from = done == 0 ? 0 : done + 1;
    done = std::min(path.find('/', from), path.size());
    if (at->resolved == Resolved::path) {
      const std::size_t checked = at->end.view().size();
      // The limit is one for the whole way, whatever part of it was remembered.
      unsigned steps_left = kMostSteps - at->steps;
      Result<Resolved> followed = Resolved::dead;
      if (at->end.append(path.substr(from, done - from), most_bytes)) {
        followed = follow_links(&at->end, checked, &steps_left, most_bytes, traced);
      }
      if (!followed) return followed.error();
      at->resolved = followed.value();
      at->steps = kMostSteps - steps_left;
    }
    if (cached) remember(cache().key_of(path.substr(0, done)), *at, passed);
  }
  at->below = PathCache::Below::find_out;
  if (slots != nullptr) slots->insert(slots->end(), passed.begin(), passed.end());
  return {};
}

bool PathView::known(const PathCache::Key& key, PathCache::Resolution* at, Slots* slots) {
  return cache().find(key, view_.version, now_ms(), at, slots);
}

void PathView::remember(const PathCache::Key& key, const PathCache::Resolution& at,
                        const Slots& slots) {
  cache().insert(key, view_.version, now_ms(), at, slots);
}

std::uint64_t PathView::now_ms() noexcept {
  if (!now_ms_) now_ms_ = clock_();
  return *now_ms_;
}

// Finds out whether a value below a directory may come before what its paths lead to. What the
// buffers hold is not looked at: where a key may have appeared in them, LMDB soon has it.
Result<void> PathView::look_below(std::string_view path) {
  const auto directory = cache().key_of(parent_of(path));
  if (lookups_left_ == 0 || links_->tree_may_be_ahead_of(view_.version) ||
      cache().may_have_appeared(directory, store_.tree_version())) {
    return {};
  }
  --lookups_left_;
  auto any = store_.tree_has(path.substr(0, directory.path.size() + 1));
  if (!any) return any.error();
  cache().looked_below(directory, view_.version, now_ms(), !any.value());
  return {};
}

// A path that was read through links the last time is looked for in the cache before it is looked
// up itself; one that holds a value does not pay for the cache.
Result<void> PathView::locate(std::string_view path, Found* found) {
  using Hint = PathCache::Hint;
  const bool cached = view_.use_cache && !view_.none;
  const Hint hint = cached ? cache().hint(path) : Hint::itself;
  const auto next_time = [&](Hint now) {
    if (cached && now != hint) cache().set_hint(path, now);
  };
  PathCache::Resolution at;
  if (hint == Hint::own_link && known(PathCache::own_link(cache().key_of(path)), &at, nullptr)) {
    return end_at(at, found);
  }
  const bool parents_known =
      hint == Hint::through_parents && known(cache().key_of(parent_of(path)), &at, nullptr);
  if (!parents_known || at.below != PathCache::Below::nothing) {
    found->key.assign(path);
    auto record = look_at(found);
    if (!record) return record.error();
    if (record.value().kind == Kind::link) {
      next_time(Hint::own_link);
      return through_own_link(path, record.value().payload, found);
    }
    if (record.value().kind != Kind::none || view_.none) {
      next_time(Hint::itself);
      return {};
    }
  }
  if (!parents_known) {
    if (auto followed = follow(parent_of(path), &at, nullptr); !followed) return followed;
  }
  if (at.steps == 0) {
    next_time(Hint::itself);
    // Perhaps not looked up: a view of before, through links that are gone, may have found that
    // nothing lies below the directory.
    (void)found->key.assign(path);
    return {};
  }
  next_time(Hint::through_parents);
  if (cached && at.below == PathCache::Below::find_out) {
    if (auto looked = look_below(path); !looked) return looked;
  }
  return through_parents(path, at, found);
}

Result<void> PathView::through_own_link(std::string_view path, std::string_view target,
                                        Found* found) {
  PathCache::Resolution at;
  Slots slots;
  if (auto done = follow_link(*found, target, 0, &at, &slots); !done) return done;
  if (view_.use_cache) {
    slots.push_back(cache().slot_of(path));
    remember(PathCache::own_link(cache().key_of(path)), at, slots);
  }
  return end_at(at, found);
}

Result<void> PathView::through_parents(std::string_view path, const PathCache::Resolution& parents,
                                       Found* found) {
  found->resolved = add_name(path, parents, &found->key);
  found->bytes.reset();
  if (found->resolved == Resolved::dead) return {};
  auto record = look_at(found);
  if (!record) return record.error();
  if (record.value().kind != Kind::link) return {};
  PathCache::Resolution at;
  if (auto done = follow_link(*found, record.value().payload, parents.steps, &at, nullptr); !done) {
    return done;
  }
  return end_at(at, found);
}

/// A link's own target first, then the links on the way to that, after so many steps.
Result<void> PathView::follow_link(const Found& link, std::string_view target, unsigned steps,
                                   PathCache::Resolution* at, Slots* slots) {
  if (auto intact = verify(link.key.view(), *link.bytes); !intact) return intact;
  if (auto followed = follow(target, at, slots); !followed) return followed;
  // The limit is one for a path, however many parts its way has.
  at->steps += steps + 1;
  if (at->steps > kMostSteps) at->resolved = Resolved::dead;
  return {};
}

Result<void> PathView::end_at(const PathCache::Resolution& at, Found* found) {
  found->resolved = at.resolved;
  found->bytes.reset();
  if (at.resolved == Resolved::dead) return {};
  found->key = at.end;
  auto record = look_at(found);
  return record ? Result<void>() : record.error();
}

/// What is at the key.
Result<Record> PathView::look_at(Found* found) {
  auto bytes = look_up(found->key.view());
  if (!bytes) return bytes.error();
  found->bytes = bytes.value();
  return record_in(found->bytes);
}

/// The path with the links among its parents followed, its own name left alone.
Resolved PathView::add_name(std::string_view path, const PathCache::Resolution& parents,
                            PathText* key) const {
  if (parents.resolved == Resolved::dead) return Resolved::dead;
  *key = parents.end;
  return key->append(name_in(path), store_.max_key_bytes()) ? Resolved::path : Resolved::dead;
}

Result<Resolved> PathView::locate_for_write(std::string_view path, PathText* key) {
  PathCache::Resolution at;
  if (auto followed = follow(parent_of(path), &at, nullptr); !followed) return followed.error();
  const Resolved led = add_name(path, at, key);
  if (at.steps == 0 || at.below == PathCache::Below::nothing) return led;
  // The links among the parents lead elsewhere, unless the path itself holds something.
  auto bytes = look_up(path);
  if (!bytes) return bytes.error();
  auto record = record_in(bytes.value());
  if (!record) return record.error();
  if (record.value().kind == Kind::none) return led;
  key->assign(path);
  return Resolved::path;
}

}  // namespace hyper_lmdb
