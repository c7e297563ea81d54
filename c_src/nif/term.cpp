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

std::optional<std::uint64_t> as_uint64(ErlNifEnv* env, ERL_NIF_TERM term) noexcept {
  ErlNifUInt64 value = 0;
  if (enif_get_uint64(env, term, &value) == 0) return std::nullopt;
  return value;
}

std::optional<bool> as_bool(ERL_NIF_TERM term) noexcept {
  if (is(term, the_atoms.true_)) return true;
  if (is(term, the_atoms.false_)) return false;
  return std::nullopt;
}

struct NumberOption {
  const char* name;
  std::optional<std::uint64_t> Options::*field;
};
constexpr NumberOption kNumbers[] = {
    {"capacity", &Options::capacity},
    {"write_buffer_bytes", &Options::write_buffer_bytes},
    {"sync_interval_ms", &Options::sync_interval_ms},
    {"max_value_bytes", &Options::max_value_bytes},
    {"max_batch_bytes", &Options::max_batch_bytes},
    {"max_readers", &Options::max_readers},
    {"path_cache_entries", &Options::path_cache_entries},
    {"path_cache_ttl_ms", &Options::path_cache_ttl_ms},
};
struct FlagOption {
  const char* name;
  std::optional<bool> Options::*field;
};
constexpr FlagOption kFlags[] = {
    {"checksum", &Options::checksum},
    {"read_only", &Options::read_only},
    {"shared", &Options::shared},
    {"force", &Options::force},
    {"no_readahead", &Options::no_readahead},
};

/// Sets one option; false where the value is not of the option's type or there is no such option.
bool set_option(ErlNifEnv* env, std::string_view name, ERL_NIF_TERM value, Options* options) {
  for (const NumberOption& option : kNumbers) {
    if (name == option.name) return (options->*option.field = as_uint64(env, value)).has_value();
  }
  for (const FlagOption& option : kFlags) {
    if (name == option.name) return (options->*option.field = as_bool(value)).has_value();
  }
  if (name == "durability") {
    if (is(value, the_atoms.sync_mode)) options->durability = Durability::sync;
    if (is(value, the_atoms.map_async_mode)) options->durability = Durability::map_async;
    return options->durability.has_value();
  }
  if (name == "on_unclean") {
    if (is(value, the_atoms.error_mode)) options->on_unclean = OnUnclean::error;
    if (is(value, the_atoms.reset_mode)) options->on_unclean = OnUnclean::reset;
    return options->on_unclean.has_value();
  }
  return false;
}

/// Option names live as long as the process: an Error refers to them.
const char* known_name(std::string_view name) noexcept {
  for (const NumberOption& option : kNumbers) {
    if (name == option.name) return option.name;
  }
  for (const FlagOption& option : kFlags) {
    if (name == option.name) return option.name;
  }
  for (const char* other : {"durability", "on_unclean"}) {
    if (name == other) return other;
  }
  return "unknown";
}

std::uint64_t default_max_readers() noexcept {
  ErlNifSysInfo system;
  enif_system_info(&system, sizeof system);
  // Normal and dirty schedulers may each read at once, and a pool leaves a few slots to others.
  constexpr std::uint64_t kLeast = 126;
  const std::uint64_t threads = 3 * static_cast<std::uint64_t>(system.scheduler_threads) + 64;
  return threads < kLeast ? kLeast : threads;
}

}  // namespace

const Atoms& atoms() noexcept {
  return the_atoms;
}

void make_atoms(ErlNifEnv* env) {
  const auto atom = [env](const char* name) { return enif_make_atom(env, name); };
  the_atoms = {.ok = atom("ok"),
               .error = atom("error"),
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
               .batch_too_large = atom("batch_too_large"),
               .not_started = atom("not_started"),
               .name = atom("name"),
               .sync_mode = atom("sync"),
               .map_async_mode = atom("map_async"),
               .error_mode = atom("error"),
               .reset_mode = atom("reset")};
  for (std::size_t i = 0; i < kCodes; ++i) {
    code_atoms[i] = atom(name_of(static_cast<Code>(i)));
  }
}

