#include "engine/batch_transaction.h"

#include "lmdb/data_file.h"
#include "os/errors.h"
#include "write/batch_rules.h"

namespace hyper_lmdb {

Result<void> BatchTransaction::begin() {
  auto txn = WriteTxn::begin(env_->get());
  if (!txn) return txn.error();
  txn_.emplace(std::move(txn).value());
  auto shape = shape_of(txn_->get(), env_->dbi());
  if (!shape) return shape.error();
  shape_ = shape.value();
  seq_ != 0 ? links_->begin_directly(seq_) : links_->begin(mdb_txn_id(txn_->get()));
  links_begun_ = true;
  return {};
}

ApplyTarget BatchTransaction::target(MorePages more_pages, ReadCall* reading) const noexcept {
  return {.txn = txn_->get(),
          .dbi = env_->dbi(),
          .links = links_,
          .clock = &steady_ms,
          .checksum = checksum_,
          .page_bytes = shape_.page_bytes,
          .leaf_pages = shape_.leaf_pages,
          .reading = reading,
          .more_pages = more_pages};
}

Result<void> BatchTransaction::evaluate_checks(std::span<const Op> ops, ReadCall* reading) {
  const View view(txn_->get(), env_->dbi(), mdb_txn_id(txn_->get()));
  return hyper_lmdb::evaluate_checks(view.under(reading), ops);
}

Result<void> BatchTransaction::apply(std::span<const Op> ops, MorePages more_pages,
                                     ReadCall* reading) {
  return hyper_lmdb::apply(target(more_pages, reading), ops);
}

Result<RemovedPart> BatchTransaction::remove_prefix(std::string_view prefix, std::string_view from,
                                                    std::uint64_t most) {
  const auto none_needed = [](std::uint64_t) { return Result<void>(); };
  return hyper_lmdb::remove_prefix(target(none_needed, nullptr), prefix, from, most);
}

Result<void> BatchTransaction::drop_all() {
  if (const int rc = mdb_drop(txn_->get(), env_->dbi(), 0); rc != 0) {
    return from_lmdb(rc, "mdb_drop");
  }
  links_->drop_all();
  return store_identity();
}

Result<void> BatchTransaction::store_identity() {
  return write_identity(txn_->get(), env_->dbi(),
                        {.store_id = env_->store_id(),
                         .counts = links_->to_store(),
                         .applied_seq = seq_ != 0 ? seq_ : env_->applied_seq()});
}

Result<void> BatchTransaction::commit() {
  if (links_->counts_changed() || seq_ != 0) {
    if (auto stored = store_identity(); !stored) return stored;
  }
  auto done = txn_->commit();
  if (done && seq_ != 0) env_->applied(seq_, links_->to_store());
  end(done.ok());
  return done;
}

void BatchTransaction::end(bool committed) noexcept {
  if (txn_) txn_->abort();
  if (links_begun_) links_->end(committed);
  links_begun_ = false;
}

}  // namespace hyper_lmdb
