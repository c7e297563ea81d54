// A write buffer that is read while it is written: views see whole versions and nothing later.
#include <atomic>
#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "buffer/write_buffer.h"

namespace hyper_lmdb {
namespace {

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
using Seen = std::vector<std::pair<std::string, std::string>>;

std::string text(const WriteBuffer::Outcome& outcome) {
  return outcome.removed ? "(removed)" : std::string(outcome.record);
}

// Each version writes five keys of one group, one key of its own, and removes the one before. Views
// of version v must see just what v and those before it wrote.
constexpr std::uint64_t kGroups = 20;
constexpr std::uint64_t kLastVersion = 1500;

std::string key_of(std::uint64_t group, int member) {
  return "g/" + std::to_string(group) + "/" + std::to_string(member);
}
std::string own_key(std::uint64_t version) {
  std::string digits = std::to_string(version);
  return "n/" + std::string(6 - digits.size(), '0') + digits;
}
std::uint64_t last_of_group(std::uint64_t group, std::uint64_t version) {
  const std::uint64_t back = (version + kGroups - group) % kGroups;
  return version > back ? version - back : 0;
}

void write_version(WriteBuffer& buffer, std::uint64_t version) {
  if (!buffer.reserve(7, 7 * 40)) throw std::length_error("full");
  const std::string record = std::to_string(version);
  for (int member = 0; member < 5; ++member) {
    buffer.insert(key_of(version % kGroups, member), version, {.record = record});
  }
  buffer.insert(own_key(version), version, {.record = record});
  if (version > 1) buffer.insert(own_key(version - 1), version, {.removed = true});
}

bool finds_version(const WriteBuffer& buffer, std::uint64_t version) {
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const std::uint64_t last = last_of_group(group, version);
    for (int member = 0; member < 5; ++member) {
      const auto found = buffer.find(key_of(group, member), version);
      if (found.has_value() != (last != 0)) return false;
      if (found && text(*found) != std::to_string(last)) return false;
    }
  }
  if (buffer.find(own_key(version + 1), version)) return false;
  for (std::uint64_t own = version; own > 0 && own + 3 > version; --own) {
    const auto found = buffer.find(own_key(own), version);
    if (!found || found->removed != (own < version)) return false;
  }
  return true;
}

bool walks_version(const WriteBuffer& buffer, std::uint64_t version, bool backwards) {
  auto order = buffer.order(50);
  if (order == nullptr) order = buffer.order(kAny);
  BufferCursor cursor(std::move(order), version);
  Seen seen;
  for (bool at = backwards ? cursor.last() : cursor.first(); at;
       at = backwards ? cursor.previous() : cursor.next()) {
    seen.emplace_back(cursor.key(), text(cursor.outcome()));
  }
  std::map<std::string, std::string> expected;
  for (std::uint64_t group = 0; group < kGroups; ++group) {
    const std::uint64_t last = last_of_group(group, version);
    for (int member = 0; last != 0 && member < 5; ++member) {
      expected[key_of(group, member)] = std::to_string(last);
    }
  }
  for (std::uint64_t own = 1; own <= version; ++own) {
    expected[own_key(own)] = own == version ? std::to_string(own) : "(removed)";
  }
  if (backwards) return seen == Seen(expected.rbegin(), expected.rend());
  return seen == Seen(expected.begin(), expected.end());
}

TEST_CASE("While it is written, a view of a published version sees all of it and nothing later") {
  WriteBuffer buffer(16 << 20, 42);
  std::atomic<std::uint64_t> published{0};
  std::atomic<std::uint64_t> checks{0};
  std::atomic<bool> wrong{false};
  const auto read = [&](bool backwards) {
    for (bool last = false; !last && !wrong;) {
      const std::uint64_t version = published.load(std::memory_order_acquire);
      last = version == kLastVersion;
      if (!finds_version(buffer, version)) wrong = true;
      if (!walks_version(buffer, version, backwards)) wrong = true;
      checks.fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::vector<std::thread> readers;
  for (const bool backwards : {false, true}) readers.emplace_back(read, backwards);
  for (std::uint64_t version = 1; version <= kLastVersion; ++version) {
    write_version(buffer, version);
    published.store(version, std::memory_order_release);
    // The readers are to meet many versions, however the threads are scheduled.
    while (checks.load(std::memory_order_relaxed) < version / 8 && !wrong) {
      std::this_thread::yield();
    }
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(!wrong);
  CHECK(finds_version(buffer, kLastVersion));
  CHECK(walks_version(buffer, kLastVersion, false));
}

}  // namespace
}  // namespace hyper_lmdb
