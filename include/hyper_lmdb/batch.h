// The elements of a write.
#pragma once

#include <cstdint>
#include <string_view>

namespace hyper_lmdb {

enum class OpKind : std::uint8_t {
  put,           ///< replace the value or link at the key
  remove,        ///< remove all there is at the key; an absent key is fine
  check_value,   ///< fail the batch unless the key holds exactly this value
  check_absent,  ///< fail the batch if the key holds a value or a link
};

/// One element of a batch. The views must stay valid until the write has been answered.
struct Op {
  OpKind kind = OpKind::put;
  std::string_view key;
  std::string_view value;  ///< put and check_value only
};

/// Bytes an element counts for against `max_batch_bytes` and the writer's queue, beside its key and
/// its value.
inline constexpr std::uint64_t kOpOverheadBytes = 48;

inline std::uint64_t bytes_of(const Op& op) noexcept {
  return op.key.size() + op.value.size() + kOpOverheadBytes;
}

}  // namespace hyper_lmdb
