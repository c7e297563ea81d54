// Copies while writers write: each is the store at one moment between call and return.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/backups.h"
#include "support/ops.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

constexpr int kKeys = 8;

std::string key_of(int writer, int slot, int place) {
  // Far from each other in the tree, so that a buffer is applied in several transactions.
  return std::to_string(place) + "/" + std::to_string(writer) + "/" + std::to_string(slot);
}

/// Writes batches of keys that say which batch it was, over the same slots again and again.
struct MarkingWriter {
  MarkingWriter(Store* of, int which, int slot_count, std::size_t bytes)
      : store(of), number(which), slots(slot_count), padding(bytes, '.') {}

  void run() {
    while (!stop.load()) {
      const std::uint64_t batch = begun.fetch_add(1) + 1;
      const std::string value = std::to_string(batch) + padding;
      std::vector<std::string> keys;
      std::vector<Op> ops;
      for (int place = 0; place < kKeys; ++place) {
        keys.push_back(key_of(number, static_cast<int>(batch) % slots, place));
      }
      for (const std::string& key : keys) ops.push_back(put_op(key, value));
      const std::string word = outcome(store->batch_write(ops));
      if (word != "ok") {
        failed = word;
        return;
      }
      acknowledged.store(batch);
    }
  }

  Store* const store;
  const int number;
  const int slots;
  const std::string padding;
  std::string failed;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> begun{0}, acknowledged{0};
};

/// The last batch of a writer that a copy has; every slot must hold the batch it should, whole.
std::uint64_t last_batch(const Store& copy, const MarkingWriter& writer) {
  std::uint64_t last = 0;
  std::map<int, std::uint64_t> batches;
  for (int slot = 0; slot < writer.slots; ++slot) {
    const auto batch_at = [&](int place) {
      const std::string value = get(copy, key_of(writer.number, slot, place));
      return value == "nothing" ? 0 : std::stoull(value);
    };
    const std::uint64_t batch = batch_at(0);
    for (int place = 1; place < kKeys; ++place) REQUIRE(batch_at(place) == batch);
    batches[slot] = batch;
    last = std::max<std::uint64_t>(last, batch);
  }
  for (const auto& [slot, batch] : batches) {
    std::uint64_t wanted =
        last - last % static_cast<std::uint64_t>(writer.slots) + static_cast<std::uint64_t>(slot);
    if (wanted > last)
      wanted = wanted >= static_cast<std::uint64_t>(writer.slots)
                   ? wanted - static_cast<std::uint64_t>(writer.slots)
                   : 0;
    REQUIRE(batch == wanted);
  }
  return last;
}

struct Load {
  int writers, slots;
  std::size_t value_bytes;
  std::uint64_t buffer_bytes;
  int copies;
};

void copy_under(const Load& load, Durability mode) {
  const TempDir temp(memory_directory());
  Options options = options_for(temp / "store", mode);
  options.capacity = 1 << 30;
  options.write_buffer_bytes = load.buffer_bytes;
  const StorePtr store = must_open(options);
  std::vector<std::unique_ptr<MarkingWriter>> writers;
  std::vector<std::thread> threads;
  for (int i = 0; i < load.writers; ++i) {
    writers.push_back(
        std::make_unique<MarkingWriter>(store.get(), i, load.slots, load.value_bytes));
    threads.emplace_back([writer = writers.back().get()] { writer->run(); });
  }
  for (int i = 0; i < load.copies; ++i) {
    INFO("copy " << i);
    std::vector<std::uint64_t> before;
    for (const auto& writer : writers) before.push_back(writer->acknowledged.load());
    const std::string word = outcome(store->backup(temp / "copy"));
    REQUIRE(word == "ok");
    const Identity identity = identity_of(temp / "copy");
    CHECK(identity.applying_seq <= identity.applied_seq);
    CHECK(identity.store_id != store->info().value().store_id);
    std::vector<std::uint64_t> begun;
    for (const auto& writer : writers) begun.push_back(writer->begun.load());
    const StorePtr copy =
        must_open(options_for(directory_from(temp / "copy", temp / "started"), Durability::async));
    for (std::size_t w = 0; w < writers.size(); ++w) {
      INFO("writer " << w);
      const std::uint64_t last = last_batch(*copy, *writers[w]);
      CHECK(last >= before[w]);
      CHECK(last <= begun[w]);
    }
    must(copy->close());
    fs::remove_all(temp / "started");
    fs::remove(temp / "copy");
  }
  for (const auto& writer : writers) writer->stop.store(true);
  for (std::thread& thread : threads) thread.join();
  for (const auto& writer : writers) CHECK(writer->failed.empty());
  must(store->close());
}

