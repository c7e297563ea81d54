#include "small_values.h"

#include <cstring>

#include "term.h"

namespace hyper_lmdb::nif {

ERL_NIF_TERM make_value(ErlNifEnv* env, std::string_view value) {
  const auto term = make_binary(env, value);
  if (!term) return make_error(env, {.code = Code::no_memory});
  return enif_make_tuple2(env, atoms().ok, *term);
}

void SmallValues::add(ERL_NIF_TERM* answer, std::string_view value) {
  if (value.size() < kLeastBytes || value.size() > kMostBytes) {
    *answer = make_value(env_, value);
    return;
  }
  if (used_ + value.size() > kChunkBytes) finish();
  std::memcpy(bytes_.data() + used_, value.data(), value.size());
  used_ += value.size();
  waiting_[count_++] = {answer, used_};
}

void SmallValues::finish() {
  if (count_ == 1) {
    *waiting_[0].answer = make_value(env_, {bytes_.data(), used_});
  } else if (count_ > 1) {
    ERL_NIF_TERM whole = 0;
    std::memcpy(enif_make_new_binary(env_, used_, &whole), bytes_.data(), used_);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const auto [answer, end] = waiting_[i];
      *answer =
          enif_make_tuple2(env_, atoms().ok, enif_make_sub_binary(env_, whole, begin, end - begin));
      begin = end;
    }
  }
  used_ = 0;
  count_ = 0;
}

}  // namespace hyper_lmdb::nif
