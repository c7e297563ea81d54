// A store with a journal, from outside: what is left of it, and when. The names are the rules.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "journal/journal_replay.h"
#include "support/child.h"
#include "support/journal.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using test::get;
using test::kAllModes;
using test::kJournaled;
using test::must;
using test::must_open;
using test::name_of;
using test::options_for;
using test::outcome;
using test::put_op;
using test::start_child;
using test::StorePtr;
using test::TempDir;

namespace {

using Names = std::vector<std::string>;
using Contents = std::map<std::string, std::string>;

Names segments(const std::string& path) {
  return journal_segments(test::open_directory(path)).value();
}

/// A process writes and is killed; what it wrote is acknowledged, and in no tree yet.
void leave_journal(const Options& options, int writes) {
  const pid_t child = start_child([&] {
    const StorePtr store = must_open(options);
    for (int i = 0; i < writes; ++i) must(store->put("key " + std::to_string(i), "value"));
    const Op ops[] = {{.kind = OpKind::link, .key = "l", .value = "group", .is_path = true},
                      {.key = "l/x", .value = "through", .is_path = true}};
    must(store->batch_write(ops));
    ::raise(SIGKILL);
    return 1;
  });
  REQUIRE(test::wait_for(child) == "signal 9");
}

void check_all(const Store& store, int writes) {
  for (int i = 0; i < writes; ++i) REQUIRE(get(store, "key " + std::to_string(i)) == "value");
  CHECK(get(store, "group/x") == "through");
  CHECK(test::count_keys(store) == static_cast<std::uint64_t>(writes) + 2);
  std::string value;
  CHECK(store.read("l/x", [&](std::string_view bytes) { value = bytes; }).value());
  CHECK(value == "through");
}

Contents all_of(const Store& store) {
  Contents all;
  Names keys;
  must(store.list_prefix("", {}, [&](std::string_view key) {
    keys.emplace_back(key);
    return true;
  }));
  for (const std::string& key : keys) all[key] = get(store, key);
  return all;
}

}  // namespace

TEST_CASE("Any mode first replays a journal it finds") {
  for (const Durability left_by : kJournaled) {
    for (const Durability mode : kAllModes) {
      INFO(name_of(left_by) << ", then " << name_of(mode));
      const TempDir temp(test::memory_directory());
      leave_journal(options_for(temp.path(), left_by), 50);
      const Names left = segments(temp.path());
      REQUIRE_FALSE(left.empty());
      const StorePtr store = must_open(options_for(temp.path(), mode));
      CHECK(segments(temp.path()).empty());
      check_all(*store, 50);
      CHECK(store->info().value().entries == 52);
      must(store->put("later", "1"));
      // A new file, never the old one's name.
      for (const std::string& name : segments(temp.path())) CHECK(name > left.back());
      must(store->close());
      CHECK(segments(temp.path()).empty());
      const StorePtr again = must_open(options_for(temp.path(), Durability::sync));
      CHECK(again->info().value().replayed_records == 0);
      CHECK(get(*again, "later") == "1");
      must(again->remove("later"));
      check_all(*again, 50);
      must(again->close());
    }
  }
}

TEST_CASE("read_only shows what a leftover journal has, and changes no file") {
  for (const Durability left_by : kJournaled) {
    const TempDir temp(test::memory_directory());
    leave_journal(options_for(temp.path(), left_by), 50);
    const auto files = [&] {
      Contents all;
      for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
        const std::string name = entry.path().filename();
        if (name != "lock.mdb") all[name] = test::read_whole(entry.path());
      }
      return all;
    };
    const Contents before = files();
    for (const Durability mode : kAllModes) {
      Options options = options_for(temp.path(), mode);
      options.read_only = true;
      const StorePtr store = must_open(options);
      check_all(*store, 50);
      CHECK(store->info().value().replayed_records == 51);
      CHECK(outcome(store->put("key", "v")) == "read_only");
      must(store->close());
      CHECK((files() == before));
    }
    const StorePtr store = must_open(options_for(temp.path(), left_by));
    check_all(*store, 50);
    must(store->close());
  }
}

TEST_CASE("reset is one transaction with a number past everything appended") {
  for (const Durability mode : kJournaled) {
    const TempDir temp(test::memory_directory());
    const pid_t child = start_child([&] {
      const StorePtr store = must_open(options_for(temp.path(), mode));
      for (int i = 0; i < 50; ++i) must(store->put("key " + std::to_string(i), "value"));
      const std::uint64_t before = store->info().value().last_transaction_id;
      must(store->reset());
      const std::uint64_t taken = store->info().value().last_transaction_id - before;
      // One for what the buffer held, and one that drops all.
      if (taken != 2) return 100 + static_cast<int>(taken);
      ::raise(SIGKILL);
      return 1;
    });
    REQUIRE(test::wait_for(child) == "signal 9");
    // Whatever is left of the journal brings nothing back.
    const StorePtr store = must_open(options_for(temp.path(), mode));
    CHECK(store->info().value().replayed_records == 0);
    CHECK(test::count_keys(*store) == 0);
    must(store->close());
  }
}

