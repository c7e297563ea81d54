#include "read/read_call.h"

#include "read/residency.h"

namespace hyper_lmdb {

bool ReadCall::may_touch_many(std::string_view bytes) const noexcept {
  if (in_memory(bytes)) return true;
  if (may_wait_) bring_in(bytes);
  return may_wait_;
}

}  // namespace hyper_lmdb
