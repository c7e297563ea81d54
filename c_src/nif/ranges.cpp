#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calls.h"
#include "disk_turn.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "small_values.h"
#include "term.h"
#include "timeslice.h"

namespace hyper_lmdb::nif {

namespace {

// A normal scheduler answers for so few entries; who asks for more is better served by long parts,
// beside which the way to a dirty scheduler costs nothing.
constexpr std::uint64_t kMostEntriesOnScheduler = 256;
constexpr Effort kOnScheduler{
    .lookups = 1024,
    .value_bytes = 128 << 10,
    .inflated_bytes = 64 << 10,
    .sorting = 1000,
    .may_wait = false,
};
constexpr std::uint64_t kMostEntries = 2000;
constexpr Effort kElsewhere{.lookups = 100'000, .turn_ms = kLongestTurnMs};
constexpr std::size_t kMostBytes = 1 << 20;  // but for one entry that is larger
constexpr std::chrono::nanoseconds kCall{1000}, kEntry{150};

/// `{Prefix, From | nil, To | nil, After | nil, Reverse, KeysOnly, Limit | infinity}`.
std::optional<Range> as_range(ErlNifEnv* env, ERL_NIF_TERM term) {
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  if (enif_get_tuple(env, term, &arity, &part) == 0 || arity != 7) return std::nullopt;
  const auto prefix = as_binary(env, part[0]);
  if (!prefix) return std::nullopt;
  ErlNifUInt64 limit = 0;
  return Range{.prefix = *prefix,
               .from = as_binary(env, part[1]),
               .to = as_binary(env, part[2]),
               .after = as_binary(env, part[3]),
               .reverse = enif_is_identical(part[4], atoms().true_) != 0,
               .keys_only = enif_is_identical(part[5], atoms().true_) != 0,
               .limit = enif_get_uint64(env, part[6], &limit) != 0 ? limit : kNoLimit};
}

template <bool on_scheduler>
ERL_NIF_TERM entries_in(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  auto range = as_range(env, argv[1]);
  if (!range) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  if (range->after && range->after->size() > (*store)->max_key_bytes()) {
    return make_error(env, {.code = Code::bad_option, .option = "continue"});
  }
  const auto leave = [&] {
    return go_elsewhere(env, *store->store(), {.code = Code::work_limit},
                        &guarded<entries_in<false>>, argc, argv);
  };
  // Of each key a snapshot may have to pass many versions that came after it.
  if (on_scheduler && (range->limit > kMostEntriesOnScheduler || store->is_snapshot())) {
    return leave();
  }
  range->limit = std::min(range->limit, kMostEntries);
  const DiskTurn turn(*store->store());
  if (!turn.granted()) return atoms().busy;

  std::vector<ERL_NIF_TERM> entries;  // stay where they are: some get their term later
  entries.reserve(range->limit);
  SmallValues values(env);
  bool no_memory = false;
  std::size_t bytes = 0;
  constexpr std::size_t most_bytes = on_scheduler ? kOnScheduler.value_bytes : kMostBytes;
  const auto on_entry = [&](std::string_view key, std::string_view value) {
    const std::size_t more = key.size() + value.size();
    if (bytes + more > most_bytes && !entries.empty()) return false;
    bytes += more;
    const auto name = make_binary(env, key);
    no_memory = !name;
    if (no_memory) return false;
    entries.push_back(*name);
    if (!range->keys_only) no_memory = !values.add(&entries.back(), *name, value);
    return !no_memory;
  };
  const auto next = (*store)->range(*range, on_entry, on_scheduler ? kOnScheduler : kElsewhere);
  if (no_memory) return make_error(env, {.code = Code::no_memory});
  if (!next && next.error().code == Code::work_limit) return leave();
  if (!next) return make_error(env, next.error());
  values.finish();
  const auto count = static_cast<unsigned>(entries.size());
  charge(env, kCall + count * kEntry + time_of_bytes(bytes));
  ERL_NIF_TERM go_on = atoms().done;
  if (next.value()) {
    const auto key = make_binary(env, *next.value());
    if (!key) return make_error(env, {.code = Code::no_memory});
    go_on = *key;
  }
  return enif_make_tuple3(env, atoms().ok, enif_make_list_from_array(env, entries.data(), count),
                          go_on);
}

}  // namespace

ERL_NIF_TERM range(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return entries_in<true>(env, argc, argv);
}

}  // namespace hyper_lmdb::nif