TEST_CASE("stop leaves no journal") {
  for (const Durability mode : kJournaled) {
    const TempDir temp(test::memory_directory());
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = 128 << 10;
    for (int round = 0; round < 3; ++round) {
      const StorePtr store = must_open(options);
      for (int i = 0; i < 300; ++i) must(store->put(std::to_string(i), std::string(1000, 'v')));
      CHECK_FALSE(segments(temp.path()).empty());
      must(store->close());
      CHECK(segments(temp.path()).empty());
    }
    const StorePtr store = must_open(options);
    CHECK(store->info().value().replayed_records == 0);
    CHECK(store->info().value().entries == 300);
    must(store->close());
  }
}

TEST_CASE("A request over a quarter of the buffer goes the direct way") {
  for (const Durability mode : kJournaled) {
    const TempDir temp(test::memory_directory());
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = 1 << 20;
    const std::string large(300'000, 'l');
    const pid_t child = start_child([&] {
      const StorePtr store = must_open(options);
      must(store->put("a", "before"));
      CHILD_REQUIRE(store->info().value().entries == 0);
      CHILD_REQUIRE(store->info().value().buffered_keys == 1);
      const std::vector<Op> ops{put_op("large", large), put_op("a", "with it")};
      CHILD_EQUAL(outcome(store->batch_write(ops)), "ok");
      // It is in the tree, and what came before it too.
      CHILD_REQUIRE(store->info().value().entries == 2);
      CHILD_REQUIRE(store->info().value().buffered_keys == 0);
      CHILD_REQUIRE(store->info().value().applied_buffers == 1);
      CHILD_EQUAL(get(*store, "a"), "with it");
      CHILD_REQUIRE(get(*store, "large") == large);
      must(store->put("a", "after"));
      CHILD_REQUIRE(store->info().value().buffered_keys == 1);
      CHILD_REQUIRE(store->info().value().entries == 2);
      // Many outcomes take more of the buffer than of the journal.
      std::vector<std::string> keys;
      for (int i = 0; i < 20'000; ++i) keys.push_back(std::to_string(i));
      std::vector<Op> removals;
      for (const std::string& key : keys) removals.push_back(test::remove_op(key));
      CHILD_EQUAL(outcome(store->batch_write(removals)), "ok");
      CHILD_EQUAL(get(*store, "a"), "after");
      must(store->put("b", "last"));
      ::raise(SIGKILL);
      return 1;
    });
    REQUIRE(test::wait_for(child) == "signal 9");
    const StorePtr store = must_open(options);
    CHECK(get(*store, "a") == "after");
    CHECK(get(*store, "b") == "last");
    CHECK((get(*store, "large") == large));
    must(store->close());
  }
}

TEST_CASE("A small buffer that turns over all the time holds what a map would, reopened or not") {
  for (const Durability mode : kJournaled) {
    const TempDir temp(test::memory_directory());
    Options options = options_for(temp.path(), mode);
    options.write_buffer_bytes = 64 << 10;
    std::mt19937_64 random(9);
    Contents model;
    StorePtr store = must_open(options);
    std::uint64_t applied = 0;
    for (int i = 0; i < 3000; ++i) {
      CAPTURE(name_of(mode), i);
      const std::string key = std::to_string(random() % 200);
      const std::string value = std::to_string(i) + std::string(random() % 900, 'v');
      switch (random() % 40) {
        case 0:
          REQUIRE(store->remove_prefix(key).ok());
          std::erase_if(model, [&](const auto& at) { return at.first.starts_with(key); });
          break;
        case 1:
          if (random() % 8 != 0) break;
          REQUIRE(outcome(store->reset()) == "ok");
          model.clear();
          break;
        case 2: {
          const std::string large(20'000, 'l');
          REQUIRE(outcome(store->put(key, large)) == "ok");
          model[key] = large;
          break;
        }
        case 3:
          if (random() % 4 != 0) break;
          applied += store->info().value().applied_buffers;
          must(store->close());
          store = must_open(options);
          break;
        default:
          if (random() % 3 == 0) {
            REQUIRE(outcome(store->remove(key)) == "ok");
            model.erase(key);
          } else {
            REQUIRE(outcome(store->put(key, value)) == "ok");
            model[key] = value;
          }
      }
      REQUIRE(get(*store, key) == (model.contains(key) ? model[key] : "nothing"));
      if (i % 50 == 0) REQUIRE((all_of(*store) == model));
    }
    REQUIRE((all_of(*store) == model));
    CHECK(applied > 20);
    must(store->close());
    store = must_open(options);
    REQUIRE((all_of(*store) == model));
    must(store->close());
  }
}
