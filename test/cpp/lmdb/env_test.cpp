#include "lmdb/env.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "support/child.h"
#include "support/outcome.h"
#include "support/raw_env.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

static const std::string kUnfinished = ".new-0123456789abcdef0123456789abcdef";

TEST_CASE("A new environment has its files, an identity, and no leftovers of an earlier try") {
  for (const Settings& settings : {kMapped, kSynced}) {
    const TempDir temp;
    write_whole(temp / kUnfinished, "half a file");
    const mode_t before = ::umask(0);
    EnvPtr env = must_open(temp.path(), settings);
    ::umask(before);
    CHECK_FALSE(fs::exists(temp / kUnfinished));
    CHECK(mode_of(temp / "data.mdb") == 0600);
    CHECK(mode_of(temp / "lock.mdb") == 0600);
    CHECK(env->store_id().size() == 32);
    CHECK(env->store_id().find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(env->page_bytes() >= 4096);
    CHECK(env->mapped_writes() == (settings.durability == Durability::map_async));
    CHECK(is_marked(temp) == env->mapped_writes());
    const std::string id = env->store_id();
    put(*env, "key", "value");
    CHECK(closed(env) == "ok");
    env = must_open(temp.path(), settings);
    CHECK(env->store_id() == id);
    CHECK(holds(*env, "key"));
    CHECK(closed(env) == "ok");
  }
}

TEST_CASE("The file may be opened in another mode than it was left in") {
  const TempDir temp;
  EnvPtr env = must_open(temp.path(), kMapped);
  put(*env, "mapped", "1");
  CHECK(closed(env) == "ok");
  env = must_open(temp.path(), kSynced);
  CHECK(holds(*env, "mapped"));
  put(*env, "synced", "1");
  CHECK(closed(env) == "ok");
  env = must_open(temp.path(), kMapped);
  CHECK(holds(*env, "synced"));
  CHECK(closed(env) == "ok");
}

TEST_CASE("A clean close takes the mark away and cuts the file to its last page") {
  const TempDir temp;
  EnvPtr env = must_open(temp.path(), kMapped);
  put(*env, "key", std::string(300'000, 'v'));
  CHECK(size_of(temp / "data.mdb") >= kMapped.capacity);
  CHECK(closed(env) == "ok");
  CHECK_FALSE(is_marked(temp));
  CHECK(size_of(temp / "data.mdb") < 1'000'000);
  env = must_open(temp.path(), kMapped);
  CHECK(holds(*env, "key"));
}

TEST_CASE("A close after a failed flush says so and leaves the mark") {
  const TempDir temp;
  EnvPtr env = must_open(temp.path(), kMapped);
  CHECK(closed(env, true) == "env_failed");
  CHECK(is_marked(temp));
}

TEST_CASE("Readers in other processes survive that somebody here reads the lock file") {
  // Closing any descriptor of a file drops all classic locks a process has on it: LMDB in another
  // process then takes itself for the first one and wipes the table of readers.
  const TempDir temp;
  const EnvPtr env = must_open(temp.path(), kSynced);
  MDB_txn* reader = nullptr;
  must(mdb_txn_begin(env->get(), nullptr, MDB_RDONLY, &reader), "begin");
  CHECK_FALSE(read_whole(temp / "lock.mdb").empty());
  const std::string ended = run_child([&] {
    const RawEnv other(temp.path(), {.map_bytes = 80 << 20});
    CHILD_EQUAL(std::to_string(other.info().me_numreaders), "1");
    return 0;
  });
  CHECK(ended == "exit 0");
  mdb_txn_abort(reader);
}

TEST_CASE("There are as many reader slots as were asked for") {
  const TempDir temp;
  for (const std::uint64_t readers : {2, 126, 1000}) {
    Settings settings = kSynced;
    settings.max_readers = readers;
    CHECK(must_open(temp.path(), settings)->reader_slots() >= readers);
  }
}

TEST_CASE("A capacity that no file system or address space holds is halved until it fits") {
  for (Settings settings : {kMapped, kSynced}) {
    const TempDir temp;
    settings.capacity = 1ULL << 46;
    EnvPtr env = must_open(temp.path(), settings);
    put(*env, "key", "value");
    CHECK(holds(*env, "key"));
    CHECK(closed(env) == "ok");
  }
}

// What was acknowledged below the capacity has to fit, and a removal at the limit takes pages too.
TEST_CASE("The map has an eighth of the capacity to spare, 64 MiB at least and 1 GiB at most") {
  constexpr std::uint64_t kMiB = 1 << 20;
  const std::pair<std::uint64_t, std::uint64_t> cases[] = {{kMiB, kMiB},
                                                           {100 * kMiB, 64 * kMiB},
                                                           {1024 * kMiB, 128 * kMiB},
                                                           {16384 * kMiB, 1024 * kMiB}};
  for (const auto& [capacity, spare] : cases) {
    const TempDir temp;
    Settings settings = kAsync;
    settings.capacity = capacity;
    settings.capacity_given = true;
    EnvPtr env = must_open(temp.path(), settings);
    CHECK(env->capacity() == capacity);
    MDB_envinfo info;
    REQUIRE(mdb_env_info(env->get(), &info) == 0);
    CHECK(info.me_mapsize == capacity + spare);
    CHECK(closed(env) == "ok");
  }
}

TEST_CASE("Under a limit on file sizes an environment opens without a signal") {
  const TempDir temp;
  const std::string ended = run_child([&] {
    const rlimit limit{8 << 20, 8 << 20};
    CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHILD_EQUAL(outcome(open_env(temp.path(), kMapped)), "ok");
    return 0;
  });
  CHECK(ended == "exit 0");
}
