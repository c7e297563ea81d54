// An LMDB environment without a store around it, for the rooms that get one handed.
#pragma once

#include <lmdb.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/temp_dir.h"

namespace hyper_lmdb::test {

inline void must(int rc, const char* call) {
  if (rc != 0) throw std::runtime_error(std::string(call) + ": " + mdb_strerror(rc));
}

class RawEnv {
 public:
  struct Settings {
    std::size_t map_bytes = 256 << 20;
    unsigned readers = 126;
    unsigned flags = MDB_NOSYNC;  // nothing here is to survive anything
  };

  RawEnv() : RawEnv(Settings{}) {}
  explicit RawEnv(const Settings& settings) : RawEnv(TempDirOrPath{}, settings) {}
  RawEnv(const std::string& path, const Settings& settings)
      : RawEnv(TempDirOrPath{path}, settings) {}
  RawEnv(const RawEnv&) = delete;
  RawEnv& operator=(const RawEnv&) = delete;
  ~RawEnv() {
    if (env_ != nullptr) mdb_env_close(env_);
  }

  MDB_env* get() const { return env_; }
  MDB_dbi dbi() const { return dbi_; }
  const std::string& path() const { return path_; }

  MDB_txn* begin(unsigned flags = 0) const {
    MDB_txn* txn = nullptr;
    must(mdb_txn_begin(env_, nullptr, flags, &txn), "mdb_txn_begin");
    return txn;
  }
  void put(MDB_txn* txn, std::string_view key, std::string_view value) const {
    MDB_val k{key.size(), const_cast<char*>(key.data())};
    MDB_val v{value.size(), const_cast<char*>(value.data())};
    must(mdb_put(txn, dbi_, &k, &v, 0), "mdb_put");
  }
  void put(std::string_view key, std::string_view value) const {
    MDB_txn* const txn = begin();
    put(txn, key, value);
    must(mdb_txn_commit(txn), "mdb_txn_commit");
  }
  /// The stored bytes, as they are.
  std::optional<std::string> get(MDB_txn* txn, std::string_view key) const {
    MDB_val k{key.size(), const_cast<char*>(key.data())};
    MDB_val v{};
    const int rc = mdb_get(txn, dbi_, &k, &v);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    must(rc, "mdb_get");
    return std::string(static_cast<const char*>(v.mv_data), v.mv_size);
  }
  std::optional<std::string> get(std::string_view key) const {
    MDB_txn* const txn = begin(MDB_RDONLY);
    auto found = get(txn, key);
    mdb_txn_abort(txn);
    return found;
  }
  MDB_envinfo info() const {
    MDB_envinfo info;
    must(mdb_env_info(env_, &info), "mdb_env_info");
    return info;
  }

 private:
  struct TempDirOrPath {
    std::optional<std::string> path;
  };
  RawEnv(const TempDirOrPath& where, const Settings& settings) {
    if (!where.path) temp_.emplace();
    path_ = where.path ? *where.path : temp_->path();
    must(mdb_env_create(&env_), "mdb_env_create");
    must(mdb_env_set_mapsize(env_, settings.map_bytes), "mdb_env_set_mapsize");
    must(mdb_env_set_maxreaders(env_, settings.readers), "mdb_env_set_maxreaders");
    must(mdb_env_open(env_, path_.c_str(), MDB_NOTLS | settings.flags, 0600), "mdb_env_open");
    MDB_txn* const txn = begin(settings.flags & MDB_RDONLY);
    must(mdb_dbi_open(txn, nullptr, 0, &dbi_), "mdb_dbi_open");
    must(mdb_txn_commit(txn), "mdb_txn_commit");
  }

  std::optional<TempDir> temp_;
  std::string path_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
};

}  // namespace hyper_lmdb::test
