#include "config_term.h"

#include "term.h"

namespace hyper_lmdb::nif {

namespace {

bool is(ERL_NIF_TERM a, ERL_NIF_TERM b) noexcept {
  return enif_is_identical(a, b) != 0;
}

std::optional<std::uint64_t> as_uint64(ErlNifEnv* env, ERL_NIF_TERM term) noexcept {
  ErlNifUInt64 value = 0;
  if (enif_get_uint64(env, term, &value) == 0) return std::nullopt;
  return value;
}

std::optional<bool> as_bool(ERL_NIF_TERM term) noexcept {
  if (is(term, atoms().true_)) return true;
  if (is(term, atoms().false_)) return false;
  return std::nullopt;
}

std::optional<Durability> as_durability(ERL_NIF_TERM term) noexcept {
  if (is(term, atoms().sync_mode)) return Durability::sync;
  if (is(term, atoms().async_mode)) return Durability::async;
  if (is(term, atoms().map_async_mode)) return Durability::map_async;
  return std::nullopt;
}

std::optional<OnUnclean> as_on_unclean(ERL_NIF_TERM term) noexcept {
  if (is(term, atoms().error_mode)) return OnUnclean::error;
  if (is(term, atoms().reset_mode)) return OnUnclean::reset;
  return std::nullopt;
}

std::optional<Compression> as_compression(ERL_NIF_TERM term) noexcept {
  if (is(term, atoms().none)) return Compression::none;
  if (is(term, atoms().lz4)) return Compression::lz4;
  if (is(term, atoms().zstd)) return Compression::zstd;
  return std::nullopt;
}

ERL_NIF_TERM compression_atom(Compression compression) noexcept {
  switch (compression) {
    case Compression::none:
      break;
    case Compression::lz4:
      return atoms().lz4;
    case Compression::zstd:
      return atoms().zstd;
  }
  return atoms().none;
}

template <std::optional<std::uint64_t> Options::*field>
bool set_number(ErlNifEnv* env, ERL_NIF_TERM value, Options* options) {
  return (options->*field = as_uint64(env, value)).has_value();
}

template <std::optional<bool> Options::*field>
bool set_flag(ErlNifEnv*, ERL_NIF_TERM value, Options* options) {
  return (options->*field = as_bool(value)).has_value();
}

/// An option: its name, which an Error may refer to for as long as the process lives, and what
/// takes its value, or answers false where that is not of the option's type.
struct KnownOption {
  const char* name;
  bool (*set)(ErlNifEnv* env, ERL_NIF_TERM value, Options* options);
};
constexpr KnownOption kOptions[] = {
    {"durability",
     [](ErlNifEnv*, ERL_NIF_TERM value, Options* options) {
       return (options->durability = as_durability(value)).has_value();
     }},
    {"on_unclean",
     [](ErlNifEnv*, ERL_NIF_TERM value, Options* options) {
       return (options->on_unclean = as_on_unclean(value)).has_value();
     }},
    {"compression",
     [](ErlNifEnv*, ERL_NIF_TERM value, Options* options) {
       return (options->compression = as_compression(value)).has_value();
     }},
    {"compression_threshold", &set_number<&Options::compression_threshold>},
    {"page_size", &set_number<&Options::page_size>},
    {"capacity", &set_number<&Options::capacity>},
    {"write_buffer_bytes", &set_number<&Options::write_buffer_bytes>},
    {"sync_interval_ms", &set_number<&Options::sync_interval_ms>},
    {"max_value_bytes", &set_number<&Options::max_value_bytes>},
    {"max_batch_bytes", &set_number<&Options::max_batch_bytes>},
    {"max_readers", &set_number<&Options::max_readers>},
    {"path_cache_entries", &set_number<&Options::path_cache_entries>},
    {"path_cache_ttl_ms", &set_number<&Options::path_cache_ttl_ms>},
    {"max_snapshot_age_ms", &set_number<&Options::max_snapshot_age_ms>},
    {"checksum", &set_flag<&Options::checksum>},
    {"read_only", &set_flag<&Options::read_only>},
    {"force", &set_flag<&Options::force>},
    {"no_readahead", &set_flag<&Options::no_readahead>},
};
constexpr KnownOption kUnknown{"unknown", [](ErlNifEnv*, ERL_NIF_TERM, Options*) { return false; }};

const KnownOption& option_named(std::string_view name) noexcept {
  for (const KnownOption& option : kOptions) {
    if (name == option.name) return option;
  }
  return kUnknown;
}

std::uint64_t default_max_readers() noexcept {
  ErlNifSysInfo system;
  enif_system_info(&system, sizeof system);
  // Normal and dirty schedulers may each read at once beside as many snapshots, and a pool leaves a
  // few slots to others.
  constexpr std::uint64_t kLeast = 126;
  const std::uint64_t threads = 4 * static_cast<std::uint64_t>(system.scheduler_threads) + 84;
  return threads < kLeast ? kLeast : threads;
}

}  // namespace

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
    const KnownOption& option = option_named(name);
    if (!option.set(env, part[1], &options)) {
      return Error{.code = Code::bad_option, .operation = "open", .option = option.name};
    }
  }
  return options;
}

