#include "read/range.h"

#include <algorithm>

#include "format/identity.h"
#include "format/record.h"

namespace hyper_lmdb {

namespace {

/// The first of the keys behind all those that begin with `prefix`; none where there is no such.
std::optional<std::string> behind(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

void lower(std::optional<std::string>* high, std::string other) {
  if (!*high || other < **high) *high = std::move(other);
}

}  // namespace

KeyBounds bounds_of(const Range& range, std::size_t max_key_bytes) {
  // No key is as long, so the rest tells nothing; LMDB takes no longer ones to look for.
  const auto bound = [&](std::string_view key) {
    return std::string(key.substr(0, max_key_bytes + 1));
  };
  KeyBounds bounds{.low = bound(range.prefix), .high = behind(bound(range.prefix))};
  if (range.from) bounds.low = std::max(bounds.low, bound(*range.from));
  if (range.to) lower(&bounds.high, bound(*range.to));
  if (range.after) {
    if (range.reverse) {
      lower(&bounds.high, bound(*range.after));
    } else {
      bounds.low = std::max(bounds.low, bound(*range.after) + '\0');
    }
  }
  return bounds;
}

Result<std::optional<std::string>> walk_range(
    const View& view, const Range& range, Walked walked, const Effort& effort,
    FunctionRef<Result<bool>(std::string_view key, std::string_view bytes)> on_record) {
  using Next = std::optional<std::string>;
  const KeyBounds bounds = bounds_of(range, view.max_key_bytes());
  auto opened = ViewCursor::open(view, effort.sorting, ViewCursor::Removed::shown);
  if (!opened) return opened.error();
  ViewCursor& cursor = opened.value();
  const auto first = [&] {
    if (!range.reverse) return cursor.seek(bounds.low);
    return bounds.high ? cursor.seek_before(*bounds.high) : cursor.last();
  };
  std::string done(range.after.value_or(std::string_view()));  // the key looked at last
  std::uint64_t entries = 0;
  auto there = first();
  for (std::uint64_t records = 0;; ++records) {
    if (!there) return there.error();
    if (!there.value() || !bounds.hold(cursor.key())) return Next();
    const bool hidden = cursor.key() == kReservedKey;
    if (!hidden && (records == effort.lookups || entries == range.limit)) {
      return Next(std::move(done));
    }
    if (!hidden && !cursor.removed()) {
      auto record = decode(cursor.bytes());
      if (!record) return record.error();
      if (walked == Walked::records || record.value().kind == Kind::value) {
        auto taken = on_record(cursor.key(), cursor.bytes());
        if (!taken) return taken.error();
        if (!taken.value()) return Next(std::move(done));
        ++entries;
      }
    }
    done.assign(cursor.key());
    there = range.reverse ? cursor.previous() : cursor.next();
  }
}

}  // namespace hyper_lmdb
