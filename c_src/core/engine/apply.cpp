#include "engine/apply.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "format/compression.h"
#include "format/identity.h"
#include "format/record.h"
#include "lmdb/txn.h"
#include "lmdb/version.h"
#include "os/errors.h"
#include "write/batch_rules.h"

namespace hyper_lmdb {

namespace {

bool is_link(const Result<Record>& record) noexcept {
  return record && record.value().kind == Kind::link;
}

/// One key at a time under a cursor; without one only puts over values.
class KeyWriter {
 public:
  KeyWriter(const ApplyTarget& target, MDB_cursor* cursor) noexcept
      : target_(target), cursor_(cursor) {}

  Result<void> apply(const Op& op, std::string_view key) {
    if (target_.reading != nullptr && target_.reading->over()) return ReadCall::work_limit();
    switch (op.kind) {
      case OpKind::put:
        return write(key, record_of(op, false, target_.checksum));
      case OpKind::link:
        return write_link(key, op.value);
      case OpKind::group:
        return mark(key);
      case OpKind::remove:
        return remove(key);
      case OpKind::check_value:
      case OpKind::check_absent:
        return {};
    }
    return Error{.code = Code::internal, .operation = "apply"};
  }

  /// Removes the record the cursor stands on.
  Result<void> remove_current(std::string_view key, const MDB_val& bytes) {
    const auto old = decode(to_view(bytes));
    if (is_link(old)) target_.links->change(key, -1);
    if (old && old.value().group) target_.links->change_mark(-1);
    if (const int rc = mdb_cursor_del(cursor_, 0); rc != 0) return from_lmdb(rc, "mdb_cursor_del");
    return {};
  }

 private:
  Result<void> write(std::string_view key, Record record) {
    MDB_val name = to_val(key);
    MDB_val space{encoded_size(record), nullptr};
    // One descent: either the key is new and its space is there, or the cursor stands on the old
    // one, which matters only where it may be more than a value.
    const unsigned look = target_.links->values_only() ? 0 : MDB_NOOVERWRITE;
    int rc = put(&name, &space, look | MDB_RESERVE);
    bool was_link = false;
    if (rc == MDB_KEYEXIST) {
      const auto old = decode(to_view(space));
      // A record that does not decode is replaced all the same: that is how a user repairs it.
      record.group = old && old.value().group;
      was_link = is_link(old);
      space = {encoded_size(record), nullptr};
      rc = put(&name, &space, MDB_CURRENT | MDB_RESERVE);
    } else if (rc == 0) {
      target_.links->appears(key);
    }
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_put");
    encode(key, record, static_cast<char*>(space.mv_data));
    const bool now_link = record.kind == Kind::link;
    if (was_link || now_link) target_.links->change(key, int{now_link} - int{was_link});
    return {};
  }

  Result<void> write_link(std::string_view key, std::string_view target) {
    PathText text;
    if (!text.assign_canonical(target, max_key_bytes(mdb_txn_env(target_.txn)))) {
      return Error{.code = Code::key_too_large, .operation = "link"};
    }
    return write(key, {.kind = Kind::link, .checksum = target_.checksum, .payload = text.view()});
  }

  Result<void> mark(std::string_view key) {
    MDB_val name = to_val(key);
    MDB_val found{};
    const int rc = mdb_cursor_get(cursor_, &name, &found, MDB_SET);
    if (rc == MDB_NOTFOUND) {
      target_.links->appears(key);
      return write_mark(key, {});
    }
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_get");
    auto record = decode(to_view(found));
    if (!record) return record.error();
    if (record.value().kind == Kind::link || record.value().group) return {};
    if (too_long(found)) return ReadCall::work_limit();
    // Written anew, the record gets a checksum that holds.
    if (auto intact = verify(key, to_view(found)); !intact) return intact;
    // The payload lies in a page that the write is about to change.
    const std::string payload(record.value().payload);
    if (auto room = target_.more_pages(payload.size() / target_.page_bytes + 2); !room) return room;
    Record marked = record.value();
    marked.payload = payload;
    return write_mark(key, marked);
  }

  Result<void> write_mark(std::string_view key, Record record) {
    target_.links->change_mark(+1);
    record.group = true;
    MDB_val name = to_val(key);
    MDB_val space{encoded_size(record), nullptr};
    if (const int rc = put(&name, &space, MDB_RESERVE); rc != 0) {
      return from_lmdb(rc, "mdb_cursor_put");
    }
    encode(key, record, static_cast<char*>(space.mv_data));
    return {};
  }

