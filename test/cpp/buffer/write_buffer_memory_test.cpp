// The memory of a write buffer: how much, when it is taken, and what happens where there is none.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "buffer/write_buffer.h"

namespace {

std::atomic<std::uint64_t> allocations{0};
std::atomic<std::uint64_t> mapped_bytes{0};
std::atomic<bool> no_memory{false};

void* allocate(std::size_t bytes) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return no_memory ? nullptr : std::malloc(bytes);
}

void* allocate_or_throw(std::size_t bytes) {
  void* const found = allocate(bytes);
  if (found == nullptr) throw std::bad_alloc();
  return found;
}

}  // namespace

// Every way to memory that the buffer has: counted, and made to fail. The array forms are here too
// since a sanitizer's own would not come by the plain one.
void* operator new(std::size_t bytes) {
  return allocate_or_throw(bytes);
}
void* operator new[](std::size_t bytes) {
  return allocate_or_throw(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes);
}
void operator delete(void* bytes) noexcept {
  std::free(bytes);
}
void operator delete[](void* bytes) noexcept {
  std::free(bytes);
}
void operator delete(void* bytes, std::size_t) noexcept {
  std::free(bytes);
}
void operator delete[](void* bytes, std::size_t) noexcept {
  std::free(bytes);
}

extern "C" void* mmap(void* at, std::size_t bytes, int access, int flags, int fd,
                      off_t offset) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (no_memory) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  mapped_bytes += bytes;
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, access, flags, fd, offset));
}
extern "C" int munmap(void* at, std::size_t bytes) noexcept {
  mapped_bytes -= bytes;
  return static_cast<int>(::syscall(SYS_munmap, at, bytes));
}

