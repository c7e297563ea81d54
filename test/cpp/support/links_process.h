// A store that is open, as far as it knows of links.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "format/identity.h"
#include "lmdb/txn.h"
#include "paths/links.h"
#include "support/raw_env.h"

namespace hyper_lmdb::test {

inline constexpr std::uint64_t kNow = 1000;

inline std::string identity_with(const RecordCounts& counts) {
  return encode_identity({.store_id = std::string(32, '1'), .counts = counts});
}

/// What a store knows, and the transactions it makes.
struct Process {
  explicit Process(const RawEnv& of, const RecordCounts& counts = {},
                   const PathCache::Limits& limits = {})
      : env(of), links(limits, 1, counts, version()) {}

  std::uint64_t version() const {
    auto txn = ReadTxn::begin(env.get());
    return mdb_txn_id(txn.value().get());
  }
  Links::View view() const { return links.view(version()); }
  /// One write transaction; `changes` is called once it has begun.
  template <typename Changes>
  void write(bool commit, Changes changes) {
    auto txn = WriteTxn::begin(env.get());
    links.begin(mdb_txn_id(txn.value().get()));
    changes();
    // Without a page that changes there is no transaction.
    env.put(txn.value().get(), "data", std::to_string(version()));
    env.put(txn.value().get(), kReservedKey, identity_with(links.to_store()));
    if (commit) REQUIRE(txn.value().commit().ok());
    links.end(commit);
  }
  void change(std::string_view key, int difference, bool commit = true) {
    write(commit, [&] { links.change(key, difference); });
  }
  RecordCounts stored() const {
    auto txn = ReadTxn::begin(env.get());
    return read_identity(txn.value().get(), env.dbi()).value().counts;
  }

  void remember(std::string_view path, std::string_view end) {
    PathCache::Resolution resolution;
    resolution.end.assign(end);
    links.cache().insert(links.cache().key_of(path), version(), kNow, resolution,
                         {links.cache().slot_of(path)});
  }
  std::string recall(std::string_view path) {
    PathCache::Resolution found;
    const bool hit =
        links.cache().find(links.cache().key_of(path), version(), kNow, &found, nullptr);
    return hit ? std::string(found.end.view()) : "(miss)";
  }

  const RawEnv& env;
  Links links;
};

}  // namespace hyper_lmdb::test
