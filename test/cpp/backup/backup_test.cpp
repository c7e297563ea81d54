#include "backup/backup.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <random>
#include <string>

#include "hyper_lmdb/store.h"
#include "journal/journal_replay.h"
#include "support/backups.h"
#include "support/child.h"
#include "support/journal.h"
#include "support/ops.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

/// A record of every kind, and enough values for a tree of more than one page.
void fill(Store& store, const std::string& value) {
  for (int i = 0; i < 500; ++i) must(store.put("key " + std::to_string(i), value));
  const std::string large(100'000, 'l');
  const Op ops[] = {link_op("group", "l"), group_op("mark"), put_op("group/x", "through"),
                    put_op("large", large), put_op("gone", "")};
  must(store.batch_write(ops));
  must(store.remove("gone"));
}

void leave_journal(const Options& options) {
  const pid_t child = start_child([&] {
    const StorePtr store = must_open(options);
    fill(*store, "journaled");
    ::raise(SIGKILL);
    return 1;
  });
  REQUIRE(wait_for(child) == "signal 9");
}

std::string read(const Store& store, std::string_view path) {
  std::string value = "nothing";
  must(store.read(path, [&](std::string_view bytes) { value = bytes; }));
  return value;
}

/// Starts in every mode from the copy: it is what was copied, and a store like any other.
void check_copy(const std::string& file, const Contents& wanted, const std::string& other_id) {
  for (const Durability mode : kAllModes) {
    INFO("started in " << name_of(mode));
    const TempDir temp(memory_directory());
    const Options options = options_for(directory_from(file, temp / "store"), mode);
    StorePtr store = must_open(options);
    CHECK(contents_of(*store) == wanted);
    CHECK(read(*store, "l/x") == "through");
    CHECK(store->type("mark").value() == PathType::composite);
    const Info info = store->info().value();
    CHECK(info.store_id != other_id);
    CHECK(info.store_id == identity_of(file).store_id);
    CHECK(info.replayed_records == 0);
    CHECK(info.links == 1);
    must(store->put("later", "1"));
    must(store->remove("l"));
    must(store->close());
    store = must_open(options);
    CHECK(get(*store, "later") == "1");
    CHECK(store->info().value().links == 0);
    CHECK(count_keys(*store) == wanted.size());
    must(store->close());
  }
}

}  // namespace

TEST_CASE("A copy has what was acknowledged, and is a store of its own in every mode") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    const StorePtr store = must_open(options_for(temp / "store", mode));
    fill(*store, "old");
    must(store->backup(temp / "first"));
    const Contents first = contents_of(*store);
    fill(*store, "new");
    const Contents second = contents_of(*store);
    must(store->backup(temp / "second"));
    fill(*store, "never copied");
    const std::string id = store->info().value().store_id;
    check_copy(temp / "first", first, id);
    check_copy(temp / "second", second, id);
    CHECK(identity_of(temp / "first").store_id != identity_of(temp / "second").store_id);
    CHECK(only_holds(temp.path(), {"first", "second", "store"}));
    must(store->close());
    CHECK(outcome(store->backup(temp / "third")) == "closed");
  }
}

TEST_CASE("A store with nothing in it, and one at rest, are copied too") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    const StorePtr store = must_open(options_for(temp / "store", mode));
    must(store->backup(temp / "empty"));
    must(store->put("key", "value"));
    must(store->backup(temp / "one"));
    must(store->backup(temp / "one again"));
    must(store->close());
    for (const char* name : {"empty", "one", "one again"}) {
      INFO(name);
      const StorePtr copy = must_open(
          options_for(directory_from(temp / name, temp / (std::string(name) + " store")), mode));
      CHECK(count_keys(*copy) == (std::string(name).starts_with("one") ? 1 : 0));
      must(copy->close());
    }
  }
}

TEST_CASE("A copy of what is larger than a buffer, and of what went to LMDB directly") {
  for (const Durability mode : kJournaled) {
    const TempDir temp(memory_directory());
    Options options = options_for(temp / "store", mode);
    options.write_buffer_bytes = 64 << 10;
    const StorePtr store = must_open(options);
    fill(*store, "v");
    must(store->put("huge", std::string(1 << 20, 'h')));
    must(store->put("behind", "it"));
    must(store->backup(temp / "copy"));
    check_copy(temp / "copy", contents_of(*store), store->info().value().store_id);
    must(store->reset());
    must(store->backup(temp / "reset"));
    CHECK(identity_of(temp / "reset").counts.links == 0);
    must(store->close());
  }
}

