#include "backup/backup_target.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "support/child.h"
#include "support/faults.h"
#include "support/outcome.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

std::string create(const std::string& file) {
  return outcome(BackupTarget::create(file));
}

std::size_t files_in(const std::string& directory) {
  const fs::directory_iterator all(directory);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::string path_of(const BackupTarget& target) {
  return target.directory().path() + "/" + target.temporary_name();
}

void write_to(const BackupTarget& target) {
  if (::write(target.fd(), "bytes", 5) != 5) throw std::runtime_error("write");
}

}  // namespace

TEST_CASE("A file takes its name when it is kept, and is nobody's but its owner's") {
  const TempDir temp;
  for (const mode_t mask : {0, 022, 077}) {
    const std::string file = temp / ("backup " + std::to_string(mask));
    const mode_t before = ::umask(mask);
    auto target = BackupTarget::create(file);
    ::umask(before);
    REQUIRE(outcome(target) == "ok");
    CHECK(!fs::exists(file));
    write_to(target.value());
    CHECK(read_whole(path_of(target.value())) == "bytes");
    struct stat found = {};
    REQUIRE(::stat(path_of(target.value()).c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
    CHECK(outcome(target.value().keep()) == "ok");
    CHECK(read_whole(file) == "bytes");
    REQUIRE(::stat(file.c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
    CHECK(found.st_nlink == 1);
  }
  CHECK(files_in(temp.path()) == 3);
}

TEST_CASE("A file that is not kept is gone") {
  const TempDir temp;
  const std::size_t before = open_descriptors();
  {
    auto target = BackupTarget::create(temp / "backup");
    REQUIRE(outcome(target) == "ok");
    write_to(target.value());
    CHECK(files_in(temp.path()) == 1);
    // One that was moved from takes nothing along.
    const BackupTarget moved = std::move(target).value();
    CHECK(files_in(temp.path()) == 1);
  }
  CHECK(files_in(temp.path()) == 0);
  CHECK(open_descriptors() == before);
}

TEST_CASE("A name that is taken is exists, whatever has it, and stays as it is") {
  const TempDir temp;
  write_whole(temp / "file", "mine");
  fs::create_directory(temp / "directory");
  fs::create_symlink(temp / "file", temp / "link");
  fs::create_symlink(temp / "nowhere", temp / "dangling");
  fs::create_symlink("loop", temp / "loop");
  REQUIRE(::mkfifo((temp / "pipe").c_str(), 0600) == 0);
  for (const char* name : {"file", "directory", "link", "dangling", "loop", "pipe", ".", ".."}) {
    INFO(name);
    CHECK(create(temp / name) == "exists");
  }
  CHECK(create("/dev/null") == "exists");
  CHECK(read_whole(temp / "file") == "mine");
  CHECK(!fs::exists(temp / "nowhere"));
  CHECK(files_in(temp.path()) == 6);
}

TEST_CASE("A name that is taken while the file is written is exists too") {
  for (const char* by : {"file", "link", "directory"}) {
    INFO(by);
    const TempDir temp;
    auto target = BackupTarget::create(temp / "backup");
    REQUIRE(outcome(target) == "ok");
    if (by == std::string("file")) write_whole(temp / "backup", "theirs");
    if (by == std::string("link")) fs::create_symlink(temp / "nowhere", temp / "backup");
    if (by == std::string("directory")) fs::create_directory(temp / "backup");
    CHECK(outcome(target.value().keep()) == "exists");
    if (by == std::string("file")) CHECK(read_whole(temp / "backup") == "theirs");
    CHECK(!fs::exists(temp / "nowhere"));
    { const BackupTarget gone = std::move(target).value(); }
    CHECK(files_in(temp.path()) == 1);
  }
}

TEST_CASE("Names that no file can have, and places where none can be") {
  const TempDir temp;
  write_whole(temp / "file", "");
  const std::string nul("a\0b", 3);
  CHECK(create("") == "bad_option file");
  CHECK(create("/") == "bad_option file");
  CHECK(create(temp / "") == "bad_option file");
  CHECK(create(temp / nul) == "bad_option file");
  CHECK(create(temp / std::string(256, 'n')) == "bad_option file");
  CHECK(create("/" + std::string(5000, 'n')) == "bad_option file");
  CHECK(create(temp.path() + std::string(5000, '/') + "backup") == "bad_option file");
  CHECK(create(temp / "none/backup") == "no_such_directory");
  CHECK(create(temp / "file/backup") == "no_such_directory");
  CHECK(create("/proc/backup") != "ok");
  CHECK(files_in(temp.path()) == 1);
  // The longest name there is has room beside it for the one the file has at first.
  CHECK(create(temp / std::string(255, 'n')) == "ok");
}

TEST_CASE("A relative name is one from where the process was") {
  const TempDir temp;
  const std::string ended = run_child([&] {
    CHILD_REQUIRE(::chdir(temp.path().c_str()) == 0);
    auto target = BackupTarget::create("backup");
    CHILD_EQUAL(outcome(target), "ok");
    CHILD_REQUIRE(::chdir("/") == 0);
    CHILD_EQUAL(outcome(target.value().keep()), "ok");
    return 0;
  });
  CHECK(ended == "exit 0");
  CHECK(fs::exists(temp / "backup"));
}

TEST_CASE("A directory that may not be written to") {
  const TempDir temp;
  fs::permissions(temp.path(), fs::perms::owner_read | fs::perms::owner_exec);
  const std::string ended = run_child([&] {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) return kSkipped;
    // As another user it may not even be looked into.
    CHILD_EQUAL(create(temp / "backup"), "permission_denied");
    return 0;
  });
  fs::permissions(temp.path(), fs::perms::owner_all);
  CHECK(ended == "exit 0");
  CHECK(files_in(temp.path()) == 0);
}

TEST_CASE("A flush that fails leaves nothing") {
  const TempDir temp;
  // Of the file, then of the directory once the file has its name.
  for (const std::uint64_t at : {1, 2}) {
    INFO(at);
    auto target = BackupTarget::create(temp / "backup");
    REQUIRE(outcome(target) == "ok");
    write_to(target.value());
    faults::arm({.directory = temp.path(), .calls = faults::kFsync, .fail_at = at, .error = EIO});
    CHECK(outcome(target.value().keep()) == "io_error");
    CHECK(faults::has_failed());
    faults::disarm();
    { const BackupTarget gone = std::move(target).value(); }
    CHECK(files_in(temp.path()) == 0);
  }
}
