#include "read/listing.h"

#include <algorithm>
#include <optional>
#include <string>

#include "format/identity.h"
#include "format/path.h"
#include "format/record.h"

namespace hyper_lmdb {

namespace {

using Name = std::optional<std::string_view>;

constexpr char kAfterSlash = '/' + 1;  // every key below a group sorts before group + this

/// The children of one group, found by seeking.
///
/// Byte order and name order differ: below a group, `x-y` sorts before `x/z`, but the child `x`
/// comes before the child `x-y`. A child that exists only through its subtree therefore hides
/// behind longer names that continue it with a byte under `/`; such prefixes are looked for by
/// name.
class Children {
 public:
  /// The cursor shows removed keys, so that each of them counts.
  Children(ViewCursor* cursor, std::string_view group, std::uint64_t most_lookups)
      : cursor_(cursor), base_(group), lookups_left_(most_lookups) {
    if (!base_.empty()) base_ += '/';
  }

  /// The first name after `previous`, or the first of all.
  Result<Name> next(Name previous) {
    auto found = name_from(previous ? std::string(*previous) + '\0' : std::string());
    // The subtree of a name that was given before, or of one it continues: past it.
    while (found && found.value() && previous && *found.value() <= *previous) {
      found = name_from(std::string(*found.value()) + kAfterSlash);
    }
    if (!found || !found.value()) return found;
    const std::string name(*found.value());
    for (std::size_t size = 1; size < name.size(); ++size) {
      const std::string_view shorter = std::string_view(name).substr(0, size);
      if (static_cast<unsigned char>(name[size]) >= '/' || (previous && shorter <= *previous)) {
        continue;
      }
      auto there = has_subtree(shorter);
      if (!there) return there.error();
      if (there.value()) return keep(shorter);
    }
    return keep(name);
  }

  /// The last name before `following`, or the last of all.
  Result<Name> previous(Name following) {
    if (following && following->empty()) return Name();  // nothing comes before the empty name
    std::string bound = following ? std::string(*following) : std::string();
    // No name has a slash: what comes after one tells nothing.
    if (const auto slash = bound.find('/'); slash != std::string::npos) bound.resize(slash + 1);
    std::optional<std::string> best;
    auto found = following ? name_before(bound) : last_name();
    for (;;) {
      if (!found) return found.error();
      if (!found.value()) break;
      const std::string name(*found.value());
      if (best && (name.size() <= best->size() || !name.starts_with(*best))) break;
      best = name;
      if (!through_subtree_) break;
      // Longer names that continue this one come before its subtree in byte order, after it in name
      // order.
      found = name_before(name + '/');
    }
    // Shorter names hide behind the bound by their subtree.
    for (std::size_t size = bound.size(); following && size-- > 1;) {
      if (static_cast<unsigned char>(bound[size]) > '/') continue;
      const std::string_view shorter = std::string_view(bound).substr(0, size);
      if (best && *best >= shorter) break;
      auto there = has_subtree(shorter);
      if (!there) return there.error();
      if (there.value()) {
        best = std::string(shorter);
        break;
      }
    }
    if (!best) return Name();
    return keep(*best);
  }

 private:
  Result<Name> keep(std::string_view name) {
    kept_ = std::string(name);
    return Name(kept_);
  }

  /// The child that the key at the cursor belongs to; nothing outside the group.
  Name child_of(std::string_view key) noexcept {
    if (!key.starts_with(base_)) return {};
    const std::string_view below = key.substr(base_.size());
    const std::size_t slash = below.find('/');
    through_subtree_ = slash != std::string_view::npos;
    return below.substr(0, slash);
  }

  bool is_at_path_below() const noexcept {
    const std::string_view key = cursor_->key();
    return !cursor_->removed() && key.size() > base_.size() && !is_reserved_path(key) &&
           is_canonical_path(key);
  }

  /// Whether another move of the cursor is allowed.
  Result<void> count_move() {
    if (lookups_left_ == 0) return Error{.code = Code::work_limit, .operation = "list"};
    --lookups_left_;
    return {};
  }

  using Move = Result<bool> (ViewCursor::*)();

