// A store of given records, and what two processes know of the links in it.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>

#include "format/record.h"
#include "lmdb/txn.h"
#include "lmdb/version.h"
#include "paths/path_view.h"
#include "support/outcome.h"
#include "support/raw_env.h"

namespace hyper_lmdb::test {

inline constexpr std::uint64_t kPlenty = 1'000'000;
inline constexpr const char* kDead = "(dead)";

inline std::uint64_t now_ms = 1000;  // what the rig's clock says

using Records = std::map<std::string, Record>;  // payloads are the test's own strings

inline std::string encoded(std::string_view key, const Record& record) {
  std::string bytes(encoded_size(record), '\0');
  encode(key, record, bytes.data());
  return bytes;
}
inline Record value_of(std::string_view bytes) {
  return {.kind = Kind::value, .payload = bytes};
}
inline Record link_to(std::string_view target, bool checksum = false) {
  return {.kind = Kind::link, .checksum = checksum, .payload = target};
}

/// Of a rig.
inline std::size_t longest_key() {
  static const std::size_t bytes = max_key_bytes(RawEnv().get());
  return bytes;
}

/// An environment, and what two processes know of the links in it: one with a cache, one without.
class Rig {
 public:
  explicit Rig(const Records& store) {
    std::uint64_t links = 0;
    for (const auto& [key, record] : store) {
      env_.put(key, encoded(key, record));
      links += record.kind == Kind::link;
    }
    const RecordCounts counts{.links = links};
    cached_.emplace(PathCache::Limits{}, 1, counts, version());
    plain_.emplace(PathCache::Limits{.entries = 0}, 1, counts, version());
  }

  /// `work` with a view of the present.
  template <typename Work>
  auto with_view(bool cached, std::uint64_t most_lookups, Work work) {
    auto txn = ReadTxn::begin(env_.get());
    Links& links = cached ? *cached_ : *plain_;
    const View snapshot(txn.value().get(), env_.dbi(), mdb_txn_id(txn.value().get()));
    const auto known = links.view(snapshot.version());
    PathView view(
        snapshot, &links, known, [] { return now_ms; }, most_lookups);
    return work(view);
  }
  /// Where a read looks, and the record it finds there.
  std::string located(std::string_view path, bool cached, std::uint64_t most_lookups = kPlenty) {
    return with_view(cached, most_lookups, [&](PathView& view) -> std::string {
      PathView::Found found;
      if (const auto done = view.locate(path, &found); !done) return outcome(done);
      if (found.resolved == Resolved::dead) return kDead;
      return std::string(found.key.view()) + "=" + std::string(found.bytes.value_or("-"));
    });
  }
  std::string to_write(std::string_view path, bool cached, std::uint64_t most_lookups = kPlenty) {
    return with_view(cached, most_lookups, [&](PathView& view) -> std::string {
      PathText key;
      const auto found = view.locate_for_write(path, &key);
      if (!found) return outcome(found);
      return found.value() == Resolved::dead ? kDead : std::string(key.view());
    });
  }
  /// Look-ups that a read takes.
  std::uint64_t lookups(std::string_view path, bool cached) {
    return with_view(cached, kPlenty, [&](PathView& view) {
      PathView::Found found;
      REQUIRE(view.locate(path, &found).ok());
      return kPlenty - view.lookups_left();
    });
  }

  /// Replaces what is at a key, as one transaction.
  void set(const std::string& key, const Record& before, const Record& after) {
    const bool there = env_.get(key).has_value();
    auto txn = WriteTxn::begin(env_.get());
    for (Links* links : {&*cached_, &*plain_}) {
      links->begin(mdb_txn_id(txn.value().get()));
      const bool was = before.kind == Kind::link;
      const bool is = after.kind == Kind::link;
      if (was || is) links->change(key, int{is} - int{was});
      if (!there) links->appears(key);
    }
    env_.put(txn.value().get(), key, encoded(key, after));
    REQUIRE(txn.value().commit().ok());
    for (Links* links : {&*cached_, &*plain_}) links->end(true);
  }
  /// Stores bytes behind everyone's back.
  void damage(const std::string& key, std::size_t at, unsigned flip) {
    std::string bytes = *env_.get(key);
    bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(flip));
    env_.put(key, bytes);
  }

 private:
  std::uint64_t version() {
    auto txn = ReadTxn::begin(env_.get());
    return mdb_txn_id(txn.value().get());
  }

  RawEnv env_;
  std::optional<Links> cached_, plain_;
};

}  // namespace hyper_lmdb::test
