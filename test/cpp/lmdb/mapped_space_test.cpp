#include "lmdb/mapped_space.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "os/posix.h"
#include "support/child.h"
#include "support/outcome.h"
#include "support/small_disk.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using test::outcome;
using test::TempDir;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

struct stat stat_of(const std::string& path) {
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) throw std::runtime_error("stat " + path);
  return found;
}

std::uint64_t blocks_of(const std::string& path) {
  return static_cast<std::uint64_t>(stat_of(path).st_blocks) * 512;
}

std::string sparse_file(const TempDir& temp, std::uint64_t bytes) {
  const std::string path = temp / "data";
  test::write_whole(path, "");
  std::filesystem::resize_file(path, bytes);
  return path;
}

/// The file for as long as the result lives.
FileDescriptor use(const std::string& path, MappedSpace* reserve) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) throw std::runtime_error("open " + path);
  reserve->use(file.get());
  return file;
}

}  // namespace

TEST_CASE("Blocks are there once they were asked for") {
  const TempDir temp;
  const std::string path = sparse_file(temp, 64 * kMiB);
  MappedSpace reserve;
  CHECK_FALSE(reserve.covers(1));
  const FileDescriptor file = use(path, &reserve);
  CHECK(reserve.covers(0));
  CHECK_FALSE(reserve.covers(1));
  CHECK(blocks_of(path) == 0);
  REQUIRE(outcome(reserve.extend(0, 3 * kMiB)) == "ok");
  CHECK(reserve.covers(3 * kMiB));
  CHECK_FALSE(reserve.covers(64 * kMiB));
  CHECK(blocks_of(path) >= 3 * kMiB);
  const std::uint64_t before = blocks_of(path);
  REQUIRE(outcome(reserve.extend(0, kMiB)) == "ok");
  CHECK(blocks_of(path) == before);
  CHECK(stat_of(path).st_size == 64 * std::int64_t{kMiB});
}

TEST_CASE("What lies before the end of the file is reserved too where it is a hole") {
  const TempDir temp;
  const std::string path = sparse_file(temp, 8 * kMiB);
  MappedSpace reserve;
  const FileDescriptor file = use(path, &reserve);
  REQUIRE(outcome(reserve.extend(0, 8 * kMiB)) == "ok");
  CHECK(blocks_of(path) >= 8 * kMiB);
}

TEST_CASE("Trimming gives back what lies far past the end, and keeps the bytes before it") {
  const TempDir temp;
  const std::string path = temp / "data";
  const std::string kept(2 * kMiB, 'k');
  test::write_whole(path, kept);
  std::filesystem::resize_file(path, 64 * kMiB);
  MappedSpace reserve;
  const FileDescriptor file = use(path, &reserve);
  REQUIRE(outcome(reserve.extend(0, 32 * kMiB)) == "ok");
  reserve.trim(2 * kMiB);
  CHECK(blocks_of(path) <= 3 * kMiB);
  CHECK(reserve.covers(2 * kMiB));
  CHECK_FALSE(reserve.covers(3 * kMiB));
  CHECK(test::read_whole(path).substr(0, kept.size()) == kept);
  CHECK(stat_of(path).st_size == 64 * std::int64_t{kMiB});
  // A second time there is nothing to do.
  const std::uint64_t before = blocks_of(path);
  reserve.trim(2 * kMiB);
  CHECK(blocks_of(path) == before);
  REQUIRE(outcome(reserve.extend(0, 4 * kMiB)) == "ok");
  CHECK(blocks_of(path) >= 4 * kMiB);
}

TEST_CASE("Truncating ends the file and what was reserved of it") {
  const TempDir temp;
  const std::string path = sparse_file(temp, 64 * kMiB);
  MappedSpace reserve;
  const FileDescriptor file = use(path, &reserve);
  REQUIRE(outcome(reserve.extend(0, 8 * kMiB)) == "ok");
  REQUIRE(outcome(reserve.truncate(kMiB)) == "ok");
  CHECK(stat_of(path).st_size == std::int64_t{kMiB});
  CHECK(reserve.covers(kMiB));
  CHECK_FALSE(reserve.covers(kMiB + 1));
}

