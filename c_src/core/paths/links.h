// What a process knows about the links and marks of its store: whether there are any, and the path
// cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "lmdb/data_file.h"
#include "paths/path_cache.h"

namespace hyper_lmdb {

/// Versions are LMDB transaction ids, or numbers of the journal where there is one. Thread-safety:
/// `view`, `cache` and `count` may be called from any thread; the rest by the holder of the write
/// lock.
class Links {
 public:
  Links(const PathCache::Limits& limits, std::uint64_t seed, const RecordCounts& counts,
        std::uint64_t version);

  /// What a read transaction may rely on.
  struct View {
    std::uint64_t version = 0;
    bool none = false;       ///< no link is in the store at this version
    bool use_cache = false;  ///< the cache knows about this version
  };
  View view(std::uint64_t version) const noexcept {
    return {.version = version,
            .none = none_since_.load(std::memory_order_acquire) <= version,
            .use_cache = cache_.enabled()};
  }

  /// A write that will make `version` has begun and has changed nothing yet.
  void begin(std::uint64_t version) noexcept;
  /// The same where LMDB will hold it before readers are shown `version`.
  void begin_directly(std::uint64_t version) noexcept {
    direct_.store(version, std::memory_order_seq_cst);
    begin(version);
  }
  /// Whether a view of `version` may see a later one of LMDB. Asked after its transaction began.
  bool tree_may_be_ahead_of(std::uint64_t version) const noexcept {
    return direct_.load(std::memory_order_seq_cst) > version;
  }
  /// What the write transaction under way may rely on, after the changes it made so far.
  View view_of_writer() const noexcept;
  /// Whether a link may be in the store, and whether the file has to say something else of links
  /// and marks than before.
  bool may_exist() const noexcept { return next_.links != 0; }
  bool counts_changed() const noexcept { return counts_changed_; }
  /// Whether every record is a value and nothing else: what a write replaces need not be looked at.
  bool values_only() const noexcept { return next_.links == 0 && next_.marks == 0; }
  /// The link at `key` is made (+1), replaced (0) or removed (-1) by the transaction.
  void change(std::string_view key, int difference) noexcept;
  /// The transaction puts something where the key held nothing.
  void appears(std::string_view key) noexcept;
  /// A mark is made (+1) or removed (-1) by the transaction.
  void change_mark(int difference) noexcept;
  /// All links and marks go.
  void drop_all() noexcept;
  /// What the file has to say once the transaction is in it.
  RecordCounts to_store() const noexcept;
  /// After the commit, or after the transaction was given up.
  void end(bool committed) noexcept;

  /// As of the last write that was kept. By the holder of the write lock.
  const RecordCounts& known() const noexcept { return known_; }

  PathCache& cache() noexcept { return cache_; }
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  PathCache cache_;
  // From this version on the store has held no link so far.
  std::atomic<std::uint64_t> none_since_;
  std::atomic<std::uint64_t> count_;
  // The last write that went directly into LMDB, or was about to. Stored before its commit: a
  // transaction that sees the commit sees this.
  std::atomic<std::uint64_t> direct_{0};

  RecordCounts known_;  // of the holder of the write lock

  // Of the write transaction under way.
  RecordCounts next_;
  std::uint64_t next_version_ = 0;
  std::uint64_t none_since_before_ = 0;
  bool counts_changed_ = false;
  bool links_changed_ = false;
};

}  // namespace hyper_lmdb
