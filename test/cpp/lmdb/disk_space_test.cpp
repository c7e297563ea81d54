#include "lmdb/disk_space.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <stdexcept>
#include <string>

#include "os/posix.h"
#include "support/child.h"
#include "support/faults.h"
#include "support/small_disk.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using test::TempDir;
namespace faults = test::faults;

namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kMiB = 1 << 20;

/// A file of three pages, and what is known of its disk.
struct Rig {
  explicit Rig(const std::string& path) {
    test::write_whole(path, std::string(3 * kPageBytes, 'd'));
    file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!file) throw std::runtime_error("open " + path);
    room.use(file.get(), kPageBytes);
  }
  struct stat stat() const {
    struct stat found = {};
    if (::fstat(file.get(), &found) != 0) throw std::runtime_error("fstat");
    return found;
  }

  FileDescriptor file;
  DiskSpace room;
};

std::uint64_t kept(const Rig& rig) {
  return rig.room.bytes() - rig.room.free_bytes();
}

/// Pages that can be written behind the file's end where the disk is full.
int pages_behind_the_end(const Rig& rig) {
  const std::string page(kPageBytes, 'p');
  int count = 0;
  while (::pwrite(rig.file.get(), page.data(), page.size(), (3 + count) * 4096L) == 4096) ++count;
  return count;
}

}  // namespace

TEST_CASE("Blocks are kept behind the file's end, which does not move") {
  const TempDir temp;
  Rig rig(temp / "data");
  rig.room.look(3 * kPageBytes);
  if (kept(rig) == 0) return test::skip("this file system has no fallocate");
  CHECK(rig.stat().st_size == 3 * kPageBytes);
  CHECK(static_cast<std::uint64_t>(rig.stat().st_blocks) * 512 >= 3 * kPageBytes + kept(rig));
  CHECK(kept(rig) < kMiB);
  CHECK(rig.room.bytes_for_removals() == kept(rig) / 2);
  CHECK(rig.room.kept_until() == 3 * kPageBytes + kept(rig));
  // The file has become longer: as much is kept behind its new end.
  const std::uint64_t before = kept(rig);
  rig.room.look(10 * kPageBytes);
  CHECK(kept(rig) == before);
  CHECK(rig.room.kept_until() == 10 * kPageBytes + before);
}

TEST_CASE("On a full disk the kept blocks can be written, and no others") {
  const TempDir temp;
  const std::string ended = test::run_child([&] {
    if (!test::mount_small_disk(temp.path(), 2 * kMiB)) return test::kSkipped;
    Rig rig(temp / "data");
    rig.room.look(3 * kPageBytes);
    const std::uint64_t all = kept(rig);
    test::take_all_room(temp / "ballast");
    rig.room.look(3 * kPageBytes);
    CHILD_REQUIRE(rig.room.free_bytes() == 0);
    CHILD_REQUIRE(kept(rig) == all);
    CHILD_REQUIRE(pages_behind_the_end(rig) == static_cast<int>(all / kPageBytes));
    rig.room.look(3 * kPageBytes + all);
    CHILD_REQUIRE(rig.room.bytes() == 0);
    return 0;
  });
  test::require_done_or_skipped(ended, "no tmpfs can be mounted");
}

TEST_CASE("Near the end of the disk what there is is kept, and nothing counts as free") {
  const TempDir temp;
  const std::string ended = test::run_child([&] {
    if (!test::mount_small_disk(temp.path(), kMiB / 2)) return test::kSkipped;
    Rig rig(temp / "data");
    rig.room.look(3 * kPageBytes);
    CHILD_REQUIRE(rig.room.free_bytes() == 0);
    CHILD_REQUIRE(kept(rig) > kMiB / 4);
    return 0;
  });
  test::require_done_or_skipped(ended, "no tmpfs can be mounted");
}

TEST_CASE("Where blocks cannot be kept, only what is free counts") {
  const TempDir temp;
  Rig rig(temp / "data");
  faults::arm({.directory = temp.path(),
               .calls = faults::kFallocate,
               .fail_at = 1,
               .for_ever = true,
               .error = EOPNOTSUPP});
  rig.room.look(3 * kPageBytes);
  CHECK(faults::disarm() == 1);
  CHECK(kept(rig) == 0);
  CHECK(rig.room.bytes_for_removals() > 0);  // puts leave it of what is free
  CHECK(rig.room.free_bytes() > 0);
}

TEST_CASE("Under a quota nothing counts as free") {
  const TempDir temp;
  Rig rig(temp / "data");
  faults::arm({.directory = temp.path(),
               .calls = faults::kFallocate,
               .fail_at = 1,
               .for_ever = true,
               .error = EDQUOT});
  rig.room.look(3 * kPageBytes);
  faults::disarm();
  CHECK(rig.room.bytes() == 0);
}
