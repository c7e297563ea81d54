#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>

#include "format/identity.h"
#include "hyper_lmdb/store.h"
#include "lmdb/data_file.h"
#include "lmdb/dirty_mark.h"
#include "lmdb/env.h"
#include "support/child.h"
#include "support/outcome.h"
#include "support/raw_env.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

void leave_mark(const TempDir& temp, const std::string& boot) {
  const Directory directory = Directory::open(temp.path(), {}).value();
  REQUIRE(set_mark(directory, boot).ok());
}

}  // namespace

TEST_CASE("After an OS crash no map_async file is opened unless it may be thrown away") {
  for (const Settings& settings : {kMapped, kSynced}) {
    const TempDir temp;
    EnvPtr env = must_open(temp.path(), kMapped);
    const std::string id = env->store_id();
    put(*env, "key", "value");
    env.reset();  // as if killed
    leave_mark(temp, "another boot");
    const std::string before = read_whole(temp / "data.mdb", 100'000);

    CHECK(outcome(open_env(temp.path(), settings)) == "unclean_shutdown");
    CHECK(outcome(open_env(temp.path(), settings)) == "unclean_shutdown");
    CHECK(read_whole(temp / "data.mdb", 100'000) == before);
    Settings reading = settings;
    reading.read_only = true;
    reading.on_unclean = OnUnclean::reset;
    CHECK(outcome(open_env(temp.path(), reading)) == "unclean_shutdown");

    Settings resetting = settings;
    resetting.on_unclean = OnUnclean::reset;
    env = must_open(temp.path(), resetting);
    CHECK(env->store_id() != id);
    CHECK_FALSE(holds(*env, "key"));
    CHECK(closed(env) == "ok");
    CHECK_FALSE(is_marked(temp));
    CHECK(outcome(open_env(temp.path(), settings)) == "ok");
  }
}

TEST_CASE("After a killed process under the same boot nothing is lost") {
  for (const Settings& settings : {kMapped, kSynced}) {
    const TempDir temp;
    const std::string ended = run_child([&] {
      put(*must_open(temp.path(), kMapped), "key", "value");
      ::kill(::getpid(), SIGKILL);
      return 1;
    });
    REQUIRE(ended == "signal 9");
    REQUIRE(is_marked(temp));
    EnvPtr env = must_open(temp.path(), settings);
    CHECK(holds(*env, "key"));
    CHECK(is_marked(temp) == env->mapped_writes());
    CHECK(closed(env) == "ok");
    CHECK_FALSE(is_marked(temp));
  }
}

TEST_CASE("A mark beside no file says nothing") {
  const TempDir temp;
  leave_mark(temp, "another boot");
  EnvPtr env = must_open(temp.path(), kSynced);
  CHECK_FALSE(is_marked(temp));
}

TEST_CASE("What is not ours is refused and left as it was") {
  const TempDir temp;
  SECTION("no database") {
    write_whole(temp / "data.mdb", std::string(20'000, 'x'));
  }
  SECTION("an empty file") {
    write_whole(temp / "data.mdb", "");
  }
  SECTION("a database of somebody else") {
    const RawEnv foreign(temp.path(), {.map_bytes = 1 << 20});
    foreign.put("key", "value");
  }
  SECTION("a store of a later format") {
    const RawEnv later(temp.path(), {.map_bytes = 1 << 20});
    std::string identity = encode_identity({.store_id = std::string(32, 'a')});
    ++identity[3];
    later.put(kReservedKey, identity);
  }
  const std::string before = read_whole(temp / "data.mdb");
  const std::string expected = before.size() == 20'000 || before.empty() ? "not_a_database"
                               : before.find("HLM") != std::string::npos ? "version_mismatch"
                                                                         : "unknown_format";
  const std::size_t descriptors = open_descriptors();
  for (Settings settings : {kSynced, kMapped}) {
    for (const bool read_only : {true, false}) {
      INFO((settings.durability == Durability::sync ? "sync" : "map_async")
           << (read_only ? ", read only" : ""));
      settings.read_only = read_only;
      CHECK(outcome(open_env(temp.path(), settings)) == expected);
      CHECK(size_of(temp / "data.mdb") == before.size());
      CHECK(read_whole(temp / "data.mdb", before.size()) == before);
      CHECK_FALSE(is_marked(temp));
      CHECK(open_descriptors() == descriptors);
    }
  }
}

TEST_CASE("A read-only environment changes nothing and needs a store to be there") {
  const TempDir temp;
  for (Settings settings : {kMapped, kSynced}) {
    settings.read_only = true;
    CHECK(outcome(open_env(temp.path(), settings)) == "not_a_database");
    CHECK_FALSE(fs::exists(temp / "data.mdb"));
  }
  {
    EnvPtr env = must_open(temp.path(), kMapped);
    put(*env, "key", "value");
    CHECK(closed(env) == "ok");
  }
  const std::string before = read_whole(temp / "data.mdb");
  for (Settings settings : {kMapped, kSynced}) {
    settings.read_only = true;
    EnvPtr env = must_open(temp.path(), settings);
    CHECK(holds(*env, "key"));
    CHECK_FALSE(env->mapped_writes());
    CHECK_FALSE(is_marked(temp));
    CHECK(closed(env) == "ok");
  }
  CHECK(read_whole(temp / "data.mdb") == before);
}

TEST_CASE("Two processes cannot write one directory, and any number may read it") {
  const TempDir temp;
  must_open(temp.path(), kSynced);
  Settings reading = kSynced;
  reading.read_only = true;
  const auto in_child = [&](const Settings& settings, const std::string& expected) {
    return run_child([&] {
      CHILD_EQUAL(outcome(open_env(temp.path(), settings)), expected);
      return 0;
    });
  };
  {
    const EnvPtr env = must_open(temp.path(), kSynced);
    CHECK(in_child(kSynced, "already_open") == "exit 0");
    CHECK(in_child(kMapped, "already_open") == "exit 0");
  }
  {
    const EnvPtr env = must_open(temp.path(), reading);
    CHECK(in_child(reading, "ok") == "exit 0");
    CHECK(in_child(kSynced, "already_open") == "exit 0");
  }
  CHECK(in_child(kSynced, "ok") == "exit 0");
}
