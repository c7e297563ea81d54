// Elements of a batch in few words.
#pragma once

#include <string_view>

#include "hyper_lmdb/batch.h"

namespace hyper_lmdb::test {

inline Op put_op(std::string_view key, std::string_view value) {
  return {.kind = OpKind::put, .key = key, .value = value};
}
inline Op remove_op(std::string_view key) {
  return {.kind = OpKind::remove, .key = key, .value = {}};
}
inline Op link_op(std::string_view target, std::string_view key) {
  return {.kind = OpKind::link, .key = key, .value = target};
}
inline Op group_op(std::string_view key) {
  return {.kind = OpKind::group, .key = key, .value = {}};
}
inline Op value_op(std::string_view key, std::string_view value) {
  return {.kind = OpKind::check_value, .key = key, .value = value};
}
inline Op absent_op(std::string_view key) {
  return {.kind = OpKind::check_absent, .key = key, .value = {}};
}

}  // namespace hyper_lmdb::test
