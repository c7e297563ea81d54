// What a reader sees of pending_batch, buffers and tree together, beside a map that has all of it.
#include "read/view.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "buffer/pending_batch.h"
#include "format/record.h"
#include "lmdb/txn.h"
#include "support/outcome.h"
#include "support/raw_env.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

using Model = std::map<std::string, std::string>;

constexpr std::uint64_t kAny = ~std::uint64_t{0};
constexpr std::uint64_t kMiB = 1 << 20;

/// Short, so that the layers meet often; with bytes on both ends of the order.
std::string random_key(std::mt19937_64& random) {
  constexpr std::string_view kBytes("\0ab\xff", 4);
  std::string key;
  for (std::size_t n = 1 + random() % 3; n > 0; --n) key += kBytes[random() % kBytes.size()];
  return key;
}

/// A tree and two buffers above it, and what each version of them holds.
class Layers {
 public:
  Layers(std::mt19937_64& random, std::size_t in_tree, std::size_t in_frozen,
         std::size_t in_active) {
    Model model;
    MDB_txn* const txn = env_.begin();
    for (std::size_t i = 0; i < in_tree; ++i) {
      const std::string key = random_key(random);
      env_.put(txn, key, "tree " + std::to_string(i));
      model[key] = "tree " + std::to_string(i);
    }
    must(mdb_txn_commit(txn), "commit");
    versions_.push_back(model);
    for (std::size_t i = 0; i < in_frozen + in_active; ++i) {
      write(i < in_frozen ? frozen_ : active_, random, &model);
    }
  }

  std::uint64_t newest() const { return versions_.size() - 1; }
  const Model& at(std::uint64_t version) const { return versions_[version]; }
  View view(const ReadTxn& txn, std::uint64_t version) const {
    return View(txn.get(), env_.dbi(), version, &active_, &frozen_);
  }
  const RawEnv& env() const { return env_; }

 private:
  /// One version: a put or a removal or both.
  void write(WriteBuffer& buffer, std::mt19937_64& random, Model* model) {
    const std::uint64_t version = versions_.size();
    for (std::size_t n = 1 + random() % 2; n > 0; --n) {
      const std::string key = random_key(random);
      const std::string record = std::to_string(version) + "/" + std::to_string(n);
      REQUIRE(buffer.reserve(1, key.size() + record.size()));
      const bool removed = random() % 2 == 0;
      if (removed) buffer.insert(key, version, {.removed = true});
      if (!removed) buffer.insert(key, version, {.record = record});
      if (removed) model->erase(key);
      if (!removed) (*model)[key] = record;
    }
    versions_.push_back(*model);
  }

  RawEnv env_;
  WriteBuffer frozen_{kMiB, 1};
  WriteBuffer active_{kMiB, 2};
  std::vector<Model> versions_;
};

std::string found(const View& view, std::string_view key) {
  const auto bytes = view.find(key);
  if (!bytes) return outcome(bytes);
  return bytes.value() ? std::string(*bytes.value()) : "nothing";
}

std::string in_model(const Model& model, const std::string& key) {
  const auto at = model.find(key);
  return at == model.end() ? "nothing" : at->second;
}

/// A cursor beside an iterator: every move has to answer the same and lead to the same record.
class Walk {
 public:
  Walk(const View& view, const Model& model)
      : model_(model), cursor_(ViewCursor::open(view, kAny).value()) {}

  void move(std::mt19937_64& random) {
    const std::string key = random_key(random);
    // Steps more often than jumps, so that the direction turns at every kind of place.
    switch (random() % (standing_ ? 12 : 4)) {
      case 0:
        return arrive("seek", cursor_.seek(key), model_.lower_bound(key), true);
      case 1: {
        const auto at = model_.lower_bound(key);
        const bool there = at != model_.begin();
        return arrive("seek_before", cursor_.seek_before(key), there ? std::prev(at) : at, there);
      }
      case 2:
        return arrive("first", cursor_.first(), model_.begin(), true);
      case 3: {
        const bool there = !model_.empty();
        return arrive("last", cursor_.last(), there ? std::prev(model_.end()) : model_.end(),
                      there);
      }
      case 4:
      case 5:
      case 6:
      case 7:
        return arrive("next", cursor_.next(), std::next(at_), true);
      default: {
        const bool there = at_ != model_.begin();
        return arrive("previous", cursor_.previous(), there ? std::prev(at_) : at_, there);
      }
    }
  }

 private:
  void arrive(const char* how, const Result<bool>& moved, Model::const_iterator wanted,
              bool there) {
    trace_ += std::string(" ") + how;
    CAPTURE(trace_);
    standing_ = there && wanted != model_.end();
    REQUIRE(outcome(moved) == "ok");
    REQUIRE(moved.value() == standing_);
    if (!standing_) return;
    at_ = wanted;
    REQUIRE(cursor_.key() == at_->first);
    REQUIRE(cursor_.bytes() == at_->second);
  }

  const Model& model_;
  ViewCursor cursor_;
  Model::const_iterator at_;
  bool standing_ = false;
  std::string trace_;
};

}  // namespace

