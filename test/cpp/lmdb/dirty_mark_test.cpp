#include "lmdb/dirty_mark.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <string>

#include "support/outcome.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using test::outcome;
using test::TempDir;

namespace {

std::string state_of(const Directory& directory, const std::string& boot) {
  const auto state = read_mark(directory, boot);
  if (!state) return outcome(state);
  switch (state.value()) {
    case MarkState::clean:
      return "clean";
    case MarkState::same_boot:
      return "same_boot";
    case MarkState::other_boot:
      return "other_boot";
  }
  return "?";
}

}  // namespace

TEST_CASE("A mark tells a machine that went down from one that did not") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  CHECK(state_of(directory, "boot-1") == "clean");
  REQUIRE(outcome(set_mark(directory, "boot-1")) == "ok");
  CHECK(state_of(directory, "boot-1") == "same_boot");
  CHECK(state_of(directory, "boot-2") == "other_boot");
  CHECK(state_of(directory, "boot-") == "other_boot");
  CHECK(state_of(directory, "boot-11") == "other_boot");

  REQUIRE(outcome(set_mark(directory, "boot-2")) == "ok");
  CHECK(state_of(directory, "boot-2") == "same_boot");
  CHECK(state_of(directory, "boot-1") == "other_boot");

  REQUIRE(outcome(clear_mark(directory)) == "ok");
  CHECK(state_of(directory, "boot-2") == "clean");
  CHECK(state_of(directory, "clean") == "clean");
  CHECK(outcome(clear_mark(directory)) == "ok");
  CHECK(state_of(directory, "") == "clean");
}

// A disk that was pulled out and put back took with it what was in the page cache, while the
// machine stayed up: a store that had been left open on it was trusted.
TEST_CASE("A mark tells a disk that was gone in between, where both ids say which one it was") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  REQUIRE(outcome(set_mark(directory, "boot-1/7")) == "ok");
  CHECK(state_of(directory, "boot-1/7") == "same_boot");
  CHECK(state_of(directory, "boot-1/8") == "other_boot");
  CHECK(state_of(directory, "boot-1/70") == "other_boot");
  CHECK(state_of(directory, "boot-2/7") == "other_boot");
  // As in a container that does not show its disks.
  CHECK(state_of(directory, "boot-1") == "same_boot");
  CHECK(state_of(directory, "boot-2") == "other_boot");
  REQUIRE(outcome(set_mark(directory, "boot-1")) == "ok");
  CHECK(state_of(directory, "boot-1/7") == "same_boot");
  CHECK(state_of(directory, "boot-2/7") == "other_boot");
  REQUIRE(outcome(set_mark_failed(directory)) == "ok");
  CHECK(state_of(directory, "boot-1/7") == "other_boot");
}

TEST_CASE("Without a boot id no mark can be trusted") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  CHECK(state_of(directory, "") == "clean");
  REQUIRE(outcome(set_mark(directory, "")) == "ok");
  CHECK(state_of(directory, "") == "other_boot");
  CHECK(state_of(directory, "boot-1") == "other_boot");
}

TEST_CASE("A mark is written over in place, so that a full disk keeps nobody from opening") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  const std::string mark = temp / std::string(kMarkFile);
  REQUIRE(outcome(clear_mark(directory)) == "ok");
  struct stat before, after;
  REQUIRE(::stat(mark.c_str(), &before) == 0);
  REQUIRE(outcome(set_mark(directory, "boot-1")) == "ok");
  REQUIRE(outcome(clear_mark(directory)) == "ok");
  REQUIRE(outcome(set_mark(directory, std::string(100, 'b'))) == "ok");
  REQUIRE(::stat(mark.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
  CHECK(after.st_size == before.st_size);
  constexpr int kSectorBytes = 512;
  CHECK(after.st_size <= kSectorBytes);
}

TEST_CASE("A mark that is neither clean nor this boot's is not trusted") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  const std::string mark = temp / std::string(kMarkFile);
  for (const std::string& bytes :
       {std::string(), std::string("boot"), std::string("cleanboot-1"), std::string("clea"),
        std::string(64, '\0'), std::string("boot-1 boot-1"), std::string(10'000, 'b')}) {
    INFO(bytes.substr(0, 20));
    test::write_whole(mark, bytes);
    CHECK(state_of(directory, "boot-1") == "other_boot");
  }
  std::filesystem::remove(mark);
  std::filesystem::create_directory(mark);
  CHECK(state_of(directory, "boot-1") != "clean");
}

TEST_CASE("The machine's boot id stays the same and is one word") {
  const std::string boot = boot_id();
  CHECK(boot == boot_id());
  CHECK(boot.size() >= 32);
  CHECK(boot.find_first_of(" \n\t/") == std::string::npos);
  const TempDir temp;
  const std::string with_disk = boot_id(Directory::open(temp.path(), {}).value().id().device);
  CHECK(with_disk == boot_id(Directory::open(temp.path(), {}).value().id().device));
  CHECK(with_disk.substr(0, with_disk.find('/')) == boot);
  CHECK(with_disk.size() < 64);  // of a mark
}
