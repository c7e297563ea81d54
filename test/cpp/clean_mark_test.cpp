#include "clean_mark.h"

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
  CHECK(outcome(clear_mark(directory)) == "ok");
  CHECK(std::filesystem::is_empty(temp.path()));
}

TEST_CASE("Without a boot id no mark can be trusted") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  CHECK(state_of(directory, "") == "clean");
  REQUIRE(outcome(set_mark(directory, "")) == "ok");
  CHECK(state_of(directory, "") == "other_boot");
  CHECK(state_of(directory, "boot-1") == "other_boot");
}

TEST_CASE("A mark cut short or written over counts as another boot") {
  const TempDir temp;
  const Directory directory = Directory::open(temp.path(), {}).value();
  const std::string mark = temp / std::string(kMarkFile);
  for (const std::string& bytes :
       {std::string(), std::string("boot"), std::string("boot-1\n"), std::string(10'000, 'b')}) {
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
  CHECK(boot.find_first_of(" \n\t") == std::string::npos);
}
