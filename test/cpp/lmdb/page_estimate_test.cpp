// Blocks are reserved for the pages a group may need, so what `pages_needed` says must never be too
// little: the price of a mistake is SIGBUS on a full disk.
#include "lmdb/page_estimate.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "hyper_lmdb/function_ref.h"
#include "support/tree_changes.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

/// Runs transactions and compares the growth of the file with what was promised.
class History {
 public:
  History() : env_({.map_bytes = 4ULL << 30, .flags = MDB_NOSYNC | MDB_WRITEMAP}) {}

  void put(std::string key, std::size_t value_size) {
    keys_.push_back(std::move(key));
    sizes_.push_back(value_size);
  }
  void remove(std::string key) {
    keys_.push_back(std::move(key));
    sizes_.push_back(kRemove);
  }
  void commit() {
    std::vector<Op> ops;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      Op op{.kind = OpKind::remove, .key = keys_[i], .value = {}};
      if (sizes_[i] != kRemove) {
        op.kind = OpKind::put;
        op.value = std::string_view(bytes_).substr(0, sizes_[i]);
      }
      ops.push_back(op);
    }
    run([&](MDB_txn* txn) { return outcome(changes_.apply_in(txn, ops)); }, ops);
    keys_.clear();
    sizes_.clear();
  }
  void drop() {
    run([&](MDB_txn* txn) { return mdb_drop(txn, env_.dbi(), 0) == 0 ? "ok" : "drop"; }, {}, true);
  }

  /// While a snapshot is pinned no freed page is used again, and the free list gets long.
  void pin() { pinned_ = env_.begin(MDB_RDONLY); }
  void unpin() { mdb_txn_abort(std::exchange(pinned_, nullptr)); }
  ~History() {
    if (pinned_ != nullptr) unpin();
  }

  std::string wrong;
  std::uint64_t transactions = 0;
  double tightest = 0;  // growth by promise, of the transaction that came nearest

 private:
  void run(FunctionRef<std::string(MDB_txn*)> change, const std::vector<Op>& ops,
           bool empties = false) {
    auto txn = WriteTxn::begin(env_.get());
    const TreeShape shape = shape_of(txn.value().get(), env_.dbi()).value();
    PageEstimate estimate;
    estimate.add(ops, shape);
    estimate.empties = empties;
    const PagesNeeded needed = pages_needed(shape, estimate);
    const std::string done = change(txn.value().get());
    if (done != "ok" || !txn.value().commit()) wrong += "transaction: " + done + "; ";
    const std::uint64_t grown = env_.info().me_last_pgno + 1 - shape.end_page;
    ++transactions;
    tightest = std::max(tightest, static_cast<double>(grown) / static_cast<double>(needed.total));
    if (grown > needed.total) {
      wrong += "transaction " + std::to_string(transactions) + " of " + std::to_string(ops.size()) +
               " operations grew by " + std::to_string(grown) + " pages, promised " +
               std::to_string(needed.total) + " (depth " + std::to_string(shape.depth) +
               ", leaves " + std::to_string(shape.leaf_pages) + ", end " +
               std::to_string(shape.end_page) + "); ";
    }
  }

  static constexpr std::size_t kRemove = SIZE_MAX;
  RawEnv env_;
  TreeChanges changes_{env_, true};
  MDB_txn* pinned_ = nullptr;
  std::string bytes_ = std::string(8 << 20, 'v');
  std::vector<std::string> keys_;
  std::vector<std::size_t> sizes_;
};

std::string numbered(std::size_t number, std::size_t size = 12) {
  std::string text = std::to_string(number);
  text.insert(0, text.size() < 10 ? 10 - text.size() : 0, '0');
  text.resize(std::max(size, text.size()), 'k');
  return text;
}

