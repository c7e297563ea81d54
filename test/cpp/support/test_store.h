// Stores to open, and short ways to use them.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "hyper_lmdb/store.h"
#include "support/outcome.h"
#include "support/temp_dir.h"

namespace hyper_lmdb::test {

using StorePtr = std::shared_ptr<Store>;

inline Options options_for(const std::string& directory, Durability durability) {
  Options options;
  options.directory = directory;
  options.durability = durability;
  options.capacity = 64 << 20;
  return options;
}

inline StorePtr must_open(const Options& options) {
  auto store = Store::open(options);
  if (!store) throw std::runtime_error("open: " + outcome(store));
  return std::move(store).value();
}

/// For calls that are not what is tested.
template <typename T>
void must(const Result<T>& result) {
  if (!result) throw std::runtime_error("unexpected: " + outcome(result));
}

/// The value at a key, in words where there is none.
inline std::string get(const Store& store, std::string_view key) {
  std::string value;
  const auto found = store.get(key, [&](std::string_view bytes) { value = bytes; });
  if (!found) return outcome(found);
  return found.value() ? value : "nothing";
}

inline const char* name_of(Durability durability) {
  switch (durability) {
    case Durability::sync:
      return "sync";
    case Durability::async:
      return "async";
    case Durability::map_async:
      break;
  }
  return "map_async";
}

/// Keys with a value or a link, those in the write buffers too.
inline std::uint64_t count_keys(const Store& store) {
  std::uint64_t keys = 0;
  must(store.list_prefix("", {}, [&](std::string_view) {
    ++keys;
    return true;
  }));
  return keys;
}

inline constexpr Durability kAllModes[] = {Durability::sync, Durability::async,
                                           Durability::map_async};
/// Those with a journal.
inline constexpr Durability kJournaled[] = {Durability::sync, Durability::async};

}  // namespace hyper_lmdb::test
