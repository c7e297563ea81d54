#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "calls.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "term.h"

namespace hyper_lmdb::nif {

namespace {

// A normal scheduler reads at most this much in one call; the rest goes to a dirty one.
constexpr std::size_t kMostBytesOnScheduler = 512 << 10;
constexpr std::size_t kMostKeysOnScheduler = 256;
constexpr int kSlicePercentPer64KiB = 1;

ERL_NIF_TERM make_value(ErlNifEnv* env, std::string_view value) {
  const auto term = make_binary(env, value);
  if (!term) return make_error(env, {.code = Code::no_memory});
  return enif_make_tuple2(env, atoms().ok, *term);
}

ERL_NIF_TERM get_anywhere(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[],
                          std::size_t most_bytes, Call elsewhere) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto key = as_binary(env, argv[1]);
  if (!key) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  ERL_NIF_TERM answer = atoms().not_found;
  bool too_large = false;
  const auto found = (*store)->get(*key, [&](std::string_view value) {
    too_large = value.size() > most_bytes;
    if (!too_large) answer = make_value(env, value);
    if (value.size() > (64 << 10)) {
      const auto slices = static_cast<int>(value.size() / (64 << 10));
      enif_consume_timeslice(env, std::min(100, slices * kSlicePercentPer64KiB));
    }
  });
  if (!found) return make_error(env, found.error());
  if (too_large) {
    return enif_schedule_nif(env, "get", ERL_NIF_DIRTY_JOB_IO_BOUND, elsewhere, argc, argv);
  }
  return answer;
}

ERL_NIF_TERM get_large(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return get_anywhere(env, argc, argv, ~std::size_t{0}, nullptr);
}

/// Keys of a call: few on the stack, many on the heap.
class Keys {
 public:
  /// Empty where the list or a key is of a wrong type. Stops after `most` keys.
  static std::optional<Keys> from(ErlNifEnv* env, ERL_NIF_TERM list, std::size_t most) {
    Keys keys;
    ERL_NIF_TERM head = 0;
    while (keys.views.size() < most && enif_get_list_cell(env, list, &head, &list) != 0) {
      const auto key = as_binary(env, head);
      if (!key) return std::nullopt;
      keys.views.push_back(*key);
      keys.terms.push_back(head);
    }
    if (keys.views.size() < most && enif_is_empty_list(env, list) == 0) return std::nullopt;
    return keys;
  }

  std::vector<std::string_view> views;
  std::vector<ERL_NIF_TERM> terms;
};

ERL_NIF_TERM read_many_anywhere(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[],
                                std::size_t most_keys, std::size_t most_bytes, Call elsewhere) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  auto keys = Keys::from(env, argv[1], most_keys);
  if (!keys) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  std::size_t bytes = 0;
  bool too_large = keys->views.size() == most_keys;
  if (!too_large) {
    std::vector<ERL_NIF_TERM>& results = keys->terms;  // each key gives way to its result
    const auto done =
        (*store)->read_many(keys->views, [&](std::size_t i, const Store::Lookup& found) {
          ERL_NIF_TERM answer = atoms().not_found;
          if (!found) {
            answer = make_error(env, found.error());
          } else if (found.value()) {
            bytes += found.value()->size();
            too_large = bytes > most_bytes;
            if (too_large) return false;
            answer = make_value(env, *found.value());
          }
          results[i] = enif_make_tuple2(env, results[i], answer);
          return true;
        });
    if (!done) return make_error(env, done.error());
  }
  if (too_large) {
    return enif_schedule_nif(env, "read_many", ERL_NIF_DIRTY_JOB_IO_BOUND, elsewhere, argc, argv);
  }
  const auto count = static_cast<unsigned>(keys->terms.size());
  if (count >= 16) enif_consume_timeslice(env, static_cast<int>(std::min(100U, count / 16)));
  return enif_make_tuple2(env, atoms().ok,
                          enif_make_list_from_array(env, keys->terms.data(), count));
}

ERL_NIF_TERM read_many_large(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  constexpr std::size_t kAny = ~std::size_t{0};
  return read_many_anywhere(env, argc, argv, kAny, kAny, nullptr);
}

}  // namespace

ERL_NIF_TERM get(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return get_anywhere(env, argc, argv, kMostBytesOnScheduler, &guarded<get_large>);
}

ERL_NIF_TERM exists(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto key = as_binary(env, argv[1]);
  if (!key) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  const auto found = (*store)->exists(*key);
  if (!found) return make_error(env, found.error());
  return found.value() ? atoms().true_ : atoms().false_;
}

ERL_NIF_TERM read_many(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_many_anywhere(env, argc, argv, kMostKeysOnScheduler + 1, kMostBytesOnScheduler,
                            &guarded<read_many_large>);
}

}  // namespace hyper_lmdb::nif
