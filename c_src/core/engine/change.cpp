#include "engine/change.h"

#include "lmdb/data_file.h"
#include "os/errors.h"
#include "write/decide.h"

namespace hyper_lmdb {

Result<void> Change::begin() {
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

ApplyTarget Change::target(MorePages more_pages, Reading* reading) const noexcept {
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

Result<void> Change::evaluate_checks(std::span<const Op> ops, Reading* reading) {
  const View view(txn_->get(), env_->dbi(), mdb_txn_id(txn_->get()));
  return hyper_lmdb::evaluate_checks(view.under(reading), ops);
}

Result<void> Change::apply(std::span<const Op> ops, MorePages more_pages, Reading* reading) {
  return hyper_lmdb::apply(target(more_pages, reading), ops);
}

Result<RemovedPart> Change::remove_prefix(std::string_view prefix, std::string_view from,
                                          std::uint64_t most) {
  const auto none_needed = [](std::uint64_t) { return Result<void>(); };
  return hyper_lmdb::remove_prefix(target(none_needed, nullptr), prefix, from, most);
}

Result<void> Change::drop_all() {
  if (const int rc = mdb_drop(txn_->get(), env_->dbi(), 0); rc != 0) {
    return from_lmdb(rc, "mdb_drop");
  }
  links_->drop_all();
  return store_identity();
}

Result<void> Change::store_identity() {
  return write_identity(txn_->get(), env_->dbi(),
                        {.store_id = env_->store_id(),
                         .counts = links_->to_store(),
                         .applied_seq = seq_ != 0 ? seq_ : env_->applied_seq()});
}

Result<void> Change::commit() {
  if (links_->counts_changed() || seq_ != 0) {
    if (auto stored = store_identity(); !stored) return stored;
  }
  auto done = txn_->commit();
  if (done && seq_ != 0) env_->applied(seq_, links_->to_store());
  end(done.ok());
  return done;
}

void Change::end(bool committed) noexcept {
  if (txn_) txn_->abort();
  if (links_begun_) links_->end(committed);
  links_begun_ = false;
}

}  // namespace hyper_lmdb