/// Batch `number` of a sequence that makes, replaces and removes records of every kind. The copy
/// tells by one key how far it has come.
void write_batch(Store& store, std::uint64_t number) {
  const auto key = [&](std::uint64_t step, std::uint64_t most) {
    return "model/" + std::to_string((number * 7919 + step * 104'729) % most);
  };
  const std::string value = std::to_string(number) + std::string(number % 300, '.');
  const std::string put = key(1, 2000), gone = key(2, 2000), group = key(3, 500),
                    link = key(4, 700), target = key(5, 2000);
  const std::string reached = std::to_string(number);
  const Op ops[] = {put_op(put, value), remove_op(gone), group_op(group), link_op(target, link),
                    put_op("model", reached)};
  must(store.batch_write(ops));
}

Contents model_records(const std::string& file) {
  Contents records = records_of(file);
  std::erase_if(records, [](const auto& record) { return !record.first.starts_with("model"); });
  return records;
}

}  // namespace

TEST_CASE("A copy under full load is what some first part of the sequence leaves") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp(memory_directory());
    Options options = options_for(temp / "store", mode);
    options.write_buffer_bytes = 1 << 20;
    options.capacity = 1 << 30;  // the pages of a moment that is copied are not used again
    const StorePtr store = must_open(options);
    MarkingWriter beside(store.get(), 1, 100, 500);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> begun{0}, acknowledged{0};
    std::thread other([&] { beside.run(); });
    std::thread writer([&] {
      while (!stop.load()) {
        write_batch(*store, begun.fetch_add(1) + 1);
        acknowledged.store(begun.load());
      }
    });
    std::uint64_t replayed = 0;
    const StorePtr model = must_open(options_for(temp / "model", Durability::map_async));
    for (int i = 0; i < 10; ++i) {
      INFO("copy " << i);
      const std::uint64_t before = acknowledged.load();
      // Every other one of a snapshot, while what it does not have comes in.
      const auto snapshot = i % 2 == 0 ? nullptr : store->snapshot().value();
      const std::string copy = temp / "copy", wanted = temp / "wanted";
      must(snapshot == nullptr ? store->backup(copy) : snapshot->backup(copy));
      const std::uint64_t after = begun.load();
      std::uint64_t reached = 0;
      {
        const StorePtr started =
            must_open(options_for(directory_from(copy, temp / "started"), Durability::async));
        reached = before == 0 && get(*started, "model") == "nothing"
                      ? 0
                      : std::stoull(get(*started, "model"));
        must(started->close());
        fs::remove_all(temp / "started");
      }
      CHECK(reached >= before);
      CHECK(reached <= after);
      while (replayed < reached) write_batch(*model, ++replayed);
      must(model->backup(wanted));
      CHECK(model_records(copy) == model_records(wanted));
      CHECK(identity_of(copy).counts.links == identity_of(wanted).counts.links);
      CHECK(identity_of(copy).counts.marks == identity_of(wanted).counts.marks);
      fs::remove(copy);
      fs::remove(wanted);
    }
    stop.store(true);
    beside.stop.store(true);
    writer.join();
    other.join();
    CHECK(beside.failed.empty());
    must(model->close());
    must(store->close());
  }
}

TEST_CASE("Copies under load, of buffers that are applied in many transactions") {
  // Several thousand pages a buffer, each of a key of its own.
  for (const Durability mode : {Durability::async, Durability::map_async}) {
    INFO(name_of(mode));
    copy_under(
        {.writers = 2, .slots = 1000, .value_bytes = 2500, .buffer_bytes = 32 << 20, .copies = 6},
        mode);
  }
}

TEST_CASE("Copies under load, of buffers that are small") {
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    copy_under(
        {.writers = 3, .slots = 50, .value_bytes = 20, .buffer_bytes = 64 << 10, .copies = 20},
        mode);
  }
}
