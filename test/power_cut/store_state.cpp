#include "store_state.h"

#include <vector>

namespace hyper_lmdb::power {

namespace {

Error wrong(const char* what) {
  return {.code = Code::internal, .operation = what};
}

}  // namespace

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
  options.checkpoint_pages = 24;  // so that buffers of this size take several transactions
  return options;
}

Result<State> state_of(const Store& store) {
  std::vector<std::string> keys;
  const auto listed = store.list_prefix("", {}, [&](std::string_view key) {
    keys.emplace_back(key);
    return true;
  });
  if (!listed) return listed.error();
  State sums{};
  std::uint64_t links = 0;
  for (const std::string& key : keys) {
    const unsigned writer = static_cast<unsigned char>(key[0]) - '0';
    if (writer >= kWriters || key.size() < 3) return wrong("a key is nobody's");
    if (key[2] == 'l') {
      ++links;
      std::string target;
      auto found = store.resolve(key, [&](std::string_view at) { target = at; });
      if (!found) return found.error();
      sums[writer] += piece_of(key, 'L', found.value() ? target : "nowhere");
      continue;
    }
    auto found =
        store.get(key, [&](std::string_view value) { sums[writer] += piece_of(key, 'V', value); });
    if (!found) return found.error();
    if (!found.value()) return wrong("get what was listed");
  }
  for (unsigned i = 0; i < kWriters * kGroups; ++i) {
    const unsigned writer = i % kWriters;
    const std::string key = std::to_string(writer) + "/g/" + std::to_string(i / kWriters);
    auto type = store.type(key);
    if (!type) return type.error();
    if (type.value() == PathType::composite) sums[writer] += piece_of(key, 'G', "");
  }
  auto info = store.info();
  if (!info) return info.error();
  if (info.value().links != links) return wrong("count the links");
  return sums;
}

}  // namespace hyper_lmdb::power
