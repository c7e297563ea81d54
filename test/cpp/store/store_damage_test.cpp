// Bytes that the disk changed: with checksums no flipped bit is read as a value or as nothing.
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

const std::string kValue = "a value that is nowhere else in the file";

Options with_checksum(const TempDir& temp) {
  Options options = options_for(temp.path(), Durability::sync);
  options.checksum = true;
  return options;
}

struct Answers {
  std::string get, exists, many, check_value, check_absent;
};

Answers ask(Store& store) {
  Answers answers;
  answers.get = get(store, "key");
  const auto exists = store.exists("key");
  answers.exists = !exists ? outcome(exists) : exists.value() ? "yes" : "no";
  const std::vector<std::string_view> keys{"key"};
  must(store.read_many(keys, [&](std::size_t, const Store::Lookup& found) {
    answers.many = !found          ? outcome(found)
                   : found.value() ? std::string(*found.value())
                                   : "nothing";
    return true;
  }));
  const std::vector<Op> holds{value_op("key", kValue)}, absent{absent_op("key")};
  answers.check_value = outcome(store.batch_write(holds));
  answers.check_absent = outcome(store.batch_write(absent));
  return answers;
}

}  // namespace

TEST_CASE("Every flipped bit of a record with a checksum is an error and not an answer") {
  const TempDir temp;
  StorePtr store = must_open(with_checksum(temp));
  must(store->put("key", kValue));
  must(store->close());
  const std::string healthy = read_whole(temp / "data.mdb");
  std::vector<std::size_t> places;
  for (auto at = healthy.find(kValue); at != std::string::npos; at = healthy.find(kValue, at + 1)) {
    places.push_back(at);
  }
  REQUIRE(places.size() == 1);
  constexpr std::size_t kHeader = 9;  // tag and checksum
  const std::size_t begin = places[0] - kHeader;
  const std::set<std::string> refusals{"corrupted", "checksum_mismatch", "unknown_format"};
  for (std::size_t bit = 0; bit < 8 * (kHeader + kValue.size()); ++bit) {
    // Every bit of the header, some of the value.
    if (bit >= 8 * kHeader && bit % 29 != 0) continue;
    std::string bad = healthy;
    char& byte = bad[begin + bit / 8];
    byte = static_cast<char>(byte ^ (1 << bit % 8));
    write_whole(temp / "data.mdb", bad);
    store = must_open(with_checksum(temp));
    const Answers answers = ask(*store);
    INFO("bit " << bit);
    CHECK(refusals.count(answers.get) == 1);
    CHECK(answers.many == answers.get);
    CHECK(answers.check_value == answers.get);
    // These do not read the value, so they may not know; they must not deny it.
    CHECK(answers.exists != "no");
    CHECK(answers.check_absent != "ok");
    // A put repairs it.
    CHECK(outcome(store->put("key", kValue)) == "ok");
    CHECK(get(*store, "key") == kValue);
    must(store->close());
  }
}

TEST_CASE("Values written without a checksum can be read by a store that asks for it, and back") {
  const TempDir temp;
  StorePtr store = must_open(options_for(temp.path(), Durability::sync));
  must(store->put("plain", "1"));
  must(store->close());
  store = must_open(with_checksum(temp));
  must(store->put("summed", "2"));
  CHECK(get(*store, "plain") == "1");
  CHECK(get(*store, "summed") == "2");
  must(store->close());
  store = must_open(options_for(temp.path(), Durability::sync));
  CHECK(get(*store, "plain") == "1");
  CHECK(get(*store, "summed") == "2");
  must(store->close());
}