  /// Goes on in one direction to the first key of the group that is a path.
  Result<Name> settle(Result<bool> there, Move onwards) {
    while (there && there.value()) {
      const Name name = child_of(cursor_->key());
      if (!name || is_at_path_below()) return name;
      if (auto allowed = count_move(); !allowed) return allowed.error();
      there = (cursor_->*onwards)();
    }
    if (!there) return there.error();
    return Name();
  }

  /// The child that the first path at or after `from` belongs to, in byte order.
  Result<Name> name_from(const std::string& from) {
    if (auto allowed = count_move(); !allowed) return allowed.error();
    return settle(cursor_->seek(base_ + from), &ViewCursor::next);
  }

  /// The child that the last path before `before` belongs to, in byte order.
  Result<Name> name_before(const std::string& before) { return last_before(base_ + before); }

  Result<Name> last_name() {
    if (!base_.empty()) {
      std::string end = base_;
      end.back() = kAfterSlash;  // the first key after every one that begins with `group/`
      return last_before(end);
    }
    if (auto allowed = count_move(); !allowed) return allowed.error();
    return settle(cursor_->last(), &ViewCursor::previous);
  }

  Result<Name> last_before(const std::string& end) {
    if (auto allowed = count_move(); !allowed) return allowed.error();
    return settle(cursor_->seek_before(end), &ViewCursor::previous);
  }

  Result<bool> has_subtree(std::string_view name) {
    const std::string start = base_ + std::string(name) + '/';
    if (auto allowed = count_move(); !allowed) return allowed.error();
    auto there = cursor_->seek(start);
    while (there && there.value()) {
      if (!cursor_->key().starts_with(start)) return false;
      if (is_at_path_below()) return true;
      if (auto allowed = count_move(); !allowed) return allowed.error();
      there = cursor_->next();
    }
    return there;
  }

  ViewCursor* cursor_;
  std::string base_;
  std::uint64_t lookups_left_;
  std::string kept_;
  bool through_subtree_ = false;  // of the name found last
};

}  // namespace

Result<bool> has_children(const View& view, std::string_view group, std::uint64_t most_lookups) {
  auto cursor = ViewCursor::open(view, most_lookups, ViewCursor::Removed::shown);
  if (!cursor) return cursor.error();
  auto name = Children(&cursor.value(), group, most_lookups).next({});
  if (!name) return name.error();
  return name.value().has_value();
}

Result<void> list_children(const View& view, std::string_view group, const Page& page,
                           FunctionRef<bool(std::string_view)> on_name) {
  auto cursor = ViewCursor::open(view, kNoLimit, ViewCursor::Removed::shown);
  if (!cursor) return cursor.error();
  Children children(&cursor.value(), group, kNoLimit);
  std::string last;
  Name at = page.cursor;
  for (std::uint64_t count = 0; count < page.limit; ++count) {
    auto name = page.reverse ? children.previous(at) : children.next(at);
    if (!name) return name.error();
    if (!name.value() || !on_name(*name.value())) break;
    last = std::string(*name.value());
    at = last;
  }
  return {};
}

Result<void> list_keys(const View& view, std::string_view prefix, const Page& page,
                       FunctionRef<bool(std::string_view)> on_key) {
  auto opened = ViewCursor::open(view, kNoLimit);
  if (!opened) return opened.error();
  ViewCursor& cursor = opened.value();
  std::string start(prefix);
  if (page.cursor && std::string(*page.cursor) + '\0' > start) {
    start = std::string(*page.cursor) + '\0';
  }
  // No key is as long: the rest tells nothing.
  start.resize(std::min(start.size(), view.max_key_bytes() + 1));
  std::uint64_t count = 0;
  auto there = cursor.seek(start);
  for (; there && there.value() && count < page.limit; there = cursor.next()) {
    if (!cursor.key().starts_with(prefix)) return {};
    if (cursor.key() == kReservedKey) continue;
    auto record = decode(cursor.bytes());
    if (!record) return record.error();
    if (!is_present(record.value())) continue;
    if (!on_key(cursor.key())) return {};
    ++count;
  }
  return there ? Result<void>() : there.error();
}

}  // namespace hyper_lmdb
