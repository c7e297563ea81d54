#include "directory.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <thread>

#include "support/child.h"
#include "support/outcome.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using test::outcome;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

Directory open_directory(const std::string& path) {
  auto directory = Directory::open(path, {});
  if (!directory) throw std::runtime_error("open " + path + ": " + outcome(directory));
  return std::move(directory).value();
}

std::string open_outcome(const std::string& path, Directory::Access access = {}) {
  return outcome(Directory::open(path, access));
}

unsigned mode_of(const std::string& path) {
  struct stat found;
  if (::stat(path.c_str(), &found) != 0) return 0;
  return found.st_mode & 07777;
}

/// Locks the directory in another process while this object lives.
class LockedElsewhere {
 public:
  LockedElsewhere(const std::string& path, bool shared) {
    int ready[2], stop[2];
    if (::pipe(ready) != 0 || ::pipe(stop) != 0) throw std::runtime_error("pipe");
    child_ = test::start_child([&] {
      ::close(stop[1]);
      Directory directory = open_directory(path);
      auto locked = directory.lock(shared);
      const bool held = locked && (!shared || directory.share());
      const char byte = held ? 'y' : 'n';
      if (::write(ready[1], &byte, 1) != 1) return 1;
      char end = 0;
      return ::read(stop[0], &end, 1) == 0 && held ? 0 : 1;
    });
    ::close(ready[1]);
    ::close(stop[0]);
    stop_ = stop[1];
    char byte = 0;
    held_ = ::read(ready[0], &byte, 1) == 1 && byte == 'y';
    ::close(ready[0]);
  }
  ~LockedElsewhere() { let_go(); }
  bool held() const { return held_; }
  void let_go() {
    if (child_ == 0) return;
    ::close(stop_);
    test::wait_for(child_);
    child_ = 0;
  }

 private:
  pid_t child_ = 0;
  int stop_ = -1;
  bool held_ = false;
};

}  // namespace

TEST_CASE("Missing directories are made, parents too, for the owner alone") {
  const TempDir temp;
  const mode_t before = ::umask(0);
  CHECK(open_outcome(temp / "a//b/./c/") == "ok");
  ::umask(before);
  CHECK(mode_of(temp / "a") == 0700);
  CHECK(mode_of(temp / "a/b") == 0700);
  CHECK(mode_of(temp / "a/b/c") == 0700);
  CHECK(open_outcome(temp / "x/y", {.create = false}) == "no_such_directory");
  CHECK_FALSE(fs::exists(temp / "x"));
}

TEST_CASE("A directory that cannot be one says why") {
  const TempDir temp;
  test::write_whole(temp / "file", "");
  CHECK(open_outcome(temp / "file") == "no_such_directory");
  CHECK(open_outcome(temp / "file/below") == "no_such_directory");
  fs::create_directory_symlink(temp / "nowhere", temp / "dangling");
  CHECK(open_outcome(temp / "dangling") == "no_such_directory");
  fs::create_directory_symlink(temp / "loop", temp / "loop");
  CHECK(open_outcome(temp / "loop") == "no_such_directory");
  CHECK(open_outcome(temp / std::string(256, 'x')) == "no_such_directory");
}

TEST_CASE("Without permission a directory is permission_denied") {
  const TempDir temp;
  fs::create_directory(temp / "closed");
  fs::permissions(temp / "closed", fs::perms::none);
  fs::permissions(temp.path(), fs::perms(0755));
  const std::string ended = test::run_child([&] {
    constexpr unsigned kNobody = 65534;
    if (::getuid() == 0 && ::setuid(kNobody) != 0) return test::kSkipped;
    CHILD_EQUAL(open_outcome(temp / "closed"), "permission_denied");
    CHILD_EQUAL(open_outcome(temp / "closed/below"), "permission_denied");
    return 0;
  });
  CHECK(ended == "exit 0");
}

TEST_CASE("All spellings of a directory have one identity") {
  const TempDir temp;
  fs::create_directory(temp / "real");
  fs::create_directory(temp / "other");
  fs::create_directory_symlink(temp / "real", temp / "link");
  const Directory real = open_directory(temp / "real");
  CHECK(open_directory(temp / "link").id() == real.id());
  CHECK(open_directory(temp / "real/").id() == real.id());
  CHECK(open_directory(temp / "other/../real").id() == real.id());
  CHECK_FALSE(open_directory(temp / "other").id() == real.id());

  const fs::path here = fs::current_path();
  fs::current_path(temp.path());
  const Directory relative = open_directory("real");
  fs::current_path(here);
  CHECK(relative.id() == real.id());
  // Fixed at open: a later change of directory means nothing.
  CHECK(relative.path().front() == '/');
  CHECK(fs::equivalent(relative.path(), temp / "real"));
}