  int put(MDB_val* name, MDB_val* space, unsigned flags) noexcept {
    if (cursor_ == nullptr) return mdb_put(target_.txn, target_.dbi, name, space, flags);
    return mdb_cursor_put(cursor_, name, space, flags);
  }

  Result<void> remove(std::string_view key) {
    MDB_val name = to_val(key);
    MDB_val found{};
    const int rc = mdb_cursor_get(cursor_, &name, &found, MDB_SET);
    if (rc == MDB_NOTFOUND) return {};
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_get");
    if (too_long(found)) return ReadCall::work_limit();  // each of its pages is freed by itself
    return remove_current(key, found);
  }

  bool too_long(const MDB_val& bytes) const noexcept {
    return target_.reading != nullptr && !target_.reading->allows_bytes(bytes.mv_size);
  }

  const ApplyTarget& target_;
  MDB_cursor* cursor_;
};

constexpr std::uint64_t kSortedFrom = 4;  // leaf pages an element

/// An element's place in a batch, and the first bytes of its key as a number that sorts as they do.
struct Position {
  std::uint64_t prefix;
  std::uint32_t index;
};

std::uint64_t prefix_of(std::string_view key) noexcept {
  unsigned char bytes[8] = {};
  std::memcpy(bytes, key.data(), std::min(key.size(), sizeof bytes));
  std::uint64_t prefix = 0;
  for (const unsigned char byte : bytes) prefix = prefix << 8 | byte;
  return prefix;
}

/// In key order the cursor mostly stays on its page; one key's elements stay in the order given.
std::vector<Position> in_key_order(std::span<const Op> ops) {
  std::vector<Position> order;
  order.reserve(ops.size());
  for (const Op& op : ops) {
    order.push_back({prefix_of(op.key), static_cast<std::uint32_t>(order.size())});
  }
  std::sort(order.begin(), order.end(), [&](const Position& a, const Position& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const int compared = ops[a.index].key.compare(ops[b.index].key);
    return compared != 0 ? compared < 0 : a.index < b.index;
  });
  return order;
}

Result<void> apply_in_order(const ApplyTarget& target, KeyWriter& writer, std::span<const Op> ops) {
  // The transaction shows what the elements before left.
  const View view = View(target.txn, target.dbi, mdb_txn_id(target.txn)).under(target.reading);
  std::uint64_t lookups_left = lookups_for_paths(view);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    PathText path;
    std::string_view key = ops[i].key;
    if (ops[i].is_path) {
      auto led = target_of(view, target.links, target.clock, ops, i, &lookups_left);
      if (!led) return led.error();
      path = led.value();
      key = path.view();
    }
    if (auto done = writer.apply(ops[i], key); !done) return done;
  }
  return {};
}

}  // namespace

Result<void> apply(const ApplyTarget& target, std::span<const Op> ops) {
  const bool straight = goes_straight(*target.links, ops);
  if (straight && ops.size() == 1 && ops[0].kind == OpKind::put && target.links->values_only()) {
    return KeyWriter(target, nullptr).apply(ops[0], ops[0].key);
  }
  auto cursor = Cursor::open(target.txn, target.dbi);
  if (!cursor) return cursor.error();
  KeyWriter writer(target, cursor.value().get());
  if (!straight) return apply_in_order(target, writer, ops);
  // Few keys of a large tree share no page: then sorting costs more than it saves.
  if (ops.size() * kSortedFrom < target.leaf_pages) {
    for (const Op& op : ops) {
      if (auto done = writer.apply(op, op.key); !done) return done;
    }
    return {};
  }
  for (const Position& at : in_key_order(ops)) {
    if (auto done = writer.apply(ops[at.index], ops[at.index].key); !done) return done;
  }
  return {};
}

Result<RemovedPart> remove_prefix(const ApplyTarget& target, std::string_view prefix,
                                  std::string_view from, std::uint64_t most) {
  auto cursor = Cursor::open(target.txn, target.dbi);
  if (!cursor) return cursor.error();
  KeyWriter writer(target, cursor.value().get());
  from = std::max(from, prefix);
  MDB_val key = to_val(from);
  MDB_val found{};
  RemovedPart part;
  int rc =
      mdb_cursor_get(cursor.value().get(), &key, &found, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  while (rc == 0 && to_view(key).starts_with(prefix)) {
    if (to_view(key) != kReservedKey) {
      if (part.records == most) {
        part.next = to_view(key);
        break;
      }
      if (auto done = writer.remove_current(to_view(key), found); !done) return done.error();
      ++part.records;
    }
    rc = mdb_cursor_get(cursor.value().get(), &key, &found, MDB_NEXT);
  }
  if (rc != 0 && rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
  return part;
}

}  // namespace hyper_lmdb
