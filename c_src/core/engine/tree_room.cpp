// What the capacity and the disk have room for: the part of TreeWriter that decides before it
// writes.
#include <algorithm>

#include "engine/tree_writer.h"
#include "lmdb/txn.h"
#include "os/errors.h"

namespace hyper_lmdb {

void TreeWriter::add_demand(Demand* demand, const Request& request,
                            const TreeShape& shape) noexcept {
  demand->add(request.ops, shape);
  if (request.kind == Request::Kind::remove_prefix) demand->changes += kMostRemovedAtOnce;
}

// Decides what the capacity and the disk have room for, before anything is changed. `*pages` is
// where the blocks that were made sure of end.
Result<void> TreeWriter::make_room(const TreeShape& shape, Request* first, const Request* end,
                                   std::uint64_t* pages) {
  Demand demand;
  for (Request* r = first; r != end; r = r->next) add_demand(&demand, *r, shape);
  PagesNeeded needed = pages_needed(shape, demand);
  env_->look_at_disk();
  const std::uint64_t free_pages = env_->disk_room().free_bytes() / shape.page_bytes;
  const bool near_capacity = shape.end_page + needed.growth > env_->capacity() / shape.page_bytes;
  if (needed.growth != 0 && (near_capacity || needed.total > free_pages)) {
    if (auto done = make_room_near_end(shape, first, end); !done) return done;
    Demand admitted;
    for (Request* r = first; r != end; r = r->next) {
      if (r->outcome) add_demand(&admitted, *r, shape);
    }
    demand = admitted;
    needed = pages_needed(shape, demand);
  }
  *pages = reserve_pages(shape, demand, needed);
  auto extended = extend_blocks(shape, *pages);
  if (extended || !says_no_room(extended.error().code)) return extended;
  // Where pages inside the file are free a write will hardly need what is kept for removals, which
  // is there should it do so all the same.
  auto free = count_free_pages();
  if (!free) return free.error();
  if (free.value() < 2 * needed.total) return extended;
  *pages = shape.end_page + needed.total;
  return extend_blocks(shape, *pages);
}

Result<void> TreeWriter::extend_blocks(const TreeShape& shape, std::uint64_t pages) {
  if (!env_->mapped_writes()) return {};
  return env_->reserve().extend(shape.end_page * shape.page_bytes, pages * shape.page_bytes);
}

Result<std::uint64_t> TreeWriter::count_free_pages() {
  // LMDB shows its free list to readers only. Not a lease: those may all be taken.
  auto reader = ReadTxn::begin(env_->get());
  return reader ? free_pages(reader.value().get()) : Result<std::uint64_t>(0);
}

// The file has reached the capacity, or the end of the disk: now the free pages inside it count.
Result<void> TreeWriter::make_room_near_end(const TreeShape& shape, Request* first,
                                            const Request* end) {
  int cleared = 0;
  (void)mdb_reader_check(env_->get(), &cleared);  // what it cannot free now it will next time
  auto free = count_free_pages();
  if (!free) return free.error();
  const std::uint64_t capacity_pages = env_->capacity() / shape.page_bytes;
  const DiskRoom& room = env_->disk_room();
  const std::uint64_t disk_pages = shape.end_page + room.bytes() / shape.page_bytes;
  const std::uint64_t pages_for_removals = room.bytes_for_removals() / shape.page_bytes;
  std::uint64_t used = shape.end_page - std::min(shape.end_page, free.value());
  for (Request* r = first; r != end; r = r->next) {
    Demand demand;
    add_demand(&demand, *r, shape);
    const std::uint64_t growth = pages_needed(shape, demand).growth;
    if (growth != 0 && used + growth > capacity_pages) {
      r->outcome = Error{.code = Code::map_full, .operation = "write"};
    } else if (growth != 0 && used + growth + pages_for_removals > disk_pages) {
      r->outcome = Error{.code = Code::disk_full, .operation = "write"};
    } else {
      used += growth;
    }
  }
  return {};
}

}  // namespace hyper_lmdb
