#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "calls.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/path.h"
#include "hyper_lmdb/store.h"
#include "small_values.h"
#include "term.h"

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
constexpr int kSlicePercentPer64KiB = 1;
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

/// Where what is over the limit goes on: memory that is far away, or work for a processor. What is
/// on a dirty scheduler already stays with its kind.
int job_for(const Error& over) noexcept {
  const bool inflates = std::string_view(over.operation) == "inflate" ||
                        enif_thread_type() == ERL_NIF_THR_DIRTY_CPU_SCHEDULER;
  return inflates ? ERL_NIF_DIRTY_JOB_CPU_BOUND : ERL_NIF_DIRTY_JOB_IO_BOUND;
}

/// `{ok, Value}`, or `{error, no_memory}`.
ERL_NIF_TERM make_value(ErlNifEnv* env, std::string_view value) {
  const auto term = make_binary(env, value);
  if (!term) return make_error(env, {.code = Code::no_memory});
  return enif_make_tuple2(env, atoms().ok, *term);
}

ERL_NIF_TERM read_one(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[], By by,
                      const Allowance& allowed) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto key = as_binary(env, argv[1]);
  if (!key) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  ERL_NIF_TERM answer = atoms().not_found;
  const auto on_value = [&](std::string_view value) {
    answer = make_value(env, value);
    if (value.size() > (64 << 10)) {
      const auto slices = static_cast<int>(value.size() / (64 << 10));
      enif_consume_timeslice(env, std::min(100, slices * kSlicePercentPer64KiB));
    }
  };
  const auto found = by == By::key ? (*store)->get(*key, on_value, allowed.effort)
                                   : (*store)->read(*key, on_value, allowed.effort);
  if (!found && over_limit(found.error())) {
    return enif_schedule_nif(env, "read", job_for(found.error()), allowed.elsewhere, argc, argv);
  }
  if (!found) return make_error(env, found.error());
  return answer;
}

template <By by>
ERL_NIF_TERM read_one_large(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_one(env, argc, argv, by, on_dirty(&guarded<read_one_large<by>>));
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
  const auto go_elsewhere = [&](int job) {
    return enif_schedule_nif(env, "read_many", job, allowed.elsewhere, argc, argv);
  };
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const bool bounded = allowed.most_keys == kMostKeysOnScheduler;
  auto keys = Keys::from(env, argv[1], bounded ? allowed.most_keys + 1 : allowed.most_keys);
  if (!keys) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  if (bounded && keys->views.size() > allowed.most_keys) {
    return go_elsewhere(ERL_NIF_DIRTY_JOB_IO_BOUND);
  }

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
  if (!done && over_limit(done.error())) return go_elsewhere(job_for(done.error()));
  if (!done) return make_error(env, done.error());
  if (too_much) return go_elsewhere(ERL_NIF_DIRTY_JOB_IO_BOUND);
  values.finish();
  const std::size_t count = answers.size();
  ERL_NIF_TERM list = enif_make_list(env, 0);
  for (std::size_t i = count; i-- > 0;) {
    const ERL_NIF_TERM name =
        by == By::path ? canonical_term(env, keys->views[i], keys->terms[i]) : keys->terms[i];
    list = enif_make_list_cell(env, enif_make_tuple2(env, name, answers[i]), list);
  }
  const std::uint64_t percent = count / 16 + bytes / (64 << 10) * kSlicePercentPer64KiB;
  if (percent > 0) {
    enif_consume_timeslice(env, static_cast<int>(std::min<std::uint64_t>(100, percent)));
  }
  return enif_make_tuple2(env, atoms().ok, list);
}

template <By by>
ERL_NIF_TERM read_several_large(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_several(env, argc, argv, by, on_dirty(&guarded<read_several_large<by>>));
}

template <bool bounded>
ERL_NIF_TERM type_of(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto path = as_binary(env, argv[1]);
  if (!path) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  const auto type = (*store)->type(*path, bounded ? kOnScheduler : kElsewhere);
  if (!type && over_limit(type.error())) {
    return enif_schedule_nif(env, "type", ERL_NIF_DIRTY_JOB_IO_BOUND, &guarded<type_of<false>>,
                             argc, argv);
  }
  if (!type) return make_error(env, type.error());
  switch (type.value()) {
    case PathType::simple:
      return atoms().simple;
    case PathType::composite:
      return atoms().composite;
    case PathType::not_found:
      break;
  }
  return atoms().not_found;
}

template <bool bounded>
ERL_NIF_TERM resolve_path(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto path = as_binary(env, argv[1]);
  if (!path) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  ERL_NIF_TERM answer = atoms().not_found;
  const auto found = (*store)->resolve(
      *path,
      [&](std::string_view key) { answer = make_binary(env, key).value_or(atoms().not_found); },
      bounded ? kOnScheduler : kElsewhere);
  if (!found && over_limit(found.error())) {
    return enif_schedule_nif(env, "resolve", ERL_NIF_DIRTY_JOB_IO_BOUND,
                             &guarded<resolve_path<false>>, argc, argv);
  }
  return found ? answer : make_error(env, found.error());
}

template <bool bounded>
ERL_NIF_TERM value_exists(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto key = as_binary(env, argv[1]);
  if (!key) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  const auto found = (*store)->exists(*key, bounded ? kOnScheduler : kElsewhere);
  if (!found && over_limit(found.error())) {
    return enif_schedule_nif(env, "exists", ERL_NIF_DIRTY_JOB_IO_BOUND,
                             &guarded<value_exists<false>>, argc, argv);
  }
  if (!found) return make_error(env, found.error());
  return found.value() ? atoms().true_ : atoms().false_;
}

}  // namespace

ERL_NIF_TERM get(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_one(env, argc, argv, By::key, on_scheduler(&guarded<read_one_large<By::key>>));
}

ERL_NIF_TERM read(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return read_one(env, argc, argv, By::path, on_scheduler(&guarded<read_one_large<By::path>>));
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
  return type_of<true>(env, argc, argv);
}

ERL_NIF_TERM resolve(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return resolve_path<true>(env, argc, argv);
}

ERL_NIF_TERM exists(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return value_exists<true>(env, argc, argv);
}

// `ok`, or `{more, Rest}`: a dirty scheduler and a snapshot are held for a short while only.
ERL_NIF_TERM prefetch(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  auto keys = Keys::from(env, argv[1], kMostKeysPrefetched);
  if (!keys) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  const auto done = (*store)->prefetch(keys->views, kLongestPrefetch);
  if (!done) return make_error(env, done.error());
  ERL_NIF_TERM rest = argv[1];
  ERL_NIF_TERM head = 0;
  for (std::size_t i = 0; i < done.value(); ++i) (void)enif_get_list_cell(env, rest, &head, &rest);
  if (enif_is_empty_list(env, rest) != 0) return atoms().ok;
  return enif_make_tuple2(env, atoms().more, rest);
}

}  // namespace hyper_lmdb::nif
