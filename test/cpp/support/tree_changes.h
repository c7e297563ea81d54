// Batches on an environment, as the writer makes them.
#pragma once

#include <span>
#include <string>

#include "engine/apply.h"
#include "lmdb/txn.h"
#include "support/outcome.h"
#include "support/raw_env.h"
#include "write/batch_rules.h"

namespace hyper_lmdb::test {

class TreeChanges {
 public:
  explicit TreeChanges(const RawEnv& env, bool checksum = false)
      : env_(env), checksum_(checksum), links_({.entries = 0}, 0, {}, 0) {}

  /// Checks and applies in a transaction, without its commit.
  Result<void> apply_in(MDB_txn* txn, std::span<const Op> ops) {
    if (auto held = evaluate_checks(View(txn, env_.dbi(), mdb_txn_id(txn)), ops); !held)
      return held;
    links_.begin(mdb_txn_id(txn));
    // Either order must do: one tree in two looks large.
    const std::uint64_t leaf_pages = ++batches_ % 2 == 0 ? 0 : kPageBytes;
    const auto more_pages = [](std::uint64_t) { return Result<void>(); };
    const ApplyTarget target{.txn = txn,
                             .dbi = env_.dbi(),
                             .links = &links_,
                             .clock = [] { return std::uint64_t{0}; },
                             .checksum = checksum_,
                             .page_bytes = kPageBytes,
                             .leaf_pages = leaf_pages,
                             .more_pages = more_pages};
    auto done = apply(target, ops);
    links_.end(done.ok());
    return done;
  }

  std::string write(std::span<const Op> ops) {
    auto txn = WriteTxn::begin(env_.get());
    if (!txn) return outcome(txn);
    if (auto done = apply_in(txn.value().get(), ops); !done) return outcome(done);
    return outcome(txn.value().commit());
  }

  std::uint64_t links() const { return links_.count(); }
  /// As the file would have it.
  std::uint64_t marks() const { return links_.to_store().marks; }

 private:
  static constexpr std::uint64_t kPageBytes = 4096;
  const RawEnv& env_;
  const bool checksum_;
  Links links_;
  std::uint64_t batches_ = 0;
};

}  // namespace hyper_lmdb::test
