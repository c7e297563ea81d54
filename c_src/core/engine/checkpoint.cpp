#include "engine/checkpoint.h"

#include <optional>

#include "lmdb/txn.h"
#include "os/errors.h"

namespace hyper_lmdb {

namespace {

// On a disk that is nearly full: the pages that one transaction frees are there for the one after
// the next, and three fit into what is kept for removals.
constexpr std::uint64_t kFewDirtyPages = 16;
// As many of these before a larger one is tried again.
constexpr std::uint64_t kSmallOnes = 64;

// Writers look at what it says.
constexpr std::uint64_t kKeysBetweenWords = 64;

/// Counts the pages that records in key order come to lie on, by where LMDB puts them: a page of
/// its own memory for each.
class PageCounter {
 public:
  explicit PageCounter(std::uint64_t page_bytes) noexcept : page_bytes_(page_bytes) {}
  void saw(const void* at, std::uint64_t bytes) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    const std::uintptr_t distance = address > last_ ? address - last_ : last_ - address;
    if (distance > page_bytes_) ++pages_;
    pages_ += bytes / page_bytes_;
    last_ = address;
  }
  std::uint64_t pages() const noexcept { return pages_; }

 private:
  const std::uint64_t page_bytes_;
  std::uintptr_t last_ = 0;
  std::uint64_t pages_ = 0;
};

Result<void> apply_one(MDB_cursor* cursor, std::string_view key,
                       const WriteBuffer::Outcome& outcome, PageCounter* pages) {
  MDB_val name = to_val(key);
  if (outcome.removed) {
    MDB_val found{};
    const int rc = mdb_cursor_get(cursor, &name, &found, MDB_SET);
    if (rc == MDB_NOTFOUND) return {};
    if (rc != 0) return from_lmdb(rc, "mdb_cursor_get");
    pages->saw(found.mv_data, 0);
    if (const int gone = mdb_cursor_del(cursor, 0); gone != 0) {
      return from_lmdb(gone, "mdb_cursor_del");
    }
    return {};
  }
  MDB_val space{outcome.record.size(), nullptr};
  if (const int rc = mdb_cursor_put(cursor, &name, &space, MDB_RESERVE); rc != 0) {
    return from_lmdb(rc, "mdb_cursor_put");
  }
  outcome.record.copy(static_cast<char*>(space.mv_data), outcome.record.size());
  pages->saw(space.mv_data, outcome.record.size());
  return {};
}

std::uint64_t pages_at_once(Env* env, const CheckpointJob& job) noexcept {
  env->look_at_disk();
  const std::uint64_t most = env->checkpoint_pages();
  const bool nearly_full = env->disk_space().bytes() < 4 * most * env->page_bytes();
  return nearly_full || job.small_ones != 0 ? kFewDirtyPages : most;
}

Result<void> apply_all(Env* env, CheckpointJob* job, FunctionRef<void()> pause) {
  Identity identity{.store_id = env->store_id(),
                    .counts = env->counts(),
                    .applied_seq = env->applied_seq(),
                    .applying_seq = job->seq};
  const auto sorting = [&](double part) {
    job->sorted(part);
    if (!job->buffer->order_is_awaited()) pause();
  };
  BufferCursor records(job->buffer->order(~std::uint64_t{0}, sorting), job->seq);
  job->came_to(0);
  bool there = job->last_key.empty() ? records.first() : records.seek(job->last_key + '\0');
  do {
    auto txn = WriteTxn::begin(env->get());
    if (!txn) return env->explain(txn.error());
    const std::uint64_t most_pages = pages_at_once(env, *job);
    PageCounter pages(env->page_bytes());
    std::uint64_t keys = 0;
    std::string_view last;
    {
      auto cursor = Cursor::open(txn.value().get(), env->dbi());
      if (!cursor) return cursor.error();
      for (; there && pages.pages() < most_pages; there = records.next()) {
        last = records.key();
        auto one = apply_one(cursor.value().get(), last, records.outcome(), &pages);
        if (!one) return env->explain(one.error());
        if (++keys % kKeysBetweenWords != 0) continue;
        job->came_to(keys);
        pause();
      }
    }
    if (!there) {
      identity.counts = job->counts;
      identity.applied_seq = job->seq;
      identity.applying_seq = 0;
    }
    if (auto said = write_identity(txn.value().get(), env->dbi(), identity); !said) {
      return env->explain(said.error());
    }
    std::string reached(last);
    if (auto committed = txn.value().commit(); !committed) return env->explain(committed.error());
    job->last_key.swap(reached);
    job->committed += keys;
    job->came_to(0);
    if (job->small_ones != 0) --job->small_ones;
  } while (there);
  env->applied(job->seq, job->counts);
  env->look_at_disk();
  return {};
}

}  // namespace

Result<void> write_checkpoint(Env* env, CheckpointJob* job, FunctionRef<void()> pause) {
  auto applied = apply_all(env, job, pause);
  // On a full disk again in small transactions, for as long as these go through.
  for (std::uint64_t before = 0; !applied;) {
    env->cut_tail(applied.error().code);
    const bool goes_on = job->small_ones == 0 || job->committed > before;
    if (!goes_on || !says_no_room(applied.error().code)) return applied;
    before = job->committed;
    job->small_ones = kSmallOnes;
    auto again = apply_all(env, job, pause);
    // LMDB may have given up, which says less than why.
    if (!again && !says_no_room(again.error().code)) {
      env->cut_tail(again.error().code);
      return applied;
    }
    applied = std::move(again);
  }
  return applied;
}

}  // namespace hyper_lmdb
