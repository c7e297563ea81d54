// Pages brought into memory before somebody needs them.
#include "read/read_call.h"
#include "read/residency.h"
#include "store/store_impl.h"

namespace hyper_lmdb {

Result<std::size_t> Reader::prefetch(std::span<const std::string_view> keys,
                                     std::chrono::milliseconds most, const Effort& effort) const {
  const auto deadline = std::chrono::steady_clock::now() + most;
  const ReadCall reading(&impl_->residency, {});
  // A snapshot is read by one call at a time, and its pages are nearly those of the store.
  if (snapshot_ != nullptr) {
    const auto open = impl_->snapshots.lease(snapshot_, 0);
    const bool being_read = !open && open.error().code == Code::work_limit;
    if (!open && !being_read) return open.error();
  }
  auto lease = impl_->pool.lease(ReadPool::For::call, effort.turn_ms);
  if (!lease) return lease.error();
  const View view = lease.value().view(impl_->env->dbi());
  for (std::size_t done = 0; done < keys.size();) {
    const std::string_view key = keys[done++];
    if (!impl_->check_key(key)) continue;  // no page holds it
    auto bytes = view.find(key);
    if (!bytes) return bytes.error();
    if (bytes.value()) bring_in(*bytes.value());
    if (std::chrono::steady_clock::now() >= deadline) return done;
  }
  return keys.size();
}

}  // namespace hyper_lmdb