namespace hyper_lmdb {
namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kSeed = 42;

void put(WriteBuffer& buffer, std::string_view key, std::uint64_t version,
         std::string_view record) {
  REQUIRE(buffer.reserve(1, key.size() + record.size()));
  buffer.insert(key, version, {.record = record});
}

/// The keys that a view of `version` walks over.
std::vector<std::string> walked(const WriteBuffer& buffer, std::uint64_t version) {
  std::vector<std::string> keys;
  BufferCursor cursor(buffer.order(kAny), version);
  for (bool at = cursor.first(); at; at = cursor.next()) keys.emplace_back(cursor.key());
  return keys;
}

TEST_CASE("A full buffer refuses and keeps what it has") {
  constexpr std::uint64_t kMost = 1 << 20;
  WriteBuffer buffer(kMost, kSeed);
  const std::string record(100, 'r');
  std::uint64_t count = 0;
  while (buffer.reserve(1, 20 + record.size())) {
    std::string key = std::to_string(count++);
    key.resize(20, '.');
    buffer.insert(key, 1, {.record = record});
    REQUIRE(buffer.bytes_used() <= kMost);
  }
  CHECK(buffer.keys() == count);
  CHECK(buffer.bytes_used() > kMost - 1000);
  CHECK(count > kMost / 256);
  CHECK(!buffer.reserve(1, kMost));
  CHECK(!buffer.reserve(0, kAny));
  CHECK(!buffer.reserve(std::numeric_limits<std::size_t>::max(), 0));
  CHECK(!buffer.reserve(std::numeric_limits<std::size_t>::max() / 70, kAny));
  CHECK(buffer.find("0...................", 1)->record == record);
  CHECK(walked(buffer, 1).size() == count);
  CHECK(!WriteBuffer(kMost, kSeed).reserve(1, kMost));
  CHECK(!WriteBuffer(0, kSeed).reserve(1, 1));
}

// Keys and records of nine bytes: none takes more than was reserved for it, and none less.
TEST_CASE("Whatever fits in, it fits within the bytes that were given") {
  for (std::uint64_t most = 64 << 10; most < 80 << 10; most += 100) {
    const std::string key(5, 'k');
    const std::string record(9, 'r');
    WriteBuffer at_once(most, kSeed);
    std::size_t outcomes = most / 50;
    while (!at_once.reserve(outcomes, 18 * outcomes)) --outcomes;
    REQUIRE(outcomes > most / 200);
    for (std::size_t i = 0; i < outcomes; ++i) {
      at_once.insert(key + std::to_string(1000 + i), 1, {.record = record});
    }
    CHECK(at_once.bytes_used() <= most);
    CHECK(at_once.bytes_used() > most - 200);

    WriteBuffer in_batches(most, kSeed);
    for (int count = 1000; in_batches.reserve(50, 18 * 50);) {
      for (int i = 0; i < 50; ++i) {
        in_batches.insert(key + std::to_string(count++), 1, {.record = record});
      }
    }
    CHECK(in_batches.bytes_used() <= most);
  }
}

TEST_CASE("What is lost at the ends of chunks counts") {
  constexpr std::uint64_t kMost = 32 << 20;
  const std::uint64_t before = mapped_bytes;
  {
    WriteBuffer buffer(kMost, kSeed);
    const std::string record(100 << 10, 'r');
    for (int i = 0; buffer.reserve(1, 10 + record.size()); ++i) {
      buffer.insert(std::to_string(i), 1, {.record = record});
    }
    CHECK(buffer.bytes_used() <= kMost);
    CHECK(buffer.bytes_used() > kMost - 2 * record.size());
    // Mappings are rounded up to 64 KiB.
    CHECK(mapped_bytes - before <= kMost + (192 << 10));
  }
  CHECK(mapped_bytes == before);
}

TEST_CASE("A large reservation of which little was used is lost, one that was not used is not") {
  WriteBuffer buffer(4 << 20, kSeed);
  REQUIRE(buffer.reserve(1, 2 << 20));
  REQUIRE(buffer.reserve(1, 3 << 20));
  buffer.insert("a", 1, {.record = "a"});
  CHECK(!buffer.reserve(1, (3 << 20) + (1 << 19)));
  put(buffer, "b", 1, std::string(2 << 20, 'b'));
  CHECK(buffer.bytes_used() <= 4 << 20);
}

TEST_CASE("A reservation that was not used is given back") {
  WriteBuffer buffer(4 << 20, kSeed);
  put(buffer, "a", 1, "a");
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(buffer.reserve(1, 3 << 20));
    put(buffer, "a", 1, "a");
  }
  CHECK(buffer.bytes_used() < 200'000);
}

TEST_CASE("What is reserved is inserted without allocating") {
  WriteBuffer buffer(32 << 20, kSeed);
  std::mt19937 random(7);
  const std::string bytes(200'000, 'x');
  std::uint64_t version = 0;
  while (buffer.bytes_used() < 24 << 20) {
    const std::size_t outcomes = 1 + random() % 50;
    std::vector<std::pair<std::string, std::size_t>> batch;
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < outcomes; ++i) {
      std::string key(1 + random() % 511, static_cast<char>(random()));
      batch.emplace_back(std::move(key), 1 + random() % (random() % 20 == 0 ? 200'000 : 100));
      size += batch.back().first.size() + batch.back().second;
    }
    REQUIRE(buffer.reserve(outcomes, size));
    const std::uint64_t before = allocations;
    ++version;
    for (const auto& [key, length] : batch) {
      buffer.insert(key, version, {.record = {bytes.data(), length}});
    }
    REQUIRE(allocations == before);
  }
}

TEST_CASE("Where memory is short the buffer stays as it was") {
  WriteBuffer buffer(32 << 20, kSeed);
  put(buffer, "a", 1, "one");
  const auto order = buffer.order(kAny);
  put(buffer, "b", 1, "two");
  const std::uint64_t used = buffer.bytes_used();
  bool reserve_threw = false;
  bool order_threw = false;
  no_memory = true;
  try {
    (void)buffer.reserve(1, 16 << 20);
  } catch (const std::bad_alloc&) {
    reserve_threw = true;
  }
  try {
    (void)buffer.order(kAny);
  } catch (const std::bad_alloc&) {
    order_threw = true;
  }
  no_memory = false;
  CHECK(reserve_threw);
  CHECK(order_threw);
  CHECK(buffer.bytes_used() == used);
  CHECK(walked(buffer, 1) == std::vector<std::string>{"a", "b"});
  CHECK(buffer.find("b", 1)->record == "two");
  put(buffer, "c", 2, std::string(16 << 20, 'c'));
  CHECK(buffer.find("c", 2)->record.size() == 16 << 20);
}

}  // namespace
}  // namespace hyper_lmdb
