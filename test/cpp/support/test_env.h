// Environments to open, with what a test needs to look into them.
#pragma once

#include <lmdb.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "lmdb/dirty_mark.h"
#include "lmdb/env.h"
#include "support/outcome.h"
#include "support/raw_env.h"
#include "support/temp_dir.h"

namespace hyper_lmdb::test {

using EnvPtr = std::unique_ptr<Env>;

inline Settings settings_for(Durability durability) {
  Settings settings;
  settings.durability = durability;
  settings.capacity = 64 << 20;
  return settings;
}
inline const Settings kMapped = settings_for(Durability::map_async);
inline const Settings kSynced = settings_for(Durability::sync);
inline const Settings kAsync = settings_for(Durability::async);

inline Result<EnvPtr> open_env(const std::string& path, const Settings& settings) {
  auto directory = Directory::open(path, {});
  if (!directory) return directory.error();
  return Env::open(std::move(directory).value(), settings);
}

inline EnvPtr must_open(const std::string& path, const Settings& settings) {
  auto env = open_env(path, settings);
  if (!env) throw std::runtime_error("open: " + outcome(env));
  return std::move(env).value();
}

/// Closes and lets go of the directory.
inline std::string closed(EnvPtr& env, bool failed = false) {
  const std::string word = outcome(env->close(failed));
  env.reset();
  return word;
}

inline void put(const Env& env, std::string_view key, std::string_view value) {
  MDB_txn* txn = nullptr;
  MDB_val k{key.size(), const_cast<char*>(key.data())};
  MDB_val v{value.size(), const_cast<char*>(value.data())};
  must(mdb_txn_begin(env.get(), nullptr, 0, &txn), "begin");
  must(mdb_put(txn, env.dbi(), &k, &v, 0), "put");
  must(mdb_txn_commit(txn), "commit");
}

inline bool holds(const Env& env, std::string_view key) {
  MDB_txn* txn = nullptr;
  MDB_val k{key.size(), const_cast<char*>(key.data())};
  MDB_val v{};
  must(mdb_txn_begin(env.get(), nullptr, MDB_RDONLY, &txn), "begin");
  const int rc = mdb_get(txn, env.dbi(), &k, &v);
  mdb_txn_abort(txn);
  return rc == 0;
}

inline std::uint64_t size_of(const std::string& path) {
  return std::filesystem::file_size(path);
}

/// Whether the directory says that a map_async store was not closed.
inline bool is_marked(const TempDir& temp) {
  const Directory directory = Directory::open(temp.path(), {}).value();
  const auto state = read_mark(directory, boot_id());
  if (!state) throw std::runtime_error("read mark: " + outcome(state));
  return state.value() != MarkState::clean;
}

inline unsigned mode_of(const std::string& path) {
  struct stat found;
  return ::stat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
}

}  // namespace hyper_lmdb::test
