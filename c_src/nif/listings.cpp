#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "calls.h"
#include "disk_turn.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "term.h"

namespace hyper_lmdb::nif {

namespace {

// In one call, which holds a dirty scheduler; who wants more calls again.
constexpr std::uint64_t kMostNames = 2000;

/// What is listed: the children of a path, or the keys that begin with a prefix.
enum class Listed { children, keys };

/// `{Limit | infinity, Cursor | nil, Reverse}`.
std::optional<Page> as_page(ErlNifEnv* env, ERL_NIF_TERM term) {
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  if (enif_get_tuple(env, term, &arity, &part) == 0 || arity != 3) return std::nullopt;
  Page page;
  ErlNifUInt64 limit = 0;
  if (enif_get_uint64(env, part[0], &limit) != 0) page.limit = limit;
  page.cursor = as_binary(env, part[1]);
  page.reverse = enif_is_identical(part[2], atoms().true_) != 0;
  return page;
}

/// Both listings: names or keys in order, one more than asked for being the sign that there is
/// more.
template <Listed what>
ERL_NIF_TERM list_names(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto at = as_binary(env, argv[1]);
  if (!at) return make_badarg(env, 2);
  auto page = as_page(env, argv[2]);
  if (!page) return make_badarg(env, 3);
  if (store->get() == nullptr) return make_not_started(env);
  const DiskTurn turn(*store->store());
  if (!turn.granted()) return atoms().busy;
  const std::uint64_t limit = std::min(page->limit, kMostNames);
  page->limit = limit + 1;
  std::vector<ERL_NIF_TERM> names;
  bool more = false;
  bool no_memory = false;
  const auto on_name = [&](std::string_view name) {
    more = names.size() == limit;
    if (more) return false;
    const auto term = make_binary(env, name);
    no_memory = !term;
    if (term) names.push_back(*term);
    return !no_memory;
  };
  constexpr Effort kEffort{.turn_ms = kLongestTurnMs};
  Result<bool> found = true;
  if (what == Listed::children) {
    found = (*store)->list(*at, *page, on_name, kEffort);
  } else if (auto listed = (*store)->list_prefix(*at, *page, on_name, kEffort); !listed) {
    found = listed.error();
  }
  if (no_memory) return make_error(env, {.code = Code::no_memory});
  if (!found && found.error().code == Code::work_limit) {
    return enif_schedule_nif(env, "list", ERL_NIF_DIRTY_JOB_IO_BOUND, &guarded<list_names<what>>,
                             argc, argv);
  }
  if (!found) return make_error(env, found.error());
  if (!found.value()) return atoms().not_found;
  return enif_make_tuple3(
      env, atoms().ok,
      enif_make_list_from_array(env, names.data(), static_cast<unsigned>(names.size())),
      more ? atoms().true_ : atoms().false_);
}

}  // namespace

ERL_NIF_TERM list(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return list_names<Listed::children>(env, argc, argv);
}

ERL_NIF_TERM list_prefix(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return list_names<Listed::keys>(env, argc, argv);
}

}  // namespace hyper_lmdb::nif
