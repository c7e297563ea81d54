// One write transaction from begin to commit: LMDB's, what the links remember, and what both leave
// behind when it is given up.
#pragma once

#include <lmdb.h>

#include <optional>

#include "engine/apply.h"
#include "lmdb/env.h"
#include "lmdb/page_estimate.h"
#include "lmdb/txn.h"
#include "paths/links.h"

namespace hyper_lmdb {

/// Thread-safety: none; made, used and ended on one thread that holds the write lock.
class BatchTransaction {
 public:
  using MorePages = FunctionRef<Result<void>(std::uint64_t pages)>;

  /// `seq` is the number the journal would have given the write; 0 where there is no journal.
  BatchTransaction(Env* env, Links* links, bool checksum, std::uint64_t seq = 0) noexcept
      : env_(env), links_(links), checksum_(checksum), seq_(seq) {}
  BatchTransaction(const BatchTransaction&) = delete;
  BatchTransaction& operator=(const BatchTransaction&) = delete;
  /// Gives the transaction up unless it was committed.
  ~BatchTransaction() { end(false); }

  Result<void> begin();
  const TreeShape& shape() const noexcept { return shape_; }

  /// As the functions of decide.h and apply.h. Where the reading is over: work_limit.
  Result<void> evaluate_checks(std::span<const Op> ops, ReadCall* reading = nullptr);
  Result<void> apply(std::span<const Op> ops, MorePages more_pages, ReadCall* reading = nullptr);
  Result<RemovedPart> remove_prefix(std::string_view prefix, std::string_view from,
                                    std::uint64_t most);
  /// Removes everything but what the store keeps about itself.
  Result<void> drop_all();

  Result<void> commit();

 private:
  ApplyTarget target(MorePages more_pages, ReadCall* reading) const noexcept;
  Result<void> store_identity();
  void end(bool committed) noexcept;

  Env* env_;
  Links* links_;
  bool checksum_;
  std::uint64_t seq_;
  bool links_begun_ = false;
  std::optional<WriteTxn> txn_;
  TreeShape shape_;
};

}  // namespace hyper_lmdb
