#include "apply.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "errors.h"
#include "txn.h"
#include "value.h"

namespace hyper_lmdb {

namespace {

/// Whether a key holds a present record, and its bytes where it does.
Result<std::optional<std::string_view>> present_bytes(MDB_txn* txn, MDB_dbi dbi,
                                                      std::string_view key) {
  MDB_val wanted = to_val(key);
  MDB_val found{};
  const int rc = mdb_get(txn, dbi, &wanted, &found);
  if (rc == MDB_NOTFOUND) return std::optional<std::string_view>();
  if (rc != 0) return from_lmdb(rc, "mdb_get");
  auto record = decode(to_view(found));
  if (!record) return record.error();
  if (!is_present(record.value())) return std::optional<std::string_view>();
  return std::optional<std::string_view>(to_view(found));
}

Result<bool> holds_value(std::string_view key, std::string_view bytes, std::string_view value) {
  if (auto intact = verify(key, bytes); !intact) return intact.error();
  const Record record = decode(bytes).value();
  return record.kind == Kind::value && record.payload == value;
}

Result<bool> check_against_store(MDB_txn* txn, MDB_dbi dbi, const Op& op) {
  auto found = present_bytes(txn, dbi, op.key);
  if (!found) return found.error();
  if (op.kind == OpKind::check_absent) return !found.value().has_value();
  if (!found.value()) return false;
  return holds_value(op.key, *found.value(), op.value);
}

/// The check beside the last element before it that changed the key.
bool check_against_op(const Op& earlier, const Op& op) noexcept {
  if (op.kind == OpKind::check_absent) return earlier.kind == OpKind::remove;
  return earlier.kind == OpKind::put && earlier.value == op.value;
}

bool is_check(const Op& op) noexcept {
  return op.kind == OpKind::check_value || op.kind == OpKind::check_absent;
}

Error corrupt_path(std::size_t index) noexcept {
  return {.code = Code::bad_key, .operation = "resolve", .index = index + 1};
}

bool is_link(const Result<Record>& record) noexcept {
  return record && record.value().kind == Kind::link;
}

/// One key at a time under a cursor.
class KeyWriter {
 public:
  KeyWriter(const ApplyTarget& target, MDB_cursor* cursor) noexcept
      : target_(target), cursor_(cursor) {}

