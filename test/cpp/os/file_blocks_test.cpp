// Writes that the system makes in several parts.
#include "os/file_blocks.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <string>

#include "os/posix.h"
#include "support/faults.h"
#include "support/outcome.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

// One call writes 2 GiB less a page at most: a longer record was taken for a full disk.
TEST_CASE("A write of more than the system takes in one call is made in several") {
  constexpr std::uint64_t kBytes = 3ULL << 30;
  const FileDescriptor sink(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  REQUIRE(sink);
  // Nothing reads the pages.
  void* const map =
      ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(map != MAP_FAILED);
  CHECK(outcome(write_at(sink.get(), static_cast<const char*>(map), kBytes, 0)) == "ok");
  ::munmap(map, kBytes);
}

TEST_CASE("A write that is cut short goes on, and what then keeps it from going on is the answer") {
  const TempDir temp(memory_directory());
  const std::string bytes = "0123456789";
  const FileDescriptor file(::open((temp / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(file);
  const auto write = [&](const faults::Plan& plan) {
    faults::arm(plan);
    const std::string word = outcome(write_at(file.get(), bytes.data(), bytes.size(), 0));
    faults::disarm();
    return word;
  };
  faults::Plan cut{.directory = temp.path(), .calls = faults::kPwrite, .fail_at = 1};
  CHECK(write(cut) == "ok");
  CHECK(read_whole(temp / "file") == bytes);
  // Each a byte shorter, down to one that writes nothing.
  cut.for_ever = true;
  CHECK(write(cut) == "disk_full");
  for (const auto& [error, word] : {std::pair(ENOSPC, "disk_full"),
                                    {EFBIG, "file_too_large"},
                                    {EDQUOT, "quota_exceeded"},
                                    {EIO, "io_error"}}) {
    CHECK(
        write({.directory = temp.path(), .calls = faults::kPwrite, .fail_at = 1, .error = error}) ==
        word);
  }
}
