// Stores that compress: what is read is what was written, whatever the option is and was.
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/ops.h"
#include "support/queued.h"
#include "support/test_store.h"
#include "support/texts.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr Compression kAll[] = {Compression::none, Compression::lz4, Compression::zstd};

Options compressing(const std::string& directory, Durability mode, Compression codec) {
  Options options = options_for(directory, mode);
  options.compression = codec;
  return options;
}

/// Of sizes that are compressed on the caller's thread at once, ahead of the queue, and not at all.
std::vector<std::pair<std::string, std::string>> values_of(Compression codec) {
  std::mt19937_64 random(static_cast<std::uint64_t>(codec));
  std::vector<std::pair<std::string, std::string>> all;
  const std::string name = std::to_string(static_cast<int>(codec));
  for (const std::size_t size : {0, 1, 1023, 1024, 4000, 30'000, 200'000, 1'000'000}) {
    all.emplace_back(name + " text " + std::to_string(size), text_of(random, size));
    all.emplace_back(name + " noise " + std::to_string(size), noise_of(random, size));
  }
  return all;
}

/// Keys whose values are not what they should be.
std::string wrong_in(const Store& store, Compression codec) {
  std::string wrong;
  for (const auto& [key, value] : values_of(codec)) {
    if (get(store, key) != value) wrong += key + "; ";
    const auto there = store.exists(key);
    if (!there || !there.value()) wrong += "exists " + key + "; ";
    const auto type = store.type(key);
    if (!type || type.value() != PathType::simple) wrong += "type " + key + "; ";
  }
  return wrong;
}

}  // namespace

TEST_CASE("Values are readable whatever the option is later") {
  for (const Durability mode : kAllModes) {
    for (const bool checksum : {false, true}) {
      const TempDir temp;
      for (const Compression codec : kAll) {
        Options options = compressing(temp.path(), mode, codec);
        options.checksum = checksum;
        const StorePtr store = must_open(options);
        for (const auto& [key, value] : values_of(codec)) must(store->put(key, value));
        for (const Compression earlier : kAll) {
          if (earlier > codec) continue;
          INFO(name_of(mode) << " checksum " << checksum << ", " << int(earlier) << " read with "
                             << int(codec));
          CHECK(wrong_in(*store, earlier) == "");
        }
        must(store->close());
      }
      const StorePtr plain = must_open(options_for(temp.path(), mode));
      for (const Compression earlier : kAll) CHECK(wrong_in(*plain, earlier) == "");
      must(plain->close());
    }
  }
}

TEST_CASE("Text takes less of the file, and noise no more") {
  std::mt19937_64 random(1);
  const std::string text = text_of(random, 100'000), noise = noise_of(random, 100'000);
  const auto used_bytes = [&](Compression codec, std::string_view value) {
    const TempDir temp;
    const StorePtr store = must_open(compressing(temp.path(), Durability::map_async, codec));
    for (int i = 0; i < 20; ++i) must(store->put(std::to_string(i), value));
    const std::uint64_t used = store->info().value().used_bytes;
    must(store->close());
    return used;
  };
  for (const Compression codec : {Compression::lz4, Compression::zstd}) {
    CHECK(used_bytes(codec, text) < used_bytes(Compression::none, text) / 2);
    CHECK(used_bytes(codec, noise) == used_bytes(Compression::none, noise));
  }
}

TEST_CASE("A mark put on a compressed value keeps it, and a new value keeps the mark") {
  std::mt19937_64 random(2);
  const std::string text = text_of(random, 5000), other = text_of(random, 6000);
  for (const Durability mode : kAllModes) {
    for (const Compression codec : {Compression::lz4, Compression::zstd}) {
      const TempDir temp;
      StorePtr store = must_open(compressing(temp.path(), mode, codec));
      const auto type = [&] { return store->type("a").value(); };
      must(store->put("a", text));
      must(store->batch_write(std::vector<Op>{group_op("a")}));
      CHECK(type() == PathType::composite);
      CHECK((get(*store, "a") == text));
      must(store->close());
      store = must_open(options_for(temp.path(), mode));  // what is in LMDB, and no codec chosen
      CHECK((get(*store, "a") == text));
      must(store->batch_write(std::vector<Op>{put_op("a", other)}));
      CHECK(type() == PathType::composite);
      CHECK((get(*store, "a") == other));
      must(store->batch_write(std::vector<Op>{put_op("b", text), group_op("b"), put_op("a", "1")}));
      CHECK((get(*store, "b") == text));
      must(store->close());
    }
  }
}

