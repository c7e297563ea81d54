#include "store_state.h"

#include <vector>

#include "workload.h"

namespace hyper_lmdb::power {

std::optional<Durability> mode_named(std::string_view name) {
  for (const Durability mode : {Durability::sync, Durability::async, Durability::map_async}) {
    if (name == name_of(mode)) return mode;
  }
  return std::nullopt;
}

const char* name_of(Durability mode) {
  constexpr const char* kNames[] = {"sync", "async", "map_async"};
  return kNames[static_cast<std::size_t>(mode)];
}

Options options_for(const std::string& directory, Durability mode, std::uint64_t buffer_bytes) {
  Options options;
  options.directory = directory;
  options.durability = mode;
  // In map_async a map of 12 MiB, as the recorder looks at all of it again and again; else so much
  // that batches do not pass the journal by for fear of the capacity.
  options.capacity = mode == Durability::map_async ? 6 << 20 : 256 << 20;
  options.sync_interval_ms = mode == Durability::map_async ? 20 : 3;
  if (mode != Durability::map_async) options.write_buffer_bytes = buffer_bytes;
  return options;
}

Result<std::uint64_t> state_of(const Store& store) {
  std::vector<std::string> keys;
  const auto listed = store.list_prefix("", {}, [&](std::string_view key) {
    keys.emplace_back(key);
    return true;
  });
  if (!listed) return listed.error();
  std::uint64_t sum = 0;
  for (const std::string& key : keys) {
    if (key.starts_with("l/")) {
      std::string target;
      auto found = store.resolve(key, [&](std::string_view at) { target = at; });
      if (!found) return found.error();
      sum += piece_of(key, 'L', found.value() ? target : "nowhere");
      continue;
    }
    auto found = store.get(key, [&](std::string_view value) { sum += piece_of(key, 'V', value); });
    if (!found) return found.error();
    if (!found.value()) return Error{.code = Code::internal, .operation = "get what was listed"};
  }
  for (unsigned i = 0; i < kGroups; ++i) {
    const std::string key = "g/" + std::to_string(i);
    auto type = store.type(key);
    if (!type) return type.error();
    if (type.value() == PathType::composite) sum += piece_of(key, 'G', "");
  }
  auto info = store.info();
  if (!info) return info.error();
  if (info.value().links != 0) sum += piece_of("links", '#', std::to_string(info.value().links));
  return sum;
}

}  // namespace hyper_lmdb::power