ERL_NIF_TERM make_error(ErlNifEnv* env, const Error& error) {
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

Result<Options> as_options(ErlNifEnv* env, std::string_view directory, ERL_NIF_TERM list) {
  Options options;
  options.directory = directory;
  options.default_max_readers = default_max_readers();
  ERL_NIF_TERM head = 0;
  while (enif_get_list_cell(env, list, &head, &list) != 0) {
    int arity = 0;
    const ERL_NIF_TERM* part = nullptr;
    char name[64];
    if (enif_get_tuple(env, head, &arity, &part) == 0 || arity != 2 ||
        enif_get_atom(env, part[0], name, sizeof name, ERL_NIF_LATIN1) == 0) {
      return Error{.code = Code::bad_option, .operation = "open", .option = "unknown"};
    }
    if (!set_option(env, name, part[1], &options)) {
      return Error{.code = Code::bad_option, .operation = "open", .option = known_name(name)};
    }
  }
  return options;
}

ERL_NIF_TERM make_info(ErlNifEnv* env, const Info& info) {
  constexpr std::size_t kMost = 48;
  ERL_NIF_TERM keys[kMost];
  ERL_NIF_TERM values[kMost];
  std::size_t count = 0;
  const auto add = [&](const char* key, ERL_NIF_TERM value) {
    keys[count] = enif_make_atom(env, key);
    values[count++] = value;
  };
  const auto number = [&](const char* key, std::uint64_t value) {
    add(key, enif_make_uint64(env, value));
  };
  const auto flag = [&](const char* key, bool value) {
    add(key, value ? the_atoms.true_ : the_atoms.false_);
  };
  const auto text = [&](const char* key, std::string_view value) {
    add(key, make_binary(env, value).value_or(the_atoms.undefined));
  };
  const Settings& settings = info.settings;
  text("name", info.directory);
  text("store_id", info.store_id);
  add("durability",
      settings.durability == Durability::sync ? the_atoms.sync_mode : the_atoms.map_async_mode);
  add("on_unclean",
      settings.on_unclean == OnUnclean::error ? the_atoms.error_mode : the_atoms.reset_mode);
  number("capacity", settings.capacity);
  number("write_buffer_bytes", settings.write_buffer_bytes);
  number("sync_interval_ms", settings.sync_interval_ms);
  number("max_value_bytes", settings.max_value_bytes);
  number("max_batch_bytes", settings.max_batch_bytes);
  number("max_readers", settings.max_readers);
  number("path_cache_entries", settings.path_cache_entries);
  number("path_cache_ttl_ms", settings.path_cache_ttl_ms);
  flag("checksum", settings.checksum);
  flag("read_only", settings.read_only);
  flag("shared", settings.shared);
  flag("no_readahead", settings.no_readahead);
  flag("force", settings.force);
  number("entries", info.entries);
  number("page_size", info.page_size);
  number("tree_depth", info.tree_depth);
  number("map_bytes", info.map_bytes);
  number("file_bytes", info.file_bytes);
  number("used_bytes", info.used_bytes);
  number("last_transaction_id", info.last_transaction_id);
  number("reader_slots", info.reader_slots);
  number("reader_slots_used", info.reader_slots_used);
  number("writes_inline", info.writes_inline);
  number("groups", info.groups);
  number("grouped_writes", info.grouped_writes);
  number("queued_bytes", info.queued_bytes);
  number("waiting_writers", info.waiting_writers);
  number("flushes", info.flushes);
  number("links", info.links);
  number("path_cache_hits", info.path_cache_hits);
  number("path_cache_misses", info.path_cache_misses);
  number("path_cache_evictions", info.path_cache_evictions);
  number("path_cache_size", info.path_cache_size);
  flag("failed", info.failed);
  text("lmdb_version", info.lmdb_version);
  ERL_NIF_TERM map = 0;
  if (enif_make_map_from_arrays(env, keys, values, count, &map) == 0) return the_atoms.undefined;
  return map;
}

}  // namespace hyper_lmdb::nif