// A backup of a snapshot was read_only: there was no way to keep a moment one had looked at.
TEST_CASE("A snapshot is copied as it was, whatever was written since") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    Options options = options_for(temp / "store", mode);
    options.write_buffer_bytes = 1 << 20;
    const StorePtr store = must_open(options);
    fill(*store, "then");
    const Contents then = contents_of(*store);
    const auto snapshot = store->snapshot().value();
    fill(*store, "later");
    must(store->remove("l"));
    must(store->remove("mark"));
    must(store->remove_prefix("key 1"));
    must(store->put("new", "1"));
    must(snapshot->backup(temp / "first"));
    must(store->reset());
    must(snapshot->backup(temp / "second"));
    check_copy(temp / "first", then, store->info().value().store_id);
    CHECK(records_of(temp / "second") == records_of(temp / "first"));
    CHECK(identity_of(temp / "second").counts.marks == 1);
    // It goes on being one.
    std::string value;
    REQUIRE(snapshot->get("key 1", [&](std::string_view bytes) { value = bytes; }).value());
    CHECK(value == "then");
    snapshot->release();
    CHECK(outcome(snapshot->backup(temp / "third")) == "snapshot_expired");
    CHECK(only_holds(temp.path(), {"first", "second", "store"}));
    must(store->close());
    CHECK(outcome(snapshot->backup(temp / "third")) == "closed");
  }
}

TEST_CASE("Records are copied as they are stored, those that no one can read too") {
  const TempDir temp(memory_directory());
  Options options = options_for(temp / "store", Durability::async);
  options.compression = Compression::lz4;
  options.checksum = true;
  {
    const StorePtr store = must_open(options);
    fill(*store, std::string(3000, 'c'));
    must(store->close());
  }
  {
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    MDB_val key{3, const_cast<char*>("key")}, damaged{2, const_cast<char*>("\xff?")};
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_open(env, (temp / "store").c_str(), MDB_NOLOCK, 0600) == 0);
    REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, nullptr, 0, &dbi) == 0);
    REQUIRE(mdb_put(txn, dbi, &key, &damaged, 0) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
  }
  const Contents records = records_of(temp / "store/data.mdb");
  REQUIRE(records.at("key 1").size() < 300);
  const StorePtr store = must_open(options);
  must(store->backup(temp / "copy"));
  must(store->close());
  CHECK(records_of(temp / "copy") == records);
}

TEST_CASE("A read-only store is copied with what its journal holds, and stays as it is") {
  for (const Durability left_by : kJournaled) {
    INFO(name_of(left_by));
    const TempDir temp(memory_directory());
    leave_journal(options_for(temp / "store", left_by));
    REQUIRE(journal_segments(open_directory(temp / "store")).value().size() == 1);
    const std::string before = read_whole(temp / "store/data.mdb");
    Options options = options_for(temp / "store", left_by);
    options.read_only = true;
    const StorePtr store = must_open(options);
    must(store->backup(temp / "copy"));
    const Contents wanted = contents_of(*store);
    REQUIRE(wanted.size() == 503);
    const std::string id = store->info().value().store_id;
    must(store->close());
    CHECK(read_whole(temp / "store/data.mdb") == before);
    CHECK(journal_segments(open_directory(temp / "store")).value().size() == 1);
    check_copy(temp / "copy", wanted, id);
  }
}

TEST_CASE("A copy does not take up the journal of the store it was made of") {
  const TempDir temp(memory_directory());
  const Options options = options_for(temp / "store", Durability::async);
  {
    const StorePtr store = must_open(options);
    must(store->backup(temp / "copy"));
    must(store->close());
  }
  leave_journal(options);
  fs::rename(temp / "copy", temp / "store/data.mdb");
  CHECK(outcome(Store::open(options)) == "journal_mismatch");
}

TEST_CASE("A copy leaves out what was deleted") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    const StorePtr store = must_open(options_for(temp / "store", mode));
    for (int i = 0; i < 2000; ++i) must(store->put(std::to_string(i), std::string(2000, 'v')));
    must(store->backup(temp / "before"));
    CHECK(store->remove_prefix("").value() == 2000);
    must(store->put("left", "1"));
    must(store->backup(temp / "after"));
    CHECK(fs::file_size(temp / "before") > 4'000'000);
    CHECK(fs::file_size(temp / "after") < 100'000);
    must(store->close());
  }
}

TEST_CASE("The pages of a copy are full, in whatever order the store was written") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(options_for(temp / "store", Durability::map_async));
  std::minstd_rand random(1);
  for (int i = 0; i < 20'000; ++i) {
    must(store->put(std::to_string(random()) + "/" + std::to_string(i), std::string(80, 'v')));
  }
  must(store->backup(temp / "copy"));
  std::uint64_t bytes = 0;
  for (const auto& [key, record] : records_of(temp / "copy")) {
    bytes += (8 + key.size() + record.size() + 1) / 2 * 2 + 2;  // a node, and where it lies
  }
  const std::uint64_t copied = fs::file_size(temp / "copy");
  CHECK(copied > bytes);
  CHECK(copied < bytes + bytes / 10);
  CHECK(copied < store->info().value().used_bytes * 3 / 4);
  must(store->close());
}

TEST_CASE("Targets that cannot be are refused before anything is done") {
  const TempDir temp(memory_directory());
  const StorePtr store = must_open(options_for(temp / "store", Durability::async));
  must(store->put("key", "value"));
  CHECK(outcome(store->backup(temp / "store/data.mdb")) == "exists");
  CHECK(outcome(store->backup(temp / "none/copy")) == "no_such_directory");
  CHECK(outcome(store->backup("")) == "bad_option file");
  CHECK(store->info().value().applied_buffers == 0);
  CHECK(get(*store, "key") == "value");
  must(store->close());
}
