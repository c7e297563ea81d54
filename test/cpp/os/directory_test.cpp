#include "os/directory.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstdio>
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
  LockedElsewhere(const std::string& path, Lock lock) {
    int ready[2], stop[2];
    if (::pipe(ready) != 0 || ::pipe(stop) != 0) throw std::runtime_error("pipe");
    child_ = test::start_child([&] {
      ::close(stop[1]);
      const Directory directory = open_directory(path);
      const bool held = directory.lock(lock).ok();
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

TEST_CASE("One process at a time owns a directory") {
  const TempDir temp;
  LockedElsewhere other(temp.path(), Lock::exclusive);
  REQUIRE(other.held());
  const Directory directory = open_directory(temp.path());
  CHECK(outcome(directory.lock(Lock::exclusive)) == "already_open");
  CHECK(outcome(directory.lock(Lock::shared)) == "already_open");
  other.let_go();
  CHECK(outcome(directory.lock(Lock::exclusive)) == "ok");
}

TEST_CASE("Processes that all ask for it share a directory, and keep out who does not") {
  const TempDir temp;
  LockedElsewhere other(temp.path(), Lock::shared);
  REQUIRE(other.held());
  const Directory stranger = open_directory(temp.path());
  CHECK(outcome(stranger.lock(Lock::exclusive)) == "already_open");
  const Directory directory = open_directory(temp.path());
  CHECK(outcome(directory.lock(Lock::shared)) == "ok");
}

// A store whose directory was renamed wrote and removed the files of the store that had taken its
// name.
TEST_CASE("A directory that is renamed stays the one that was opened") {
  const TempDir temp;
  fs::create_directories(temp / "above/store");
  const Directory directory = open_directory(temp / "above/store");
  REQUIRE(directory.overwrite_file("own", "ours").ok());
  fs::rename(temp / "above", temp / "moved");
  fs::create_directories(temp / "above/store");
  test::write_whole(temp / "above/store/own", "theirs");

  CHECK(directory.read_file("own").value() == "ours");
  CHECK(directory.overwrite_file("own", "OURS").ok());
  CHECK(directory.overwrite_file("new", "new").ok());
  CHECK(directory.file_size("own").value() == 4);
  auto file = directory.create_file("made");
  REQUIRE(file.ok());
  REQUIRE(directory.rename(&file.value(), "renamed").ok());
  file.value().keep();
  CHECK(directory.list().value().size() == 5);  // with "." and ".."
  CHECK(test::read_whole(temp / "moved/store/own") == "OURS");
  CHECK(fs::exists(temp / "moved/store/renamed"));
  CHECK(directory.remove("own").ok());
  CHECK(test::read_whole(temp / "above/store/own") == "theirs");
  CHECK(std::distance(fs::directory_iterator(temp / "above/store"), fs::directory_iterator()) == 1);
  // LMDB knows files by their paths.
  const std::string path = directory.path_for_lmdb("renamed");
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(outcome(directory.check_file("renamed", fd.get())) == "ok");
  CHECK(outcome(directory.check_file("new", fd.get())) == "no_such_directory");
  CHECK(outcome(directory.check_file("absent", fd.get())) == "no_such_directory");
}

// A removal of a file that was not there was taken for done.
TEST_CASE("To remove what is not there is an error") {
  const TempDir temp;
  CHECK(outcome(open_directory(temp.path()).remove("absent")) == "no_such_directory");
}

// `start` waited for ever for the other end of a FIFO that was called like a file of the store.
TEST_CASE("What is not a file is not waited for, nor followed") {
  const TempDir temp;
  const Directory directory = open_directory(temp.path());
  REQUIRE(::mkfifo((temp / "fifo").c_str(), 0600) == 0);
  fs::create_directory(temp / "directory");
  test::write_whole(temp / "file", "bytes");
  fs::create_symlink("file", temp / "link");
  fs::create_symlink("absent", temp / "dangling");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", (temp / "socket").c_str());
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);

  for (const char* name : {"fifo", "directory", "link", "dangling", "socket"}) {
    CAPTURE(name);
    for (const auto use : {Directory::For::reading, Directory::For::writing}) {
      CHECK(outcome(directory.open_file(name, use)) == "not_a_database");
    }
    CHECK(outcome(directory.read_file(name)) == "not_a_database");
    CHECK(outcome(directory.overwrite_file(name, "x")) == "not_a_database");
    CHECK(outcome(directory.create_file(name)) == "exists");
  }
  CHECK(test::read_whole(temp / "file") == "bytes");
  const auto followed = [&](const char* name) {
    return outcome(directory.open_file(name, Directory::For::reading, Directory::Link::followed));
  };
  CHECK(followed("link") == "ok");
  CHECK(followed("dangling") == "no_such_directory");
  CHECK(followed("fifo") == "not_a_database");
}

TEST_CASE("A file that is made goes again unless it is kept") {
  const TempDir temp;
  const Directory directory = open_directory(temp.path());
  {
    auto file = directory.create_file("made");
    REQUIRE(file.ok());
    CHECK(outcome(directory.create_file("made")) == "exists");
    const FileDescriptor taken = file.value().take_descriptor();
    CHECK(mode_of(temp / "made") == 0600);
  }
  CHECK_FALSE(fs::exists(temp / "made"));
  test::write_whole(temp / "taken", "theirs");
  {
    auto file = directory.create_file("made");
    REQUIRE(file.ok());
    CHECK(outcome(directory.rename_if_free(&file.value(), "taken")) == "exists");
    CHECK(outcome(directory.rename_if_free(&file.value(), "free")) == "ok");
  }
  CHECK(std::distance(fs::directory_iterator(temp.path()), fs::directory_iterator()) == 1);
  CHECK(test::read_whole(temp / "taken") == "theirs");
}

TEST_CASE("A file or a directory that was removed is noticed, once a tick at the latest") {
  const TempDir temp;
  const Directory directory = open_directory(temp / "store");
  auto file = directory.create_file("file");
  REQUIRE(file.ok());
  NamedCheck check;
  const auto ask = [&] {
    auto named = check_named(file.value().fd());
    return named ? check_named(directory.fd()) : named;
  };
  CHECK(outcome(check(ask)) == "ok");
  fs::remove(temp / "store/file");
  CHECK(outcome(ask()) == "no_such_directory");
  const auto removed_at = ticks();
  while (ticks() == removed_at) std::this_thread::yield();
  CHECK(outcome(check(ask)) == "no_such_directory");
  fs::remove(temp / "store");
  CHECK(outcome(check_named(directory.fd())) == "no_such_directory");
}

TEST_CASE("No descriptor stays behind") {
  const TempDir temp;
  const std::size_t before = test::open_descriptors();
  {
    Directory directory = open_directory(temp / "a/b");
    CHECK(directory.overwrite_file("f", "x").ok());
    CHECK(directory.overwrite_file("f", "y").ok());
    CHECK(directory.read_file("f").ok());
    CHECK(directory.list().ok());
    CHECK(directory.create_file("g").ok());
    CHECK(directory.sync_parent().ok());
    CHECK(open_outcome(temp / "a/b/f/x") != "ok");
    CHECK(test::open_descriptors() == before + 1);
  }
  CHECK(test::open_descriptors() == before);
}
