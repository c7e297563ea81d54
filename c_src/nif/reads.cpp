#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "calls.h"
#include "disk_turn.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/path.h"
#include "hyper_lmdb/store.h"
#include "small_values.h"
#include "term.h"
#include "timeslice.h"

namespace hyper_lmdb::nif {

namespace {

// A normal scheduler reads at most this much in one call; the rest goes to a dirty one.
constexpr Effort kOnScheduler{
    .lookups = 200,  // of a path that leads through many links
    .value_bytes = 512 << 10,
    .inflated_bytes = 64 << 10,
    .may_wait = false,  // for the disk, or for another read through the same snapshot
};
constexpr Effort kElsewhere{.turn_ms = kLongestTurnMs};
constexpr std::size_t kMostKeysOnScheduler = 256;
// Of several values together: half a millisecond of allocating and copying where they are warm.
constexpr std::uint64_t kSeveralBytesOnScheduler = 2 << 20;
// Whether so many values say that all would be too much: what is read first is read again
// elsewhere.
constexpr std::size_t kValuesLookedAt = 8;
constexpr std::chrono::nanoseconds kLookUp{500};  // of a key in memory, with a small value
constexpr std::size_t kLargeValueBytes = 8 << 10;
constexpr std::size_t kMostKeysPrefetched = 1000;  // in one call
constexpr std::chrono::milliseconds kLongestPrefetch{100};

/// What a call may do where it runs, and who goes on when that is not enough.
struct Allowance {
  Effort effort;
  std::size_t most_keys = ~std::size_t{0};
  Call elsewhere = nullptr;
};

constexpr Allowance on_scheduler(Call elsewhere) noexcept {
  return {.effort = kOnScheduler, .most_keys = kMostKeysOnScheduler, .elsewhere = elsewhere};
}
/// On a dirty scheduler, where only the turn at a snapshot has a limit.
constexpr Allowance on_dirty(Call again) noexcept {
  return {.effort = kElsewhere, .elsewhere = again};
}

/// Whether a key is the bytes given, or what they lead to as a path.
enum class By { key, path };

bool over_limit(const Error& error) noexcept {
  return error.code == Code::work_limit;
}

/// What is asked about one key or path.
using Question = Result<ERL_NIF_TERM> (*)(ErlNifEnv* env, const Reader& reader,
                                          std::string_view key, const Effort& effort);

template <Question question>
ERL_NIF_TERM ask(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[], const Allowance& allowed) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto key = as_binary(env, argv[1]);
  if (!key) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  charge(env, kLookUp);
  const auto answer = question(env, *store->get(), *key, allowed.effort);
  if (answer) return answer.value();
  if (!over_limit(answer.error())) return make_error(env, answer.error());
  return go_elsewhere(env, *store->store(), answer.error(), allowed.elsewhere, argc, argv);
}

template <Question question>
ERL_NIF_TERM ask_elsewhere(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (store->get() == nullptr) return make_not_started(env);
  const DiskTurn turn(*store->store());
  if (!turn.granted()) return atoms().busy;
  return ask<question>(env, argc, argv, on_dirty(&guarded<ask_elsewhere<question>>));
}

template <Question question>
ERL_NIF_TERM ask_here(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask<question>(env, argc, argv, on_scheduler(&guarded<ask_elsewhere<question>>));
}

/// `{ok, Value}`, or `{error, no_memory}`.
ERL_NIF_TERM make_value(ErlNifEnv* env, std::string_view value) {
  const auto term = make_binary(env, value);
  if (!term) return make_error(env, {.code = Code::no_memory});
  if (value.size() >= kLargeValueBytes) charge(env, time_of_bytes(value.size()));
  return enif_make_tuple2(env, atoms().ok, *term);
}

template <By by>
Result<ERL_NIF_TERM> value_at(ErlNifEnv* env, const Reader& reader, std::string_view key,
                              const Effort& effort) {
  ERL_NIF_TERM answer = atoms().not_found;
  const auto on_value = [&](std::string_view value) { answer = make_value(env, value); };
  const auto found =
      by == By::key ? reader.get(key, on_value, effort) : reader.read(key, on_value, effort);
  if (!found) return found.error();
  return answer;
}

Result<ERL_NIF_TERM> type_at(ErlNifEnv*, const Reader& reader, std::string_view path,
                             const Effort& effort) {
  const auto type = reader.type(path, effort);
  if (!type) return type.error();
  switch (type.value()) {
    case PathType::simple:
      return ERL_NIF_TERM{atoms().simple};
    case PathType::composite:
      return ERL_NIF_TERM{atoms().composite};
    case PathType::not_found:
      break;
  }
  return ERL_NIF_TERM{atoms().not_found};
}

Result<ERL_NIF_TERM> key_at(ErlNifEnv* env, const Reader& reader, std::string_view path,
                            const Effort& effort) {
  ERL_NIF_TERM answer = atoms().not_found;
  const auto on_key = [&](std::string_view key) {
    const auto term = make_binary(env, key);
    answer = term ? *term : make_error(env, {.code = Code::no_memory});
  };
  const auto found = reader.resolve(path, on_key, effort);
  if (!found) return found.error();
  return answer;
}

Result<ERL_NIF_TERM> is_at(ErlNifEnv*, const Reader& reader, std::string_view key,
                           const Effort& effort) {
  const auto found = reader.exists(key, effort);
  if (!found) return found.error();
  return found.value() ? ERL_NIF_TERM{atoms().true_} : ERL_NIF_TERM{atoms().false_};
}

Result<ERL_NIF_TERM> target_at(ErlNifEnv* env, const Reader& reader, std::string_view key,
                               const Effort& effort) {
  ERL_NIF_TERM answer = atoms().not_found;
  const auto on_target = [&](std::string_view target) { answer = make_value(env, target); };
  const auto found = reader.read_link(key, on_target, effort);
  if (!found) return found.error();
  return answer;
}

/// Keys of a call.
class Keys {
 public:
  /// Empty where the list or a key is of a wrong type. Stops after `most` keys.
  static std::optional<Keys> from(ErlNifEnv* env, ERL_NIF_TERM list, std::size_t most) {
    Keys keys;
    keys.views.reserve(kMostKeysOnScheduler);
    keys.terms.reserve(kMostKeysOnScheduler);
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

/// The canonical form of a path: the term itself where it is that already.
ERL_NIF_TERM canonical_term(ErlNifEnv* env, std::string_view path, ERL_NIF_TERM term) {
  if (is_canonical_path(path)) return term;
  return make_binary(env, canonical_path(path)).value_or(term);
}

ERL_NIF_TERM read_several(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[], By by,
                          const Allowance& allowed) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const bool bounded = allowed.most_keys == kMostKeysOnScheduler;
  auto keys = Keys::from(env, argv[1], bounded ? allowed.most_keys + 1 : allowed.most_keys);
  if (!keys) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  const auto leave = [&](const Error& over) {
    return go_elsewhere(env, *store->store(), over, allowed.elsewhere, argc, argv);
  };
  if (bounded && keys->views.size() > allowed.most_keys) return leave({.code = Code::work_limit});
  const DiskTurn turn(*store->store());
  if (!turn.granted()) return atoms().busy;

  std::vector<ERL_NIF_TERM> answers(keys->views.size(), atoms().not_found);
  SmallValues values(env);
  std::size_t seen = 0;
  std::uint64_t bytes = 0;
  bool too_much = false;
  const auto on_result = [&](std::size_t i, const Store::Lookup& found) {
    if (!found) {
      answers[i] = make_error(env, found.error());
      return true;
    }
    if (!found.value()) return true;
    if (!values.add(&answers[i], atoms().ok, *found.value())) {
      answers[i] = make_error(env, {.code = Code::no_memory});
    }
    bytes += found.value()->size();
    too_much = bounded && ++seen == kValuesLookedAt &&
               bytes / kValuesLookedAt * keys->views.size() > kSeveralBytesOnScheduler;
    return !too_much;
  };
  Effort effort = allowed.effort;
  if (bounded) {
    effort.lookups += 2 * allowed.most_keys;
    effort.value_bytes = kSeveralBytesOnScheduler;
  }
  const auto done = by == By::key ? (*store)->read_many(keys->views, on_result, effort)
                                  : (*store)->read_many_paths(keys->views, on_result, effort);
  if (!done && over_limit(done.error())) return leave(done.error());
  if (!done) return make_error(env, done.error());
  if (too_much) return leave({.code = Code::work_limit});
  values.finish();
  const std::size_t count = answers.size();
  ERL_NIF_TERM list = enif_make_list(env, 0);
  for (std::size_t i = count; i-- > 0;) {
    const ERL_NIF_TERM name =
        by == By::path ? canonical_term(env, keys->views[i], keys->terms[i]) : keys->terms[i];
    list = enif_make_list_cell(env, enif_make_tuple2(env, name, answers[i]), list);
  }
  charge(env, count * kLookUp + time_of_bytes(bytes));
  return enif_make_tuple2(env, atoms().ok, list);
}

template <By by>
ERL_NIF_TERM read_several_large(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_several(env, argc, argv, by, on_dirty(&guarded<read_several_large<by>>));
}

}  // namespace

ERL_NIF_TERM get(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask_here<value_at<By::key>>(env, argc, argv);
}

ERL_NIF_TERM read(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask_here<value_at<By::path>>(env, argc, argv);
}

ERL_NIF_TERM read_many_keys(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_several(env, argc, argv, By::key,
                      on_scheduler(&guarded<read_several_large<By::key>>));
}

ERL_NIF_TERM read_many(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_several(env, argc, argv, By::path,
                      on_scheduler(&guarded<read_several_large<By::path>>));
}

ERL_NIF_TERM type(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask_here<type_at>(env, argc, argv);
}

ERL_NIF_TERM resolve(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask_here<key_at>(env, argc, argv);
}

ERL_NIF_TERM exists(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask_here<is_at>(env, argc, argv);
}

ERL_NIF_TERM read_link(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return ask_here<target_at>(env, argc, argv);
}

// `ok`, or `{more, Rest}`: a dirty scheduler and a snapshot are held for a short while only.
ERL_NIF_TERM prefetch(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  auto keys = Keys::from(env, argv[1], kMostKeysPrefetched);
  if (!keys) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  const DiskTurn turn(*store->store());
  if (!turn.granted()) return atoms().busy;
  const auto done = (*store)->prefetch(keys->views, kLongestPrefetch, kElsewhere);
  if (!done) return make_error(env, done.error());
  ERL_NIF_TERM rest = argv[1];
  ERL_NIF_TERM head = 0;
  for (std::size_t i = 0; i < done.value(); ++i) (void)enif_get_list_cell(env, rest, &head, &rest);
  if (enif_is_empty_list(env, rest) != 0) return atoms().ok;
  return enif_make_tuple2(env, atoms().more, rest);
}

}  // namespace hyper_lmdb::nif