TEST_CASE("A check compares the value, however it is stored") {
  std::mt19937_64 random(3);
  for (const Durability mode : kAllModes) {
    for (const Compression codec : {Compression::lz4, Compression::zstd}) {
      for (const std::size_t size : {2000, 300'000}) {
        const std::string text = text_of(random, size);
        std::string near = text;
        near.back() ^= 1;
        const TempDir temp;
        const StorePtr store = must_open(compressing(temp.path(), mode, codec));
        const auto batch = [&](const std::vector<Op>& ops) {
          return outcome(store->batch_write(ops));
        };
        must(store->put("a", text));
        CHECK(batch({value_op("a", text), put_op("b", "1")}) == "ok");
        CHECK(batch({value_op("a", near), put_op("b", "2")}) == "check_failed at 1");
        CHECK(batch({value_op("a", text.substr(1)), put_op("b", "2")}) == "check_failed at 1");
        // Of an element before it in the batch, which is compressed by then.
        CHECK(batch({put_op("c", text), value_op("c", text), put_op("d", text)}) == "ok");
        CHECK(batch({put_op("c", near), value_op("c", text)}) == "check_failed at 2");
        CHECK((get(*store, "c") == text));
        CHECK(get(*store, "b") == "1");
        must(store->close());
      }
    }
  }
}

TEST_CASE("A value inside the reading of another leaves that as it is") {
  std::mt19937_64 random(4);
  const std::string first = text_of(random, 9000), second = text_of(random, 9000);
  const TempDir temp;
  const StorePtr store = must_open(compressing(temp.path(), Durability::async, Compression::zstd));
  must(store->put("first", first));
  must(store->put("second", second));
  std::string inside, after;
  must(store->get("first", [&](std::string_view value) {
    inside = get(*store, "second");
    after = value;
  }));
  CHECK((inside == second));
  CHECK((after == first));
  std::string wrong;
  const std::vector<std::string_view> keys{"first", "second", "none", "first"};
  must(store->read_many(keys, [&](std::size_t i, const Store::Lookup& found) {
    const std::string_view value = found.value().value_or("");
    if (value != (i == 1 ? second : i == 2 ? std::string() : first)) wrong += std::to_string(i);
    return true;
  }));
  CHECK(wrong == "");
  must(store->close());
}

TEST_CASE("What was not packed before it was submitted is stored as it is") {
  std::mt19937_64 random(5);
  const std::string text = text_of(random, 100'000);
  const TempDir temp;
  const StorePtr store = must_open(compressing(temp.path(), Durability::async, Compression::lz4));
  const std::vector<Op> ops{put_op("a", text)};
  CHECK(store->packing_time(ops) > Store::kMostPackingAtOnce);
  CHECK_FALSE(store->try_write(ops).has_value());
  Batch plain(ops);
  REQUIRE(store->reserve(plain.bytes).value() == Admission::reserved);
  must(store->submit(&plain));
  CHECK(plain.wait() == "ok");
  const std::uint64_t before = store->info().value().buffer_bytes;
  CHECK(before > text.size());
  PackedValues memory;
  Batch packed({put_op("b", text)});
  must(store->pack(packed.list, &memory));
  REQUIRE(store->reserve(packed.bytes).value() == Admission::reserved);
  must(store->submit(&packed));
  CHECK(packed.wait() == "ok");
  CHECK(store->info().value().buffer_bytes - before < text.size() / 2);
  CHECK((get(*store, "a") == text));
  CHECK((get(*store, "b") == text));
  must(store->close());
}

TEST_CASE("Compressed values that many threads write are read whole") {
  for (const Compression codec : {Compression::lz4, Compression::zstd}) {
    const TempDir temp;
    const StorePtr store = must_open(compressing(temp.path(), Durability::async, codec));
    std::mt19937_64 seed(6);
    const std::string texts[] = {text_of(seed, 3000), text_of(seed, 60'000)};
    must(store->put("k", texts[0]));
    std::vector<std::string> wrong(4);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < 200; ++i) {
          if (t % 2 == 0) {
            must(store->put("k", texts[i % 2]));
          } else if (const std::string read = get(*store, "k");
                     read != texts[0] && read != texts[1]) {
            wrong[t] = read.substr(0, 20);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<std::string>(wrong.size()));
    must(store->close());
  }
}
