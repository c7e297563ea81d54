#include "read/reading.h"

#include "read/pages_in_memory.h"

namespace hyper_lmdb {

bool Reading::may_touch_many(std::string_view bytes) const noexcept {
  if (in_memory(bytes)) return true;
  if (may_wait_) bring_in(bytes);
  return may_wait_;
}

}  // namespace hyper_lmdb