TEST_CASE("A view finds and lists what a map of its version has, both ways and turning") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    // One layer or another is empty now and then.
    const auto some = [&] { return random() % 4 == 0 ? 0 : random() % 40; };
    const Layers layers(random, some(), some(), some());
    auto txn = ReadTxn::begin(layers.env().get());
    for (int n = 0; n < 6; ++n) {
      const std::uint64_t version = random() % (layers.newest() + 1);
      CAPTURE(round, version, layers.newest());
      const View view = layers.view(txn.value(), version);
      for (int i = 0; i < 30; ++i) {
        const std::string key = random_key(random);
        REQUIRE(found(view, key) == in_model(layers.at(version), key));
      }
      Walk walk(view, layers.at(version));
      for (int i = 0; i < 80; ++i) walk.move(random);
    }
  }
}

// Keys of later writes were passed over uncounted: one move took as long as there were such keys.
TEST_CASE("A cursor can be made to stop at every key of a buffer, whatever the view sees of it") {
  std::mt19937_64 random(6);
  for (int round = 0; round < 60; ++round) {
    const Layers layers(random, random() % 40, random() % 40, random() % 40);
    auto txn = ReadTxn::begin(layers.env().get());
    const std::uint64_t version = random() % (layers.newest() + 1);
    CAPTURE(round, version, layers.newest());
    const View view = layers.view(txn.value(), version);
    auto cursor = ViewCursor::open(view, kAny, ViewCursor::Removed::shown);
    Model there, backwards;
    std::set<std::string> stops, in_buffers;
    for (auto at = cursor.value().first(); at.value(); at = cursor.value().next()) {
      REQUIRE(stops.emplace(cursor.value().key()).second);
      if (!cursor.value().removed()) there.emplace(cursor.value().key(), cursor.value().bytes());
    }
    for (auto at = cursor.value().last(); at.value(); at = cursor.value().previous()) {
      REQUIRE(stops.contains(std::string(cursor.value().key())));
      if (!cursor.value().removed()) {
        backwards.emplace(cursor.value().key(), cursor.value().bytes());
      }
    }
    REQUIRE(there == layers.at(version));
    REQUIRE(backwards == there);
    for (const WriteBuffer* buffer : {view.active(), view.frozen()}) {
      if (buffer == nullptr) continue;
      for (const auto& run : buffer->order(kAny)->runs()) {
        for (const BufferKey* key : *run) REQUIRE(stops.contains(std::string(key->key())));
      }
    }
  }
}

TEST_CASE("The same view at another version sees that version") {
  std::mt19937_64 random(2);
  const Layers layers(random, 20, 30, 30);
  auto txn = ReadTxn::begin(layers.env().get());
  const View newest = layers.view(txn.value(), layers.newest());
  for (std::uint64_t version = 0; version <= layers.newest(); ++version) {
    const View view = newest.at(version);
    CHECK(view.version() == version);
    for (const auto& [key, record] : layers.at(version)) REQUIRE(found(view, key) == record);
  }
}

TEST_CASE("What a batch has decided so far lies above the buffers, removals too") {
  std::mt19937_64 random(3);
  const Layers layers(random, 30, 30, 30);
  auto txn = ReadTxn::begin(layers.env().get());
  const View view = layers.view(txn.value(), layers.newest());
  const Model& below = layers.at(layers.newest());
  PendingBatch pending_batch;
  pending_batch.begin(true, 0);
  CHECK(found(view.over(&pending_batch), "a") == in_model(below, "a"));
  const Record record{.kind = Kind::value, .payload = "decided"};
  std::string bytes(encoded_size(record), '\0');
  encode("a", record, bytes.data());
  pending_batch.add("a", record);
  pending_batch.add_removal("b");
  const View above = view.over(&pending_batch);
  CHECK(found(above, "a") == bytes);
  CHECK(found(above, "b") == "nothing");
  for (const auto& [key, value] : below) {
    if (key != "a" && key != "b") REQUIRE(found(above, key) == value);
  }
  pending_batch.add("b", record);
  pending_batch.add_removal("a");
  CHECK(found(above, "a") == "nothing");
  CHECK(found(above, "b") != "nothing");
  CHECK(found(view, "a") == in_model(below, "a"));
}

TEST_CASE("No key is before the empty one, whatever is in the layers") {
  std::mt19937_64 random(4);
  for (const std::size_t buffered : {0, 20}) {
    const Layers layers(random, 20, buffered, buffered);
    auto txn = ReadTxn::begin(layers.env().get());
    auto cursor = ViewCursor::open(layers.view(txn.value(), layers.newest()), kAny);
    const auto moved = cursor.value().seek_before("");
    REQUIRE(outcome(moved) == "ok");
    CHECK_FALSE(moved.value());
  }
}

TEST_CASE("Keys that would have to be sorted first are work_limit where they are too many") {
  std::mt19937_64 random(5);
  const Layers layers(random, 5, 30, 30);
  auto txn = ReadTxn::begin(layers.env().get());
  const View view = layers.view(txn.value(), layers.newest());
  CHECK(outcome(ViewCursor::open(view, 0)) == "work_limit");
  CHECK(outcome(ViewCursor::open(view, kAny)) == "ok");
  // Sorted by now.
  CHECK(outcome(ViewCursor::open(view, 0)) == "ok");
  CHECK(outcome(ViewCursor::open(View(txn.value().get(), layers.env().dbi(), 0), 0)) == "ok");
}
