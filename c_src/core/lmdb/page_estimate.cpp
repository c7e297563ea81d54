#include "lmdb/page_estimate.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <system_error>

#include "format/compression.h"
#include "lmdb/txn.h"
#include "lmdb/version.h"
#include "os/errors.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kHeaderBytes = 64;  // page header, node header, tag and checksum

// Larger nodes go to overflow pages; LMDB's own limit is a little under half a page, and counting a
// page too many does no harm.
std::uint64_t overflow_pages_of(std::uint64_t key_bytes, std::uint64_t value_bytes,
                                std::uint64_t page_bytes) noexcept {
  if (key_bytes + value_bytes + kHeaderBytes < page_bytes / 2) return 0;
  return (value_bytes + kHeaderBytes + page_bytes - 1) / page_bytes;
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
                   .end_page = info.me_last_pgno + 1,
                   .max_key_bytes = max_key_bytes(mdb_txn_env(txn))};
}

void PageEstimate::add(std::span<const Op> ops, const TreeShape& shape) noexcept {
  for (const Op& op : ops) {
    const bool adds = op.kind == OpKind::put || op.kind == OpKind::link || op.kind == OpKind::group;
    if (!adds && op.kind != OpKind::remove) continue;
    ++changes;
    if (!adds) continue;
    ++puts;
    // A path may turn out as long as a key can be.
    const std::uint64_t key_bytes = op.is_path ? shape.max_key_bytes : op.key.size();
    const std::uint64_t value_bytes = stored_value(op).size();
    const std::uint64_t pages = overflow_pages_of(key_bytes, value_bytes, shape.page_bytes);
    overflow_pages += pages;
    inline_bytes += key_bytes + kHeaderBytes + (pages == 0 ? value_bytes : 0);
  }
}

PageEstimate& PageEstimate::operator+=(const PageEstimate& other) noexcept {
  changes += other.changes;
  inline_bytes += other.inline_bytes;
  overflow_pages += other.overflow_pages;
  puts += other.puts;
  empties = empties || other.empties;
  return *this;
}

PagesNeeded pages_needed(const TreeShape& shape, const PageEstimate& estimate) noexcept {
  // A page that is split is left at least a quarter full, so a page needs that much put in before
  // it is split again; each page that is there may be split once or twice by its first newcomers.
  const std::uint64_t put_pages = 4 * estimate.inline_bytes / shape.page_bytes + 2;
  const std::uint64_t splits =
      estimate.puts == 0
          ? 0
          : std::min(estimate.puts, 2 * shape.leaf_pages + put_pages) + shape.depth + 1;
  // One more for the record the store keeps about itself.
  const std::uint64_t copies = std::min((estimate.changes + 1) * (shape.depth + 1),
                                        shape.leaf_pages + shape.branch_pages + 1);
  const std::uint64_t direct = splits + splits / 4 + copies + estimate.overflow_pages;
  // The free list may be rewritten whole: eight bytes a page, in runs. What is not in it already,
  // and no overflow page of a value that goes, is in it only if it is copied here.
  const std::uint64_t in_nodes = estimate.empties ? 0 : shape.leaf_pages + shape.branch_pages;
  const std::uint64_t listed = shape.end_page - std::min(shape.end_page, in_nodes);
  const std::uint64_t free_list = 16 + (listed + direct) * 8 * 2 / shape.page_bytes;
  const std::uint64_t growth = estimate.puts == 0 ? 0
                                                  : 2 * estimate.inline_bytes / shape.page_bytes +
                                                        estimate.overflow_pages + 4;
  return {.growth = growth, .nodes = direct, .total = direct + free_list};
}

std::uint64_t reserve_pages(const TreeShape& shape, const PageEstimate& estimate,
                            const PagesNeeded& needed) noexcept {
  std::uint64_t pages = shape.end_page + needed.total;
  constexpr std::uint64_t kLeastForRemovals = 224;  // with LMDB's pages of 4 KiB under 1 MiB
  if (estimate.puts != 0) {
    pages += std::max(2 * pages_needed(shape, {.changes = 1}).total, kLeastForRemovals);
  }
  return pages;
}

namespace {

/// Of one line of mdb_reader_list, which ends with the reader's transaction id where it has one.
int take_reader(const char* line, void* oldest) noexcept {
  std::string_view text(line);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  text.remove_prefix(text.rfind(' ') + 1);
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return 0;
  auto& least = *static_cast<std::uint64_t*>(oldest);
  least = std::min(least, id);
  return 0;
}

}  // namespace

Result<FreePages> free_pages(MDB_txn* txn) noexcept {
  constexpr MDB_dbi kFreeList = 0;
  auto cursor = Cursor::open(txn, kFreeList);
  if (!cursor) return cursor.error();
  // A record is named by the transaction that freed its pages.
  std::uint64_t oldest = mdb_txn_id(txn);
  (void)mdb_reader_list(mdb_txn_env(txn), &take_reader, &oldest);
  FreePages pages;
  MDB_val key{};
  MDB_val value{};
  int rc = 0;
  while ((rc = mdb_cursor_get(cursor.value().get(), &key, &value, MDB_NEXT)) == 0) {
    std::size_t count = 0;  // each record begins with the length of its list
    if (value.mv_size >= sizeof count) std::memcpy(&count, value.mv_data, sizeof count);
    pages.all += count;
    std::uint64_t freed_by = 0;
    if (key.mv_size >= sizeof freed_by) std::memcpy(&freed_by, key.mv_data, sizeof freed_by);
    // What the last transaction has freed only this reader keeps, and not for long.
    const bool just_freed = freed_by == oldest && oldest == mdb_txn_id(txn);
    if (freed_by < oldest || just_freed) pages.unpinned += count;
    if (freed_by < oldest) pages.usable += count;
  }
  if (rc != MDB_NOTFOUND) return from_lmdb(rc, "mdb_cursor_get");
  return pages;
}

}  // namespace hyper_lmdb
