#include "term.h"

#include <array>
#include <cstring>
#include <string>

namespace hyper_lmdb::nif {

namespace {

Atoms the_atoms;
constexpr auto kCodes = static_cast<std::size_t>(Code::internal) + 1;
std::array<ERL_NIF_TERM, kCodes> code_atoms;

// Larger results are allocated by the call that can say no; small ones take the short way.
constexpr std::size_t kLargeBinaryBytes = 64 << 10;

ERL_NIF_TERM code_atom(Code code) noexcept {
  return code_atoms[static_cast<std::size_t>(code)];
}

ERL_NIF_TERM reason(ErlNifEnv* env, const Error& error) {
  const ERL_NIF_TERM code = code_atom(error.code);
  if (error.code == Code::bad_option || error.code == Code::conflicting_option) {
    return enif_make_tuple2(env, code, enif_make_atom(env, error.option));
  }
  if (error.index == 0) return code;
  const ERL_NIF_TERM index = enif_make_uint64(env, error.index);
  if (error.code == Code::check_failed) return enif_make_tuple2(env, code, index);
  return enif_make_tuple2(env, index, code);
}

bool is(ERL_NIF_TERM a, ERL_NIF_TERM b) noexcept {
  return enif_is_identical(a, b) != 0;
}

}  // namespace

const Atoms& atoms() noexcept {
  return the_atoms;
}

void make_atoms(ErlNifEnv* env) {
  const auto atom = [env](const char* name) { return enif_make_atom(env, name); };
  the_atoms = {.ok = atom("ok"),
               .error = atom("error"),
               .more = atom("more"),
               .not_found = atom("not_found"),
               .true_ = atom("true"),
               .false_ = atom("false"),
               .undefined = atom("undefined"),
               .queue = atom("queue"),
               .queued = atom("queued"),
               .wait = atom("wait"),
               .go = atom("go"),
               .none = atom("none"),
               .badarg = atom("badarg"),
               .put = atom("put"),
               .delete_ = atom("delete"),
               .check = atom("check"),
               .absent = atom("absent"),
               .link = atom("link"),
               .group = atom("group"),
               .write = atom("write"),
               .make_link = atom("make_link"),
               .make_group = atom("make_group"),
               .paths = atom("paths"),
               .reset = atom("reset"),
               .sync = atom("sync"),
               .delete_prefix = atom("delete_prefix"),
               .simple = atom("simple"),
               .composite = atom("composite"),
               .committed = atom("committed"),
               .not_started = atom("not_started"),
               .name = atom("name"),
               .sync_mode = atom("sync"),
               .async_mode = atom("async"),
               .map_async_mode = atom("map_async"),
               .error_mode = atom("error"),
               .reset_mode = atom("reset"),
               .done = atom("done"),
               .lz4 = atom("lz4"),
               .zstd = atom("zstd"),
               .snapshot = atom("snapshot"),
               .busy = atom("busy"),
               .value = atom("value")};
  for (std::size_t i = 0; i < kCodes; ++i) {
    code_atoms[i] = atom(name_of(static_cast<Code>(i)));
  }
}

ERL_NIF_TERM make_error(ErlNifEnv* env, const Error& error) {
  if (error.code == Code::busy) return the_atoms.busy;
  return enif_make_tuple2(env, the_atoms.error, reason(env, error));
}

ERL_NIF_TERM make_single_error(ErlNifEnv* env, Error error) {
  error.index = 0;
  return make_error(env, error);
}

ERL_NIF_TERM make_badarg(ErlNifEnv* env, int position) {
  return enif_make_tuple2(env, the_atoms.badarg, enif_make_int(env, position));
}

ERL_NIF_TERM make_not_started(ErlNifEnv* env) {
  return enif_make_tuple2(env, the_atoms.error, the_atoms.not_started);
}

ERL_NIF_TERM make_result(ErlNifEnv* env, const Result<void>& result) {
  return result ? the_atoms.ok : make_error(env, result.error());
}

std::optional<std::string_view> as_binary(ErlNifEnv* env, ERL_NIF_TERM term) noexcept {
  ErlNifBinary binary;
  if (enif_is_binary(env, term) == 0 || enif_inspect_binary(env, term, &binary) == 0) {
    return std::nullopt;
  }
  return std::string_view(reinterpret_cast<const char*>(binary.data), binary.size);
}

std::optional<ERL_NIF_TERM> make_binary(ErlNifEnv* env, std::string_view bytes) noexcept {
  ERL_NIF_TERM term = 0;
  if (bytes.size() < kLargeBinaryBytes) {
    unsigned char* data = enif_make_new_binary(env, bytes.size(), &term);
    if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
    return term;
  }
  ErlNifBinary binary;
  if (enif_alloc_binary(bytes.size(), &binary) == 0) return std::nullopt;
  std::memcpy(binary.data, bytes.data(), bytes.size());
  return enif_make_binary(env, &binary);
}

namespace {

std::optional<Op> as_key_op(ErlNifEnv* env, const ERL_NIF_TERM* part, int arity) noexcept {
  const auto first = as_binary(env, part[1]);
  if (!first) return std::nullopt;
  if (arity == 2) {
    if (is(part[0], the_atoms.delete_)) return Op{.kind = OpKind::remove, .key = *first};
    if (is(part[0], the_atoms.group)) return Op{.kind = OpKind::group, .key = *first};
    return std::nullopt;
  }
  const bool check = is(part[0], the_atoms.check);
  if (check && is(part[2], the_atoms.absent)) {
    return Op{.kind = OpKind::check_absent, .key = *first};
  }
  const auto second = as_binary(env, part[2]);
  if (!second) return std::nullopt;
  if (check) return Op{.kind = OpKind::check_value, .key = *first, .value = *second};
  if (is(part[0], the_atoms.put)) return Op{.kind = OpKind::put, .key = *first, .value = *second};
  if (is(part[0], the_atoms.link)) return Op{.kind = OpKind::link, .key = *second, .value = *first};
  return std::nullopt;
}

std::optional<Op> as_path_op(ErlNifEnv* env, const ERL_NIF_TERM* part, int arity) noexcept {
  const auto first = as_binary(env, part[1]);
  if (!first) return std::nullopt;
  if (arity == 2) {
    if (!is(part[0], the_atoms.make_group)) return std::nullopt;
    return Op{.kind = OpKind::group, .key = *first, .is_path = true};
  }
  const auto second = as_binary(env, part[2]);
  if (!second) return std::nullopt;
  if (is(part[0], the_atoms.write)) {
    return Op{.kind = OpKind::put, .key = *first, .value = *second, .is_path = true};
  }
  if (is(part[0], the_atoms.make_link)) {
    return Op{.kind = OpKind::link, .key = *second, .value = *first, .is_path = true};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Op> as_op(ErlNifEnv* env, ERL_NIF_TERM term, Elements elements) noexcept {
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  if (enif_get_tuple(env, term, &arity, &part) == 0 || arity < 2 || arity > 3) return std::nullopt;
  return elements == Elements::paths ? as_path_op(env, part, arity) : as_key_op(env, part, arity);
}

OpList as_op_list(ErlNifEnv* env, ERL_NIF_TERM term) noexcept {
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  if (enif_get_tuple(env, term, &arity, &part) != 0 && arity == 2 && is(part[0], the_atoms.paths)) {
    return {.list = part[1], .elements = Elements::paths};
  }
  return {.list = term, .elements = Elements::keys};
}

}  // namespace hyper_lmdb::nif