TEST_CASE("A full disk is disk_full, and the last block before it can be had") {
  const std::string ended = test::run_child([] {
    const TempDir temp;
    if (!test::mount_small_disk(temp.path(), 4 * kMiB)) return test::kSkipped;
    const std::string path = sparse_file(temp, 64 * kMiB);
    MappedSpace reserve;
    const FileDescriptor file = use(path, &reserve);
    CHILD_EQUAL(outcome(reserve.extend(0, 5 * kMiB)), "disk_full");
    CHILD_REQUIRE(!reserve.covers(1));
    // The step that is taken where there is room must not stand in the way.
    CHILD_EQUAL(outcome(reserve.extend(0, 4 * kMiB)), "ok");
    CHILD_REQUIRE(reserve.covers(4 * kMiB));
    CHILD_EQUAL(outcome(reserve.extend(0, 4 * kMiB + 1)), "disk_full");
    reserve.trim(kMiB);
    CHILD_EQUAL(outcome(reserve.extend(0, 2 * kMiB)), "ok");
    return 0;
  });
  test::require_done_or_skipped(ended, "no tmpfs can be mounted");
}

TEST_CASE("On a full disk a file that has data keeps it") {
  // A reservation that failed gave its blocks back, and with them those of a file that had been
  // there before: after an open nothing counts as reserved yet.
  const std::string ended = test::run_child([] {
    const TempDir temp;
    if (!test::mount_small_disk(temp.path(), 4 * kMiB)) return test::kSkipped;
    const std::string path = temp / "data";
    const std::string bytes(2 * kMiB, 'd');
    test::write_whole(path, bytes);
    test::write_whole(temp / "ballast", std::string(kMiB, 'b'));
    MappedSpace reserve;
    const FileDescriptor file = use(path, &reserve);
    CHILD_EQUAL(outcome(reserve.extend(2 * kMiB, 3 * kMiB + 1)), "disk_full");
    CHILD_REQUIRE(test::read_whole(path, bytes.size()) == bytes);
    CHILD_EQUAL(outcome(reserve.extend(2 * kMiB, 3 * kMiB)), "ok");
    CHILD_EQUAL(outcome(reserve.extend(2 * kMiB, 3 * kMiB + 1)), "disk_full");
    CHILD_REQUIRE(test::read_whole(path, bytes.size()) == bytes);
    return 0;
  });
  test::require_done_or_skipped(ended, "no tmpfs can be mounted");
}

TEST_CASE("A limit on file sizes is file_too_large and raises no signal") {
  const std::string ended = test::run_child([] {
    const TempDir temp;
    const std::string path = temp / "data";
    test::write_whole(path, "");
    const rlimit limit{4 * kMiB, 4 * kMiB};
    CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    MappedSpace reserve;
    const FileDescriptor file = use(path, &reserve);
    {
      const FileSizeSignalBlock block;
      CHILD_EQUAL(outcome(reserve.extend(0, 8 * kMiB)), "file_too_large");
      CHILD_EQUAL(outcome(reserve.extend(0, 4 * kMiB)), "ok");
    }
    // Past the end of the block nothing may be pending either.
    sigset_t pending;
    CHILD_REQUIRE(::sigpending(&pending) == 0);
    CHILD_REQUIRE(sigismember(&pending, SIGXFSZ) == 0);
    return 0;
  });
  CHECK(ended == "exit 0");
}

TEST_CASE("Without the block the same limit ends the process") {
  // The control of the test above.
  const std::string ended = test::run_child([] {
    const TempDir temp;
    const std::string path = temp / "data";
    test::write_whole(path, "");
    const rlimit limit{4 * kMiB, 4 * kMiB};
    CHILD_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    MappedSpace reserve;
    const FileDescriptor file = use(path, &reserve);
    CHILD_EQUAL(outcome(reserve.extend(0, 8 * kMiB)), "file_too_large");
    return 0;
  });
  CHECK(ended == "signal " + std::to_string(SIGXFSZ));
}