TEST_CASE("A file is made, read back, and written over from its start") {
  const TempDir temp;
  const Directory directory = open_directory(temp.path());
  CHECK_FALSE(directory.exists("mark"));
  REQUIRE(outcome(directory.read_file("mark")) == "ok");
  CHECK_FALSE(directory.read_file("mark").value().has_value());

  const auto holds_after = [&](const std::string& written) {
    const std::string word = outcome(directory.overwrite_file("mark", written));
    return word == "ok" ? directory.read_file("mark").value().value_or("nothing") : word;
  };
  CHECK(holds_after("first") == "first");
  CHECK(mode_of(temp / "mark") == 0600);
  CHECK(holds_after("FIR") == "FIRst");
  CHECK(holds_after(std::string("a\0b and more", 12)) == std::string("a\0b and more", 12));
  CHECK(std::distance(fs::directory_iterator(temp.path()), fs::directory_iterator()) == 1);
  CHECK(outcome(directory.sync()) == "ok");
  CHECK(outcome(directory.sync_parent()) == "ok");
  fs::create_directory(temp / "directory");
  CHECK(outcome(directory.overwrite_file("directory", "x")) != "ok");
}

TEST_CASE("Leftovers are removed by their prefix and nothing else is") {
  const TempDir temp;
  for (const char* name : {".new-1", ".new-", ".new", "new-1", "data.mdb"}) {
    test::write_whole(temp / name, "x");
  }
  fs::create_directory(temp / ".new-directory");
  open_directory(temp.path()).remove_leftovers(".new-");
  CHECK_FALSE(fs::exists(temp / ".new-1"));
  CHECK_FALSE(fs::exists(temp / ".new-"));
  CHECK(fs::exists(temp / ".new"));
  CHECK(fs::exists(temp / "new-1"));
  CHECK(fs::exists(temp / "data.mdb"));
}

TEST_CASE("One process at a time owns a directory") {
  const TempDir temp;
  LockedElsewhere other(temp.path(), false);
  REQUIRE(other.held());
  Directory directory = open_directory(temp.path());
  CHECK(outcome(directory.lock(false)) == "already_open");
  other.let_go();
  const auto alone = directory.lock(false);
  REQUIRE(outcome(alone) == "ok");
  CHECK(alone.value());
}

TEST_CASE("Processes that all ask for it share a directory, and the last one knows") {
  const TempDir temp;
  LockedElsewhere other(temp.path(), true);
  REQUIRE(other.held());
  Directory stranger = open_directory(temp.path());
  CHECK(outcome(stranger.lock(false)) == "already_open");

  Directory directory = open_directory(temp.path());
  const auto alone = directory.lock(true);
  REQUIRE(outcome(alone) == "ok");
  CHECK_FALSE(alone.value());
  CHECK_FALSE(directory.take_over());
  other.let_go();
  CHECK(directory.take_over());
}

TEST_CASE("Who wants to share waits while another creates, and is refused after two seconds") {
  const TempDir temp;
  LockedElsewhere other(temp.path(), false);
  REQUIRE(other.held());
  Directory directory = open_directory(temp.path());
  const auto begin = std::chrono::steady_clock::now();
  CHECK(outcome(directory.lock(true)) == "already_open");
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::seconds(1));

  std::thread finish([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    other.let_go();
  });
  const auto alone = directory.lock(true);
  finish.join();
  REQUIRE(outcome(alone) == "ok");
}

TEST_CASE("No descriptor stays behind") {
  const TempDir temp;
  const std::size_t before = test::open_descriptors();
  {
    Directory directory = open_directory(temp / "a/b");
    CHECK(directory.overwrite_file("f", "x").ok());
    CHECK(directory.overwrite_file("f", "y").ok());
    CHECK(directory.read_file("f").ok());
    directory.remove_leftovers(".new-");
    CHECK(directory.sync_parent().ok());
    CHECK(open_outcome(temp / "a/b/f/x") != "ok");
    CHECK(test::open_descriptors() == before + 1);
  }
  CHECK(test::open_descriptors() == before);
}