  Result<void> apply(const Op& op, std::string_view key) {
    switch (op.kind) {
      case OpKind::put:
        return write(key, {.kind = Kind::value, .checksum = target_.checksum, .payload = op.value});
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
    if (is_link(decode(to_view(bytes)))) target_.links->change(key, -1);
    if (const int rc = mdb_cursor_del(cursor_, 0); rc != 0) return from_lmdb(rc, "mdb_cursor_del");
    return {};
  }

 private:
  Result<void> write(std::string_view key, Record record) {
    MDB_val name = to_val(key);
    MDB_val space{encoded_size(record), nullptr};
    // One descent: either the key is new and its space is there, or the cursor stands on the old
    // one.
    int rc = mdb_cursor_put(cursor_, &name, &space, MDB_NOOVERWRITE | MDB_RESERVE);
    bool was_link = false;
    if (rc == MDB_KEYEXIST) {
      const auto old = decode(to_view(space));
      // A record that does not decode is replaced all the same: that is how a user repairs it.
      record.group = old && old.value().group;
      was_link = is_link(old);
      space = {encoded_size(record), nullptr};
      rc = mdb_cursor_put(cursor_, &name, &space, MDB_CURRENT | MDB_RESERVE);
    }
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_put");
    encode(key, record, static_cast<char*>(space.mv_data));
    const bool now_link = record.kind == Kind::link;
    if (was_link || now_link) target_.links->change(key, int{now_link} - int{was_link});
    return {};
  }

  Result<void> write_link(std::string_view key, std::string_view target) {
    PathText text;
    if (!text.assign_canonical(target)) {
      return Error{.code = Code::key_too_large, .operation = "link"};
    }
    return write(key, {.kind = Kind::link, .checksum = target_.checksum, .payload = text.view()});
  }

  Result<void> mark(std::string_view key) {
    MDB_val name = to_val(key);
    MDB_val found{};
    const int rc = mdb_cursor_get(cursor_, &name, &found, MDB_SET);
    if (rc == MDB_NOTFOUND) return write_mark(key, {});
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_get");
    auto record = decode(to_view(found));
    if (!record) return record.error();
    if (record.value().kind == Kind::link || record.value().group) return {};
    // The payload lies in a page that the write is about to change.
    const std::string payload(record.value().payload);
    if (auto room = target_.more_pages(payload.size() / target_.page_bytes + 2); !room) return room;
    Record marked = record.value();
    marked.payload = payload;
    return write_mark(key, marked);
  }

  Result<void> write_mark(std::string_view key, Record record) {
    record.group = true;
    MDB_val name = to_val(key);
    MDB_val space{encoded_size(record), nullptr};
    if (const int rc = mdb_cursor_put(cursor_, &name, &space, MDB_RESERVE); rc != 0) {
      return from_lmdb(rc, "mdb_cursor_put");
    }
    encode(key, record, static_cast<char*>(space.mv_data));
    return {};
  }

  Result<void> remove(std::string_view key) {
    MDB_val name = to_val(key);
    MDB_val found{};
    const int rc = mdb_cursor_get(cursor_, &name, &found, MDB_SET);
    if (rc == MDB_NOTFOUND) return {};
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_get");
    return remove_current(key, found);
  }

  const ApplyTarget& target_;
  MDB_cursor* cursor_;
};

/// Whether every element goes to the key it names, so that the order between keys does not matter.
bool goes_straight(const ApplyTarget& target, std::span<const Op> ops) noexcept {
  bool paths = false;
  bool links = target.links->may_exist();
  for (const Op& op : ops) {
    links = links || op.kind == OpKind::link;
    paths = paths || (op.is_path && (links || !is_canonical_path(op.key)));
  }
  return !paths;
}

Result<void> apply_in_order(const ApplyTarget& target, KeyWriter& writer, std::span<const Op> ops) {
  for (std::size_t i = 0; i < ops.size(); ++i) {
    PathText path;
    std::string_view key = ops[i].key;
    if (ops[i].is_path) {
      PathView view(target.txn, target.dbi, target.links, target.links->view_of_writer(),
                    target.clock, kAnyLookups);
      PathText written;
      if (!written.assign_canonical(ops[i].key)) return corrupt_path(i);
      auto resolved = view.locate_for_write(written.view(), &path);
      if (!resolved) return resolved.error();
      key = path.view();
      if (resolved.value() == Resolved::dead || key.empty() || is_reserved_path(key)) {
        return corrupt_path(i);
      }
    }
    if (auto done = writer.apply(ops[i], key); !done) return done;
  }
  return {};
}

}  // namespace

Result<void> evaluate_checks(MDB_txn* txn, MDB_dbi dbi, std::span<const Op> ops) {
  std::size_t end = ops.size();
  while (end > 0 && !is_check(ops[end - 1])) --end;
  std::unordered_map<std::string_view, const Op*> earlier;  // the last change of a key so far
  for (std::size_t i = 0; i < end; ++i) {
    const Op& op = ops[i];
    if (!is_check(op)) {
      // A mark changes nothing that a check looks at.
      if (op.kind != OpKind::group) earlier[op.key] = &op;
      continue;
    }
    Result<bool> holds = false;
    if (const auto seen = earlier.find(op.key); seen != earlier.end()) {
      holds = check_against_op(*seen->second, op);
    } else {
      holds = check_against_store(txn, dbi, op);
    }
    if (!holds) return holds.error();
    if (!holds.value()) {
      return Error{.code = Code::check_failed, .operation = "batch_write", .index = i + 1};
    }
  }
  return {};
}

Result<void> apply(const ApplyTarget& target, std::span<const Op> ops) {
  auto cursor = Cursor::open(target.txn, target.dbi);
  if (!cursor) return cursor.error();
  KeyWriter writer(target, cursor.value().get());
  if (!goes_straight(target, ops)) return apply_in_order(target, writer, ops);
  if (ops.size() == 1) return writer.apply(ops[0], ops[0].key);

  // In key order the cursor mostly stays on its page, and pages are copied once.
  constexpr std::size_t kSmall = 128;
  std::array<std::uint32_t, kSmall> small;
  std::unique_ptr<std::uint32_t[]> large;
  std::uint32_t* order = small.data();
  if (ops.size() > kSmall) {
    large.reset(new std::uint32_t[ops.size()]);
    order = large.get();
  }
  for (std::size_t i = 0; i < ops.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  std::sort(order, order + ops.size(), [&](std::uint32_t a, std::uint32_t b) {
    const int compared = ops[a].key.compare(ops[b].key);
    return compared != 0 ? compared < 0 : a < b;
  });
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[order[i]];
    if (auto done = writer.apply(op, op.key); !done) return done;
  }
  return {};
}

Result<std::uint64_t> remove_prefix(const ApplyTarget& target, std::string_view prefix,
                                    std::uint64_t most) {
  auto cursor = Cursor::open(target.txn, target.dbi);
  if (!cursor) return cursor.error();
  KeyWriter writer(target, cursor.value().get());
  MDB_val key = to_val(prefix);
  MDB_val found{};
  std::uint64_t removed = 0;
  int rc = mdb_cursor_get(cursor.value().get(), &key, &found,
                          prefix.empty() ? MDB_FIRST : MDB_SET_RANGE);
  while (rc == 0 && removed < most && to_view(key).starts_with(prefix)) {
    if (to_view(key) != kReservedKey) {
      if (auto done = writer.remove_current(to_view(key), found); !done) return done.error();
      ++removed;
    }
    rc = mdb_cursor_get(cursor.value().get(), &key, &found, MDB_NEXT);
  }
  if (rc != 0 && rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
  return removed;
}

}  // namespace hyper_lmdb
