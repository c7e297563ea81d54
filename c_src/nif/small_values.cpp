#include "small_values.h"

#include <cstring>

#include "term.h"

namespace hyper_lmdb::nif {

bool SmallValues::add(ERL_NIF_TERM* answer, ERL_NIF_TERM first, std::string_view value) {
  if (value.size() < kLeastBytes || value.size() > kMostBytes) {
    const auto term = make_binary(env_, value);
    if (term) *answer = enif_make_tuple2(env_, first, *term);
    return term.has_value();
  }
  if (used_ + value.size() > kChunkBytes) finish();
  std::memcpy(bytes_.data() + used_, value.data(), value.size());
  used_ += value.size();
  waiting_[count_++] = {answer, first, used_};
  return true;
}

void SmallValues::finish() {
  if (count_ != 0) {
    ERL_NIF_TERM whole = 0;
    std::memcpy(enif_make_new_binary(env_, used_, &whole), bytes_.data(), used_);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const auto [answer, first, end] = waiting_[i];
      const ERL_NIF_TERM value =
          count_ == 1 ? whole : enif_make_sub_binary(env_, whole, begin, end - begin);
      *answer = enif_make_tuple2(env_, first, value);
      begin = end;
    }
  }
  used_ = 0;
  count_ = 0;
}

}  // namespace hyper_lmdb::nif
