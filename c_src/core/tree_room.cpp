// What the capacity and the disk have room for: the part of TreeWriter that decides before it
// writes.
#include <algorithm>

#include "tree_writer.h"
#include "txn.h"

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
  const std::uint64_t capacity_pages = env_->capacity() / shape.page_bytes;
  if (needed.growth != 0 && shape.end_page + needed.growth > capacity_pages) {
    if (auto done = make_room_near_capacity(shape, first, end); !done) return done;
    Demand admitted;
    for (Request* r = first; r != end; r = r->next) {
      if (r->outcome) add_demand(&admitted, *r, shape);
    }
    demand = admitted;
    needed = pages_needed(shape, demand);
  }
  *pages = reserve_pages(shape, demand, needed);
  return extend_blocks(shape, *pages);
}

Result<void> TreeWriter::extend_blocks(const TreeShape& shape, std::uint64_t pages) {
  if (!env_->mapped_writes()) return {};
  return env_->reserve().extend(shape.end_page * shape.page_bytes, pages * shape.page_bytes);
}

// The file has reached the capacity: now the free pages inside it count.
Result<void> TreeWriter::make_room_near_capacity(const TreeShape& shape, Request* first,
                                                 const Request* end) {
  int cleared = 0;
  (void)mdb_reader_check(env_->get(), &cleared);  // what it cannot free now it will next time
  // LMDB shows its free list to readers only. Not a lease: those may all be taken.
  auto reader = ReadTxn::begin(env_->get());
  auto free = reader ? free_pages(reader.value().get()) : Result<std::uint64_t>(0);
  if (!free) return free.error();
  const std::uint64_t capacity_pages = env_->capacity() / shape.page_bytes;
  std::uint64_t used = shape.end_page - std::min(shape.end_page, free.value());
  for (Request* r = first; r != end; r = r->next) {
    Demand demand;
    add_demand(&demand, *r, shape);
    const std::uint64_t growth = pages_needed(shape, demand).growth;
    if (growth != 0 && used + growth > capacity_pages) {
      r->outcome = Error{.code = Code::map_full, .operation = "write"};
    } else {
      used += growth;
    }
  }
  return {};
}

}  // namespace hyper_lmdb
