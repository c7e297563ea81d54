// Stores to copy, and copies to look into.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "data_file.h"
#include "support/data_files.h"
#include "support/test_store.h"

namespace hyper_lmdb::test {

using Contents = std::map<std::string, std::string>;

/// Keys and what is at them, values and links, as a reader sees them.
inline Contents contents_of(const Store& store) {
  std::vector<std::string> keys;
  must(store.list_prefix("", {}, [&](std::string_view key) {
    keys.emplace_back(key);
    return true;
  }));
  Contents all;
  for (const std::string& key : keys) all[key] = get(store, key);
  return all;
}

/// The file becomes the `data.mdb` of a new directory.
inline std::string directory_from(const std::string& file, const std::string& directory) {
  std::filesystem::create_directory(directory);
  std::filesystem::copy_file(file, directory + "/data.mdb");
  return directory;
}

/// What the file says of itself, as it lies there.
inline Identity identity_of(const std::string& file) {
  auto identity = identify(file);
  if (!identity) throw std::runtime_error("identify: " + outcome(identity));
  return identity.value();
}

inline bool only_holds(const std::string& directory, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    found.push_back(entry.path().filename());
  }
  std::sort(found.begin(), found.end());
  return found == names;
}

}  // namespace hyper_lmdb::test
