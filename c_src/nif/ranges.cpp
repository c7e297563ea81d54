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

/// What is asked for.
struct Wanted {
  Range range;
  bool records = false;  // all that is at a key, not its value only
};

/// `{Prefix, From | nil, To | nil, After | nil, Reverse, KeysOnly, Limit | infinity, Records}`.
std::optional<Wanted> as_wanted(ErlNifEnv* env, ERL_NIF_TERM term) {
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  if (enif_get_tuple(env, term, &arity, &part) == 0 || arity != 8) return std::nullopt;
  const auto prefix = as_binary(env, part[0]);
  if (!prefix) return std::nullopt;
  ErlNifUInt64 limit = 0;
  return Wanted{.range = {.prefix = *prefix,
                          .from = as_binary(env, part[1]),
                          .to = as_binary(env, part[2]),
                          .after = as_binary(env, part[3]),
                          .reverse = enif_is_identical(part[4], atoms().true_) != 0,
                          .keys_only = enif_is_identical(part[5], atoms().true_) != 0,
                          .limit = enif_get_uint64(env, part[6], &limit) != 0 ? limit : kNoLimit},
                .records = enif_is_identical(part[7], atoms().true_) != 0};
}

/// The entries of an answer: keys, `{Key, Value}`, or `{Key, Record}`.
class Entries {
 public:
  Entries(ErlNifEnv* env, std::size_t most_keys, std::size_t most_bytes)
      : env_(env), most_bytes_(most_bytes), values_(env) {
    terms_.reserve(2 * most_keys);
  }

  // Each is false, and nothing added, where the answer has no room left, or memory is out.
  bool add_key(std::string_view key) {
    if (!start(key, 0)) return false;
    terms_.push_back(key_);
    return true;
  }
  bool add_value(std::string_view key, std::string_view value) {
    return start(key, value.size()) && keep_value(key_, value);
  }
  /// The mark first: a batch that writes them in this order makes a link of a marked key, too.
  bool add_records(const Entry& entry) {
    const std::string_view payload = entry.value.value_or(entry.target.value_or(""));
    if (!start(entry.key, payload.size())) return false;
    if (entry.marked) keep_record(atoms().group);
    if (entry.value) {
      names_.push_back({.at = terms_.size(), .key = key_});
      return keep_value(atoms().value, payload);
    }
    if (!entry.target) return true;
    const auto target = make_binary(env_, payload);
    no_memory_ = !target;
    if (target) keep_record(enif_make_tuple2(env_, atoms().link, *target));
    return !no_memory_;
  }

  ERL_NIF_TERM list() {
    values_.finish();
    for (const Named& named : names_) {
      terms_[named.at] = enif_make_tuple2(env_, named.key, terms_[named.at]);
    }
    return enif_make_list_from_array(env_, terms_.data(), static_cast<unsigned>(terms_.size()));
  }

  bool no_memory() const noexcept { return no_memory_; }
  std::size_t size() const noexcept { return terms_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  /// An entry that gets its key last.
  struct Named {
    std::size_t at;
    ERL_NIF_TERM key;
  };

  bool start(std::string_view key, std::size_t more) {
    more += key.size();
    if (bytes_ + more > most_bytes_ && !terms_.empty()) return false;
    const auto name = make_binary(env_, key);
    no_memory_ = !name;
    if (no_memory_) return false;
    bytes_ += more;
    key_ = *name;
    return true;
  }
  void keep_record(ERL_NIF_TERM record) { terms_.push_back(enif_make_tuple2(env_, key_, record)); }
  bool keep_value(ERL_NIF_TERM first, std::string_view value) {
    terms_.push_back(first);
    no_memory_ = !values_.add(&terms_.back(), first, value);
    return !no_memory_;
  }

  ErlNifEnv* env_;
  std::size_t most_bytes_;
  SmallValues values_;
  std::vector<ERL_NIF_TERM> terms_;  // stay where they are: some are set later
  std::vector<Named> names_;
  ERL_NIF_TERM key_ = 0;
  std::size_t bytes_ = 0;
  bool no_memory_ = false;
};

template <bool on_scheduler>
ERL_NIF_TERM entries_in(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  auto wanted = as_wanted(env, argv[1]);
  if (!wanted) return make_badarg(env, 2);
  if (store->get() == nullptr) return make_not_started(env);
  Range& range = wanted->range;
  if (range.after && range.after->size() > (*store)->max_key_bytes()) {
    return make_error(env, {.code = Code::bad_option, .option = "continue"});
  }
  const auto leave = [&] {
    return go_elsewhere(env, *store->store(), {.code = Code::work_limit},
                        &guarded<entries_in<false>>, argc, argv);
  };
  // Of each key a snapshot may have to pass many versions that came after it.
  if (on_scheduler && store->is_snapshot()) return leave();
  // Most ranges are short; what goes on behind a part is not.
  const bool may_be_short = range.limit == kNoLimit && !range.after;
  if (on_scheduler && range.limit > kMostEntriesOnScheduler && !may_be_short) return leave();
  range.limit = std::min(range.limit, on_scheduler ? kMostEntriesOnScheduler : kMostEntries);
  const DiskTurn turn(*store->store());
  if (!turn.granted()) return atoms().busy;

  Entries entries(env, range.limit, on_scheduler ? kOnScheduler.value_bytes : kMostBytes);
  const auto on_value = [&](std::string_view key, std::string_view value) {
    return range.keys_only ? entries.add_key(key) : entries.add_value(key, value);
  };
  const auto on_records = [&](const Entry& entry) {
    return range.keys_only ? entries.add_key(entry.key) : entries.add_records(entry);
  };
  constexpr Effort effort = on_scheduler ? kOnScheduler : kElsewhere;
  const auto next = wanted->records ? (*store)->records(range, on_records, effort)
                                    : (*store)->range(range, on_value, effort);
  if (entries.no_memory()) return make_error(env, {.code = Code::no_memory});
  if (!next && next.error().code == Code::work_limit) return leave();
  if (!next) return make_error(env, next.error());
  charge(env, kCall + entries.size() * kEntry + time_of_bytes(entries.bytes()));
  if (on_scheduler && may_be_short && next.value()) return leave();
  ERL_NIF_TERM go_on = atoms().done;
  if (next.value()) {
    const auto key = make_binary(env, *next.value());
    if (!key) return make_error(env, {.code = Code::no_memory});
    go_on = *key;
  }
  return enif_make_tuple3(env, atoms().ok, entries.list(), go_on);
}

}  // namespace

ERL_NIF_TERM range(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return entries_in<true>(env, argc, argv);
}

}  // namespace hyper_lmdb::nif