struct Shape {
  const char* name;
  std::size_t key_size;
  std::function<std::size_t(std::mt19937_64&)> value_size;
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{
      {"small values", 12, [](auto& r) { return r() % 200; }},
      {"empty values under long keys", 511, [](auto&) { return 0; }},
      {"values at the limit of a page's half", 12, [](auto& r) { return 1940 + r() % 100; }},
      {"the same under long keys", 511, [](auto& r) { return 1440 + r() % 100; }},
      {"values of a page or two", 40, [](auto& r) { return 3900 + r() % 4500; }},
      {"a mixture up to 300 KB", 100,
       [](auto& r) { return r() % 20 == 0 ? r() % 300'000 : r() % 3000; }},
  };
  return all;
}

void check(const History& history) {
  INFO(history.transactions << " transactions, tightest " << history.tightest);
  CHECK(history.wrong == "");
  CHECK(history.tightest > 0);
}

}  // namespace

TEST_CASE("Random puts and removals in batches of every size") {
  for (const Shape& shape : shapes()) {
    INFO(shape.name);
    std::mt19937_64 random(11);
    History history;
    for (int i = 0; i < 250; ++i) {
      const std::size_t size = std::size_t{1} << random() % 9;
      const bool removing = i % 3 == 2;
      for (std::size_t j = 0; j < size; ++j) {
        std::string key = numbered(random() % 4000, shape.key_size);
        if (removing || random() % 4 == 0) {
          history.remove(std::move(key));
        } else {
          history.put(std::move(key), shape.value_size(random));
        }
      }
      history.commit();
    }
    check(history);
  }
}

TEST_CASE("Keys in order, against the order, and between those that are there") {
  for (const Shape& shape : shapes()) {
    INFO(shape.name);
    std::mt19937_64 random(12);
    History history;
    for (std::size_t i = 0; i < 1000; ++i) {
      history.put(numbered(1'000'000 + 10 * i, shape.key_size), shape.value_size(random));
      if (i % 7 == 0) history.commit();
    }
    for (std::size_t i = 0; i < 1000; ++i) {
      history.put(numbered(900'000 - i, shape.key_size), shape.value_size(random));
      if (i % 50 == 0) history.commit();
    }
    for (std::size_t i = 0; i < 1000; ++i) {
      history.put(numbered(1'000'005 + 10 * i, shape.key_size), shape.value_size(random));
    }
    history.commit();
    check(history);
  }
}

TEST_CASE("One large batch into an empty store, and all of it out again") {
  for (const Shape& shape : shapes()) {
    INFO(shape.name);
    std::mt19937_64 random(13);
    History history;
    for (int round = 0; round < 2; ++round) {
      for (std::size_t i = 0; i < 3000; ++i) {
        history.put(numbered(random() % 100'000, shape.key_size), shape.value_size(random));
      }
      history.commit();
      for (std::size_t i = 0; i < 100'000; i += 2) history.remove(numbered(i, shape.key_size));
      history.commit();
      history.drop();
    }
    check(history);
  }
}

TEST_CASE("Single changes while a snapshot pins every page, then large ones over the free list") {
  for (const Shape& shape : shapes()) {
    INFO(shape.name);
    std::mt19937_64 random(14);
    History history;
    for (std::size_t i = 0; i < 2000; ++i) {
      history.put(numbered(i, shape.key_size), shape.value_size(random));
    }
    history.commit();
    for (int round = 0; round < 2; ++round) {
      history.pin();
      for (int i = 0; i < 1500; ++i) {
        std::string key = numbered(random() % 2000, shape.key_size);
        if (random() % 2 == 0) {
          history.remove(std::move(key));
        } else {
          history.put(std::move(key), shape.value_size(random));
        }
        history.commit();
      }
      history.unpin();
      // Needs pages in a row, so LMDB reads the whole free list and rewrites it.
      history.put("large", 6 << 20);
      history.commit();
      history.remove("large");
      history.commit();
      for (int i = 0; i < 200; ++i) {
        history.put(numbered(random() % 2000, shape.key_size), shape.value_size(random));
        history.commit();
      }
    }
    history.drop();
    for (int i = 0; i < 20; ++i) {
      history.put("after", 1 << (i % 20));
      history.commit();
    }
    check(history);
  }
}

TEST_CASE("Large values replaced over and over, pinned and not") {
  std::mt19937_64 random(15);
  History history;
  for (int i = 0; i < 200; ++i) {
    if (i % 40 == 10) history.pin();
    if (i % 40 == 30) history.unpin();
    history.put(numbered(random() % 5), random() % (2 << 20));
    if (random() % 3 == 0) history.remove(numbered(random() % 5));
    history.commit();
  }
  check(history);
}

TEST_CASE("Free pages are counted as they come and go") {
  const RawEnv env;
  const auto free_now = [&] {
    MDB_txn* const txn = env.begin(MDB_RDONLY);
    const auto pages = free_pages(txn);
    mdb_txn_abort(txn);
    REQUIRE(outcome(pages) == "ok");
    return pages.value().all;
  };
  const std::uint64_t before = free_now();
  env.put("large", std::string(400 * 4096, 'v'));
  CHECK(free_now() <= before + 10);
  MDB_txn* const txn = env.begin();
  MDB_val key = to_val("large");
  REQUIRE(mdb_del(txn, env.dbi(), &key, nullptr) == 0);
  REQUIRE(mdb_txn_commit(txn) == 0);
  const std::uint64_t after = free_now();
  CHECK(after >= 400);
  CHECK(after <= env.info().me_last_pgno);
  // What one transaction frees the second one after it may use.
  env.put("small", "v");
  env.put("large", std::string(300 * 4096, 'v'));
  CHECK(free_now() < after - 250);
}

TEST_CASE("Pages that a reader may still see are free, and not usable") {
  const RawEnv env;
  const auto usable_now = [&] {
    MDB_txn* const txn = env.begin(MDB_RDONLY);
    const auto pages = free_pages(txn);
    mdb_txn_abort(txn);
    REQUIRE(outcome(pages) == "ok");
    REQUIRE(pages.value().usable <= pages.value().all);
    return pages.value().usable;
  };
  env.put("large", std::string(400 * 4096, 'v'));
  MDB_txn* const reader = env.begin(MDB_RDONLY);
  MDB_txn* const txn = env.begin();
  MDB_val key = to_val("large");
  REQUIRE(mdb_del(txn, env.dbi(), &key, nullptr) == 0);
  REQUIRE(mdb_txn_commit(txn) == 0);
  for (int i = 0; i < 3; ++i) {
    CHECK(usable_now() < 100);
    env.put("small", std::to_string(i));
  }
  const std::uint64_t end = env.info().me_last_pgno;
  env.put("second", std::string(300 * 4096, 'v'));
  CHECK(env.info().me_last_pgno >= end + 300);  // LMDB sees it in the same way
  mdb_txn_abort(reader);
  env.put("small", "again");
  CHECK(usable_now() > 300);
  const std::uint64_t longer = env.info().me_last_pgno;
  env.put("third", std::string(300 * 4096, 'v'));
  CHECK(env.info().me_last_pgno == longer);
}
