// The elements of a write.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "hyper_lmdb/options.h"

namespace hyper_lmdb {

enum class OpKind : std::uint8_t {
  put,           ///< replace the value or link at the key, keep its mark
  remove,        ///< remove all there is at the key; an absent key is fine
  link,          ///< make the key a link to the path in `value`, keep its mark
  group,         ///< mark the key as a group; a link stays as it is
  check_value,   ///< fail the batch unless the key holds exactly this value
  check_absent,  ///< fail the batch if the key holds a value or a link
};

/// One element of a batch. The views must stay valid until the write has been answered.
struct Op {
  OpKind kind = OpKind::put;
  std::string_view key = {};
  std::string_view value = {};  ///< put and check_value: the value; link: the target, in any form
  /// put, link and group: the key is a path in any form, and the element goes where a read of it
  /// would look, with the links among its parents followed as the elements before it left them.
  bool is_path = false;
  // Of Store::pack, not for the caller: the value as it is stored, where that is compressed.
  Compression codec = Compression::none;
  std::string_view packed = {};
};

/// Memory of the values that Store::pack compressed.
using PackedValues = std::vector<std::unique_ptr<char[]>>;

/// Bytes an element counts for against `max_batch_bytes` and the writer's queue, beside its key and
/// its value.
inline constexpr std::uint64_t kOpOverheadBytes = 48;

inline std::uint64_t bytes_of(const Op& op) noexcept {
  return op.key.size() + op.value.size() + kOpOverheadBytes;
}

}  // namespace hyper_lmdb
