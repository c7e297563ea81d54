// Stores to copy, and copies to look into.
#pragma once

#include <lmdb.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "format/identity.h"
#include "lmdb/data_file.h"
#include "support/data_files.h"
#include "support/queued.h"
#include "support/test_store.h"

namespace hyper_lmdb::test {

using Contents = std::map<std::string, std::string>;

/// A backup whose answer the test waits for when it likes.
struct BackupRequest : Numbered {
  explicit BackupRequest(std::string target) : Numbered(0, 0), file(std::move(target)) {
    op = {.kind = OpKind::put, .key = file};
    kind = Kind::backup;
    ops = {&op, 1};
  }
  const std::string file;
  Op op;
};

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

/// All records of the file as they lie there, but for what it says of itself.
inline Contents records_of(const std::string& file) {
  Contents records;
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  MDB_cursor* cursor = nullptr;
  constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY;
  if (mdb_env_create(&env) != 0 || mdb_env_open(env, file.c_str(), kFlags, 0600) != 0 ||
      mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) != 0 ||
      mdb_dbi_open(txn, nullptr, 0, &dbi) != 0 || mdb_cursor_open(txn, dbi, &cursor) != 0) {
    throw std::runtime_error("records of " + file);
  }
  const auto text = [](const MDB_val& bytes) {
    return std::string(static_cast<const char*>(bytes.mv_data), bytes.mv_size);
  };
  MDB_val key, value;
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) records[text(key)] = text(value);
  mdb_cursor_close(cursor);
  mdb_txn_abort(txn);
  mdb_env_close(env);
  records.erase(std::string(kReservedKey));
  return records;
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