static ERL_NIF_TERM durability_atom(Durability durability) noexcept {
  switch (durability) {
    case Durability::sync:
      return atoms().sync_mode;
    case Durability::async:
      return atoms().async_mode;
    case Durability::map_async:
      break;
  }
  return atoms().map_async_mode;
}

ERL_NIF_TERM make_info(ErlNifEnv* env, const Info& info) {
  constexpr std::size_t kMost = 56;
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
    add(key, value ? atoms().true_ : atoms().false_);
  };
  const auto text = [&](const char* key, std::string_view value) {
    add(key, make_binary(env, value).value_or(atoms().undefined));
  };
  const Settings& settings = info.settings;
  text("name", info.directory);
  text("store_id", info.store_id);
  add("durability", durability_atom(settings.durability));
  add("on_unclean",
      settings.on_unclean == OnUnclean::error ? atoms().error_mode : atoms().reset_mode);
  number("capacity", settings.capacity);
  flag("capacity_reduced", info.capacity_reduced);
  number("write_buffer_bytes", settings.write_buffer_bytes);
  number("sync_interval_ms", settings.sync_interval_ms);
  number("max_value_bytes", settings.max_value_bytes);
  number("max_batch_bytes", settings.max_batch_bytes);
  number("max_readers", settings.max_readers);
  number("path_cache_entries", settings.path_cache_entries);
  number("path_cache_ttl_ms", settings.path_cache_ttl_ms);
  add("compression", compression_atom(settings.compression));
  number("compression_threshold", settings.compression_threshold);
  number("max_snapshot_age_ms", settings.max_snapshot_age_ms);
  flag("checksum", settings.checksum);
  flag("read_only", settings.read_only);
  flag("no_readahead", settings.no_readahead);
  flag("force", settings.force);
  number("entries", info.entries);
  number("buffered_keys", info.buffered_keys);
  number("buffer_bytes", info.buffer_bytes);
  number("journal_bytes", info.journal_bytes);
  number("applied_buffers", info.applied_buffers);
  flag("apply_stalled", info.apply_stalled);
  flag("cold", info.cold);
  number("replayed_records", info.replayed_records);
  number("replayed_bytes", info.replayed_bytes);
  number("page_size", info.page_size);
  number("max_key_bytes", info.max_key_bytes);
  number("tree_depth", info.tree_depth);
  number("map_bytes", info.map_bytes);
  number("file_bytes", info.file_bytes);
  number("used_bytes", info.used_bytes);
  number("last_transaction_id", info.last_transaction_id);
  number("reader_slots", info.reader_slots);
  number("reader_slots_used", info.reader_slots_used);
  number("snapshots", info.snapshots);
  number("oldest_snapshot_ms", info.oldest_snapshot_ms);
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
  if (enif_make_map_from_arrays(env, keys, values, count, &map) == 0) return atoms().undefined;
  return map;
}

}  // namespace hyper_lmdb::nif
