#include "listing.h"

#include <optional>
#include <string>

#include "errors.h"
#include "path.h"
#include "txn.h"
#include "value.h"

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
  Children(MDB_cursor* cursor, std::string_view group, std::uint64_t most_lookups)
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

  bool is_path_below(std::string_view key) const noexcept {
    return key.size() > base_.size() && !is_reserved_path(key) && is_canonical_path(key);
  }

  /// Moves the cursor; false at the end.
  Result<bool> move(MDB_cursor_op op, MDB_val* key) {
    if (lookups_left_ == 0) return Error{.code = Code::work_limit, .operation = "list"};
    --lookups_left_;
    MDB_val value{};
    const int rc = mdb_cursor_get(cursor_, key, &value, op);
    if (rc != 0 && rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
    return rc == 0;
  }

  /// Goes on in one direction to the first key of the group that is a path.
  Result<Name> settle(Result<bool> there, MDB_val key, MDB_cursor_op onwards) {
    for (; there && there.value(); there = move(onwards, &key)) {
      const Name name = child_of(to_view(key));
      if (!name || is_path_below(to_view(key))) return name;
    }
    if (!there) return there.error();
    return Name();
  }

  /// The child that the first path at or after `from` belongs to, in byte order.
  Result<Name> name_from(const std::string& from) {
    const std::string start = base_ + from;
    MDB_val key = to_val(start);
    auto there = move(start.empty() ? MDB_FIRST : MDB_SET_RANGE, &key);
    return settle(there, key, MDB_NEXT);
  }

  /// The child that the last path before `before` belongs to, in byte order.
  Result<Name> name_before(const std::string& before) { return last_before(base_ + before); }

  Result<Name> last_name() {
    if (!base_.empty()) {
      std::string end = base_;
      end.back() = kAfterSlash;  // the first key after every one that begins with `group/`
      return last_before(end);
    }
    MDB_val key{};
    auto there = move(MDB_LAST, &key);
    return settle(there, key, MDB_PREV);
  }

  Result<Name> last_before(const std::string& end) {
    MDB_val key = to_val(end);
    auto there = move(MDB_SET_RANGE, &key);
    if (there) there = move(there.value() ? MDB_PREV : MDB_LAST, &key);
    return settle(there, key, MDB_PREV);
  }

  Result<bool> has_subtree(std::string_view name) {
    const std::string start = base_ + std::string(name) + '/';
    MDB_val key = to_val(start);
    auto there = move(MDB_SET_RANGE, &key);
    for (; there && there.value(); there = move(MDB_NEXT, &key)) {
      if (!to_view(key).starts_with(start)) return false;
      if (is_path_below(to_view(key))) return true;
    }
    return there;
  }

  MDB_cursor* cursor_;
  std::string base_;
  std::uint64_t lookups_left_;
  std::string kept_;
  bool through_subtree_ = false;  // of the name found last
};

}  // namespace

Result<bool> has_children(MDB_txn* txn, MDB_dbi dbi, std::string_view group,
                          std::uint64_t most_lookups) {
  auto cursor = Cursor::open(txn, dbi);
  if (!cursor) return cursor.error();
  auto name = Children(cursor.value().get(), group, most_lookups).next({});
  if (!name) return name.error();
  return name.value().has_value();
}

Result<void> list_children(MDB_txn* txn, MDB_dbi dbi, std::string_view group, const Page& page,
                           FunctionRef<bool(std::string_view)> on_name) {
  auto cursor = Cursor::open(txn, dbi);
  if (!cursor) return cursor.error();
  Children children(cursor.value().get(), group, kAnyLookups);
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

Result<void> list_keys(MDB_txn* txn, MDB_dbi dbi, std::string_view prefix, const Page& page,
                       FunctionRef<bool(std::string_view)> on_key) {
  auto cursor = Cursor::open(txn, dbi);
  if (!cursor) return cursor.error();
  std::string start(prefix);
  if (page.cursor && std::string(*page.cursor) + '\0' > start) {
    start = std::string(*page.cursor) + '\0';
  }
  if (start.size() > kMaxKeyBytes + 1) start.resize(kMaxKeyBytes + 1);
  MDB_val key = to_val(start);
  MDB_val value{};
  std::uint64_t count = 0;
  int rc =
      mdb_cursor_get(cursor.value().get(), &key, &value, start.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (; rc == 0 && count < page.limit;
       rc = mdb_cursor_get(cursor.value().get(), &key, &value, MDB_NEXT)) {
    if (!to_view(key).starts_with(prefix)) return {};
    if (to_view(key) == kReservedKey) continue;
    auto record = decode(to_view(value));
    if (!record) return record.error();
    if (!is_present(record.value())) continue;
    if (!on_key(to_view(key))) return {};
    ++count;
  }
  if (rc != 0 && rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
  return {};
}

}  // namespace hyper_lmdb
