#include "apply.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>

#include "errors.h"
#include "txn.h"
#include "value.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kHeaderBytes = 64;  // page header, node header, tag and checksum

// Larger nodes go to overflow pages; LMDB's own limit is a little under half a page, and counting a
// page too many does no harm.
std::uint64_t overflow_pages_of(const Op& op, std::uint64_t page_bytes) noexcept {
  if (op.key.size() + op.value.size() + kHeaderBytes < page_bytes / 2) return 0;
  return (op.value.size() + kHeaderBytes + page_bytes - 1) / page_bytes;
}

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

bool check_against_op(const Op& earlier, const Op& op) noexcept {
  const bool present = earlier.kind == OpKind::put;
  if (op.kind == OpKind::check_absent) return !present;
  return present && earlier.value == op.value;
}

bool is_check(const Op& op) noexcept {
  return op.kind == OpKind::check_value || op.kind == OpKind::check_absent;
}

Result<void> write_record(MDB_cursor* cursor, std::string_view key, Record record) {
  MDB_val name = to_val(key);
  MDB_val space{encoded_size(record), nullptr};
  // One descent: either the key is new and its space is there, or the cursor stands on the old one.
  int rc = mdb_cursor_put(cursor, &name, &space, MDB_NOOVERWRITE | MDB_RESERVE);
  if (rc == MDB_KEYEXIST) {
    auto old = decode(to_view(space));
    // A record that does not decode is replaced all the same: that is how a user repairs it.
    record.group = old && old.value().group;
    space = {encoded_size(record), nullptr};
    rc = mdb_cursor_put(cursor, &name, &space, MDB_CURRENT | MDB_RESERVE);
  }
  if (rc != 0) return from_lmdb(rc, "mdb_cursor_put");
  encode(key, record, static_cast<char*>(space.mv_data));
  return {};
}

Result<void> remove_record(MDB_cursor* cursor, std::string_view key) {
  MDB_val name = to_val(key);
  MDB_val found{};
  int rc = mdb_cursor_get(cursor, &name, &found, MDB_SET);
  if (rc == MDB_NOTFOUND) return {};
  if (rc == 0) rc = mdb_cursor_del(cursor, 0);
  if (rc != 0) return from_lmdb(rc, "mdb_cursor_del");
  return {};
}

Result<void> apply_one(MDB_cursor* cursor, const Op& op, bool checksum) {
  switch (op.kind) {
    case OpKind::put:
      return write_record(cursor, op.key,
                          {.kind = Kind::value, .checksum = checksum, .payload = op.value});
    case OpKind::remove:
      return remove_record(cursor, op.key);
    case OpKind::check_value:
    case OpKind::check_absent:
      return {};
  }
  return Error{.code = Code::internal, .operation = "apply"};
}

}  // namespace

Result<TreeShape> shape_of(MDB_txn* txn, MDB_dbi dbi) noexcept {
  MDB_stat stat;
  MDB_envinfo info;
  if (const int rc = mdb_stat(txn, dbi, &stat); rc != 0) return from_lmdb(rc, "mdb_stat");
  if (const int rc = mdb_env_info(mdb_txn_env(txn), &info); rc != 0) {
    return from_lmdb(rc, "mdb_env_info");
  }
  return TreeShape{.page_bytes = stat.ms_psize,
                   .depth = stat.ms_depth,
                   .leaf_pages = stat.ms_leaf_pages,
                   .branch_pages = stat.ms_branch_pages,
                   .end_page = info.me_last_pgno + 1};
}

void Demand::add(std::span<const Op> ops, std::uint64_t page_bytes) noexcept {
  for (const Op& op : ops) {
    if (is_check(op)) continue;
    ++changes;
    if (op.kind != OpKind::put) continue;
    ++puts;
    const std::uint64_t pages = overflow_pages_of(op, page_bytes);
    overflow_pages += pages;
    inline_bytes += op.key.size() + kHeaderBytes + (pages == 0 ? op.value.size() : 0);
  }
}

PagesNeeded pages_needed(const TreeShape& shape, const Demand& demand) noexcept {
  // A page that is split is left at least a quarter full, so a page needs that much put in before
  // it is split again; each page that is there may be split once or twice by its first newcomers.
  const std::uint64_t put_pages = 4 * demand.inline_bytes / shape.page_bytes + 2;
  const std::uint64_t splits =
      demand.puts == 0 ? 0
                       : std::min(demand.puts, 2 * shape.leaf_pages + put_pages) + shape.depth + 1;
  const std::uint64_t copies =
      std::min(demand.changes * (shape.depth + 1), shape.leaf_pages + shape.branch_pages + 1);
  const std::uint64_t direct = splits + splits / 4 + copies + demand.overflow_pages;
  // The free list may be rewritten whole: eight bytes a page, in runs.
  const std::uint64_t free_list = 16 + (shape.end_page + direct) * 8 * 2 / shape.page_bytes;
  const std::uint64_t growth =
      demand.puts == 0 ? 0 : 2 * demand.inline_bytes / shape.page_bytes + demand.overflow_pages + 4;
  return {.growth = growth, .total = direct + free_list};
}

Result<std::uint64_t> free_pages(MDB_txn* txn) noexcept {
  constexpr MDB_dbi kFreeList = 0;
  auto cursor = Cursor::open(txn, kFreeList);
  if (!cursor) return cursor.error();
  std::uint64_t pages = 0;
  MDB_val key{};
  MDB_val value{};
  int rc = 0;
  while ((rc = mdb_cursor_get(cursor.value().get(), &key, &value, MDB_NEXT)) == 0) {
    std::size_t count = 0;  // each record begins with the length of its list
    if (value.mv_size >= sizeof count) std::memcpy(&count, value.mv_data, sizeof count);
    pages += count;
  }
  if (rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
  return pages;
}

Result<void> evaluate_checks(MDB_txn* txn, MDB_dbi dbi, std::span<const Op> ops) {
  std::size_t end = ops.size();
  while (end > 0 && !is_check(ops[end - 1])) --end;
  std::unordered_map<std::string_view, const Op*> earlier;  // the last change of a key so far
  for (std::size_t i = 0; i < end; ++i) {
    const Op& op = ops[i];
    if (!is_check(op)) {
      earlier[op.key] = &op;
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

Result<void> apply(MDB_txn* txn, MDB_dbi dbi, std::span<const Op> ops, bool checksum) {
  auto cursor = Cursor::open(txn, dbi);
  if (!cursor) return cursor.error();
  MDB_cursor* const at = cursor.value().get();
  if (ops.size() == 1) return apply_one(at, ops[0], checksum);

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
    if (auto done = apply_one(at, ops[order[i]], checksum); !done) return done;
  }
  return {};
}

}  // namespace hyper_lmdb
