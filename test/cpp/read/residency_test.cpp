#include "read/residency.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "read/read_call.h"
#include "support/skip.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using namespace std::chrono_literals;

namespace {

/// Reads of a cold store that find everything in memory, until it is warm; how many they were.
std::uint32_t reads_until_warm(Residency& residency, Residency::Time now) {
  std::uint32_t reads = 0;
  for (; residency.cold() && reads < 10 * Residency::kCleanReads; ++reads) {
    residency.read_elsewhere(false, now);
  }
  return reads;
}

/// A mapped file of which the page cache holds nothing.
class ColdFile {
 public:
  static constexpr std::size_t kBytes = 1 << 20;

  ColdFile() : fd_(::open((temp_.path() + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    REQUIRE(fd_ >= 0);
    const std::string content(kBytes, 'x');
    REQUIRE(::pwrite(fd_, content.data(), kBytes, 0) == ssize_t{kBytes});
    REQUIRE(::fsync(fd_) == 0);
    REQUIRE(::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED) == 0);
    map_ = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd_, 0);
    REQUIRE(map_ != MAP_FAILED);
    // Page by page: what is read ahead would be in memory too.
    REQUIRE(::madvise(map_, kBytes, MADV_RANDOM) == 0);
  }
  ~ColdFile() {
    ::munmap(map_, kBytes);
    ::close(fd_);
  }
  ColdFile(const ColdFile&) = delete;
  ColdFile& operator=(const ColdFile&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(map_), kBytes}; }

 private:
  test::TempDir temp_;
  int fd_;
  void* map_ = nullptr;
};

}  // namespace

TEST_CASE("a store that was opened is cold until so many reads in a row found all in memory") {
  Residency residency(Residency::Start::cold);
  for (std::uint32_t i = 1; i < Residency::kCleanReads; ++i) residency.read_elsewhere(false, 1s);
  CHECK(residency.cold());
  SECTION("one more makes it warm") {
    residency.read_elsewhere(false, 1s);
    CHECK(!residency.cold());
  }
  SECTION("one that waited starts the count again") {
    residency.read_elsewhere(true, 1s);
    CHECK(reads_until_warm(residency, 1s) == Residency::kCleanReads);
  }
}

TEST_CASE("a read that waited where it should not turns a store cold at once") {
  Residency residency(Residency::Start::warm);
  CHECK(!residency.cold());
  residency.blocked(20ms, 1s);
  CHECK(residency.cold());
}

TEST_CASE("what is lost by waiting where one should not is a small share of the time") {
  Residency residency(Residency::Start::warm);
  Residency::Time now = 1s;
  Residency::Time lost = 0s;
  // As bad as can be: each time that the store is warm a read waits.
  while (now < 101s) {
    if (residency.cold()) {
      (void)reads_until_warm(residency, now);
      now += 1ms;
      continue;
    }
    residency.blocked(20ms, now += 20ms);
    lost += 20ms;
  }
  CHECK(lost <= 100s / Residency::kShare + 20ms);
  CHECK(lost >= 100s / (Residency::kShare + 1) - 200ms);  // and it comes back as soon as it may
}

TEST_CASE("a store that many find cold at once is so for as long as they lost together") {
  Residency residency(Residency::Start::warm);
  for (int i = 0; i < 10; ++i) residency.blocked(20ms, 1s);
  CHECK(reads_until_warm(residency, 1s + 10 * 20ms * Residency::kShare - 1ms) >
        Residency::kCleanReads);
  CHECK(residency.cold());
  CHECK(reads_until_warm(residency, 1s + 10 * 20ms * Residency::kShare) == 1);
  CHECK(!residency.cold());
}

TEST_CASE("threads tell a store about their reads at the same time") {
  Residency residency(Residency::Start::cold);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10000; ++i) {
        if (t == 0 && i % 1000 == 0) residency.blocked(1ns, Residency::Time(i));
        if (residency.cold()) residency.read_elsewhere(i % 5000 == 0, Residency::Time(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  (void)reads_until_warm(residency, 1h);
  CHECK(!residency.cold());
}

TEST_CASE("a thread that only computed has not waited for the disk") {
  (void)waited_for_disk();  // whatever the thread waited for before
  const auto end = std::chrono::steady_clock::now() + 30ms;
  while (std::chrono::steady_clock::now() < end) {
  }
  CHECK(waited_for_disk() == 0ns);
}

TEST_CASE("only what a read itself waits for turns its store cold") {
  const ColdFile file;
  if (in_memory(file.bytes())) {
    test::skip("the files stay in memory here");
    return;
  }
  const std::string_view bytes = file.bytes();
  std::size_t at = 0;
  // Until the clock that reads look at has moved.
  const auto wait_for_pages = [&] {
    const std::uint64_t before = disk_waits();
    const Residency::Time begin = ticks();
    while (ticks() - begin < 15ms) {
      if (at < bytes.size()) (void)*static_cast<const volatile char*>(&bytes[at]);
      at += 4096;
    }
    return disk_waits() != before;
  };
  Residency residency(Residency::Start::warm);
  { const ReadCall reading(&residency, {.may_wait = false}); }
  SECTION("waits of others on the same thread, before it, do not") {
    REQUIRE(wait_for_pages());
    { const ReadCall reading(&residency, {.may_wait = false}); }
    CHECK(!residency.cold());
  }
  SECTION("its own do, and the next is refused") {
    {
      const ReadCall reading(&residency, {.may_wait = false});
      REQUIRE(wait_for_pages());
    }
    CHECK(residency.cold());
    CHECK(ReadCall(&residency, {.may_wait = false}).refused());
  }
}

TEST_CASE("pages come from the disk together, and are in memory then") {
  const ColdFile file;
  const std::string_view bytes = file.bytes();
  // A file system in memory has no cold pages.
  if (in_memory(bytes)) {
    test::skip("the files stay in memory here");
    return;
  }
  CHECK(!in_memory(bytes.substr(bytes.size() - 10)));
  bring_in(bytes.substr(5000, 300000));
  CHECK(in_memory(bytes.substr(5000, 300000)));
  CHECK(!in_memory(bytes.substr(5000, 500000)));
  bring_in({});
  CHECK(in_memory({}));
}

TEST_CASE("a call that may not wait is refused by a cold store and leaves many cold bytes alone") {
  const ColdFile file;
  if (in_memory(file.bytes())) {
    test::skip("the files stay in memory here");
    return;
  }
  Residency residency(Residency::Start::cold);
  CHECK(ReadCall(&residency, {.may_wait = false}).refused());
  CHECK(!ReadCall(&residency, {}).refused());
  Residency warm(Residency::Start::warm);
  ReadCall reading(&warm, {.may_wait = false});
  CHECK(!reading.refused());
  CHECK(reading.may_touch(file.bytes().substr(0, 100)));
  CHECK(!reading.may_touch(file.bytes().substr(0, 100000)));
  CHECK(ReadCall(&warm, {}).may_touch(file.bytes().substr(0, 100000)));
  CHECK(reading.may_touch(file.bytes().substr(0, 100000)));
}
