// Every function of a store from many threads at once, closes and reopens included. Values say
// which key they belong to and which write they are, so that a torn or misplaced read is noticed.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/temp_dir.h"

namespace hyper_lmdb {
namespace {

constexpr int kThreads = 6;
constexpr int kKeys = 64;

std::string key_of(int i) {
  return "group/" + std::to_string(i);
}

/// The key and a number, repeated: any mix of two values is unlike both.
std::string value_of(const std::string& key, std::uint64_t number) {
  std::string value;
  const std::string part = key + "=" + std::to_string(number) + ";";
  for (std::uint64_t n = 1 + number % 40; n > 0; --n) value += part;
  return value;
}

bool is_whole(const std::string& key, const std::string& value) {
  const std::size_t end = value.find(';');
  if (!value.starts_with(key + "=") || end == std::string::npos) return false;
  return value == value_of(key, std::stoull(value.substr(key.size() + 1, end - key.size() - 1)));
}

struct Tally {
  std::atomic<std::uint64_t> torn{0}, unexpected{0}, reads{0}, writes{0}, closed{0};

  template <typename R>
  void count(const R& result, std::atomic<std::uint64_t>& done) {
    if (result.ok()) {
      ++done;
    } else if (result.error().code == Code::closed) {
      ++closed;
    } else {
      ++unexpected;
    }
  }
};

void work(Store& store, Tally& tally, unsigned seed, int calls) {
  std::mt19937 random(seed);
  std::string value;
  for (int i = 0; i < calls; ++i) {
    const std::string key = key_of(static_cast<int>(random() % kKeys));
    const auto keep = [&](std::string_view bytes) { value = bytes; };
    switch (random() % 12) {
      case 0:
      case 1:
      case 2: {
        const auto found = random() % 2 == 0 ? store.get(key, keep) : store.read(key, keep);
        tally.count(found, tally.reads);
        if (found && found.value() && !is_whole(key, value)) ++tally.torn;
        break;
      }
      case 3: {
        // Through a link that others move; any key's value may come, whole.
        const auto found = store.read("link/" + key.substr(6), keep);
        tally.count(found, tally.reads);
        if (found && found.value() && !is_whole(value.substr(0, value.find('=')), value)) {
          ++tally.torn;
        }
        break;
      }
      case 4: {
        const std::string other = key_of(static_cast<int>(random() % kKeys));
        const std::string_view keys[] = {key, other};
        tally.count(
            store.read_many(keys,
                            [&](std::size_t at, const Store::Lookup& found) {
                              if (found && found.value() &&
                                  !is_whole(at == 0 ? key : other, std::string(*found.value()))) {
                                ++tally.torn;
                              }
                              return true;
                            }),
            tally.reads);
        break;
      }
      case 5:
        tally.count(store.list("group", {}, [](std::string_view) { return true; }), tally.reads);
        break;
      case 6: {
        const std::string text = value_of(key, random() % 1000);
        const Op ops[] = {{.kind = OpKind::link, .key = "link", .value = "group", .is_path = true},
                          {.key = key, .value = text}};
        tally.count(store.batch_write(ops), tally.writes);
        break;
      }
      case 7:
        tally.count(store.remove(random() % 4 == 0 ? "link" : key), tally.writes);
        break;
      case 8:
        if (random() % 20 == 0) tally.count(store.reset(), tally.writes);
        if (random() % 20 == 0) tally.count(store.sync(), tally.writes);
        tally.count(store.info(), tally.reads);
        break;
      default:
        tally.count(store.put(key, value_of(key, random() % 1000)), tally.writes);
        break;
    }
  }
}

std::shared_ptr<Store> open_store(const test::TempDir& directory, Durability durability) {
  Options options;
  options.directory = directory.path();
  options.durability = durability;
  options.capacity = 64 << 20;
  options.write_buffer_bytes = 64 << 10;  // so that writers wait for room too
  options.sync_interval_ms = 5;
  options.path_cache_entries = 16;
  auto store = Store::open(options);
  // No assertion of Catch2's: threads come here.
  if (!store) throw std::runtime_error(name_of(store.error().code));
  return store.value();
}

void race(Durability durability, int rounds, int calls) {
  const test::TempDir directory;
  Tally tally;
  for (int round = 0; round < rounds; ++round) {
    auto store = open_store(directory, durability);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back(
          [&, seed = static_cast<unsigned>(round * 100 + i)] { work(*store, tally, seed, calls); });
    }
    // Half of the rounds close under load; the calls that come too late say so.
    if (round % 2 == 0) threads.front().join();
    if (round % 2 == 0) CHECK(store->close().ok());
    for (std::thread& thread : threads) {
      if (thread.joinable()) thread.join();
    }
    if (round % 2 != 0) CHECK(store->close().ok());
  }
  CHECK(tally.torn == 0);
  CHECK(tally.unexpected == 0);
  CHECK(tally.reads > 0);
  CHECK(tally.writes > 0);
}

TEST_CASE("All functions at once, map_async") {
  race(Durability::map_async, 6, 1500);
}
TEST_CASE("All functions at once, async") {
  race(Durability::async, 6, 1500);
}
TEST_CASE("All functions at once, sync") {
  race(Durability::sync, 4, 150);
}

TEST_CASE("Opens and closes of one directory race") {
  const Durability durability = GENERATE(Durability::async, Durability::map_async);
  const test::TempDir directory;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 15; ++n) {
        auto store = open_store(directory, durability);
        const auto put = store->put("k", value_of("k", 1));
        if (!put && put.error().code != Code::closed) ++wrong;
        const auto closed = store->close();
        if (!closed && closed.error().code != Code::closed) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace hyper_lmdb
