// Keys as long as a store takes them, and the pages that decide how long that is.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "lmdb/version.h"
#include "support/backups.h"
#include "support/child.h"
#include "support/ops.h"
#include "support/skip.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

/// What may be asked for; 0 is nothing.
std::vector<std::uint64_t> page_sizes() {
  if (!kPageSizeToChoose) return {0};
  return {0, 4096, 16'384, 65'536};
}

Options with_pages(const std::string& directory, Durability mode, std::uint64_t page_size) {
  Options options = options_for(directory, mode);
  if (page_size != 0) options.page_size = page_size;
  return options;
}

template <typename Work>
void each_store(Work work) {
  for (const std::uint64_t page_size : page_sizes()) {
    for (const Durability mode : kAllModes) {
      INFO(name_of(mode) << ", pages of " << page_size);
      const TempDir temp;
      const Options options = with_pages(temp / "store", mode, page_size);
      work(options, must_open(options));
    }
  }
}

/// A path of so many bytes, with a slash now and then.
std::string path_of(std::size_t bytes) {
  std::string path(bytes, 'p');
  for (std::size_t at = 100; at + 1 < bytes; at += 101) path[at] = '/';
  return path;
}

std::string read(const Store& store, std::string_view path) {
  std::string value = "nothing";
  const auto found = store.read(path, [&](std::string_view bytes) { value = bytes; });
  return found ? value : outcome(found);
}

/// Keys of every kind of length up to the longest.
std::set<std::string> keys_for(const Store& store) {
  const std::size_t longest = store.max_key_bytes();
  std::set<std::string> keys;
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{511}, longest / 2, longest - 1, longest}) {
    for (const char byte : {'a', '\0', '\xff'}) keys.emplace(size, byte);
  }
  return keys;
}

/// Each holds its length.
std::set<std::string> fill(Store& store) {
  const auto keys = keys_for(store);
  for (const std::string& key : keys) must(store.put(key, std::to_string(key.size())));
  return keys;
}

void check_filled(const Store& store, const std::set<std::string>& keys) {
  for (const std::string& key : keys) REQUIRE(get(store, key) == std::to_string(key.size()));
}

/// All keys, by parts of one entry each.
std::vector<std::string> walked(const Store& store, bool reverse) {
  std::vector<std::string> keys;
  std::optional<std::string> after;
  do {
    Range range{.reverse = reverse, .keys_only = true, .limit = 1};
    if (after) range.after = *after;
    auto next = store.range(range, [&](std::string_view key, std::string_view) {
      keys.emplace_back(key);
      return true;
    });
    if (!next) throw std::runtime_error("range: " + outcome(next));
    if (next.value() && next.value() == after)
      throw std::runtime_error("a range that stands still");
    after = std::move(next).value();
  } while (after);
  return keys;
}

}  // namespace

TEST_CASE("Keys are as long as the pages allow, and no longer") {
  each_store([](const Options& options, const StorePtr& store) {
    const Info info = store->info().value();
    if (options.page_size) CHECK(info.page_size == *options.page_size);
    CHECK(info.settings.page_size == info.page_size);
    CHECK(info.max_key_bytes == store->max_key_bytes());
    if (!kPageSizeToChoose) CHECK(info.max_key_bytes == 511);
    CHECK(info.max_key_bytes < info.page_size / 2);
    const auto keys = fill(*store);
    check_filled(*store, keys);
    const std::string longer(info.max_key_bytes + 1, 'a');
    CHECK(get(*store, longer) == "key_too_large");
    CHECK(outcome(store->put(longer, "")) == "key_too_large at 1");
    CHECK(outcome(store->remove(longer)) == "key_too_large at 1");
    CHECK((walked(*store, false) == std::vector(keys.begin(), keys.end())));
    CHECK((walked(*store, true) == std::vector(keys.rbegin(), keys.rend())));
    CHECK(store->remove_prefix(std::string(info.max_key_bytes - 1, 'a')).value() == 2);
    CHECK(get(*store, std::string(info.max_key_bytes, 'a')) == "nothing");
    must(store->close());
  });
}

TEST_CASE("Paths are as long as keys, and links lead to the longest of them") {
  each_store([](const Options&, const StorePtr& store) {
    const std::size_t longest = store->max_key_bytes();
    const std::string path = path_of(longest);
    const Op write{.kind = OpKind::put, .key = path, .value = "far", .is_path = true};
    must(store->batch_write({&write, 1}));
    CHECK(read(*store, path) == "far");
    CHECK(read(*store, "//" + path + "//") == "far");
    CHECK(read(*store, path + "/x") == "key_too_large");
    CHECK(store->type(path.substr(0, 100)).value() == PathType::composite);

    const std::string group = path.substr(0, path.rfind('/'));
    const std::string name = path.substr(group.size() + 1);
    const Op links[] = {link_op(group, "l"), link_op("l", "chain"), link_op(path, "whole")};
    must(store->batch_write(links));
    for (int again = 0; again < 2; ++again) {  // found out, then remembered
      CHECK(read(*store, "l/" + name) == "far");
      CHECK(read(*store, "chain/" + name) == "far");
      CHECK(read(*store, "whole") == "far");
      // Through the link it is longer than any key.
      CHECK(read(*store, "chain/" + name + "x") == "nothing");
      CHECK(read(*store, "whole/x") == "nothing");
    }
    const std::string outgrown = "l/" + name + "x";
    const Op nowhere{.kind = OpKind::put, .key = outgrown, .value = "", .is_path = true};
    CHECK(outcome(store->batch_write({&nowhere, 1})) == "bad_key at 1");
    const std::string too_far = path + "x";
    const Op link = link_op(too_far, "m");
    CHECK(outcome(store->batch_write({&link, 1})) == "key_too_large at 1");
    must(store->close());
  });
}

TEST_CASE("Long keys are there after a restart, in a snapshot, in a copy") {
  each_store([](const Options& options, StorePtr store) {
    const auto keys = fill(*store);
    const auto snapshot = store->snapshot();
    must(store->reset());
    for (const std::string& key : keys) {
      std::string value;
      REQUIRE(snapshot.value()->get(key, [&](std::string_view bytes) { value = bytes; }).value());
      CHECK(value == std::to_string(key.size()));
    }
    snapshot.value()->release();
    fill(*store);
    const Info before = store->info().value();
    const std::string file = options.directory + "-copy";
    must(store->backup(file));
    const StorePtr copy =
        must_open(options_for(directory_from(file, file + "-store"), *options.durability));
    check_filled(*copy, keys);
    CHECK(copy->info().value().page_size == before.page_size);
    CHECK(copy->info().value().max_key_bytes == before.max_key_bytes);
    must(copy->close());
    must(store->close());
    store = must_open(options_for(options.directory, *options.durability));
    check_filled(*store, keys);
    CHECK(store->info().value().page_size == before.page_size);
    must(store->close());
  });
}

TEST_CASE("Long keys that a killed process wrote are replayed") {
  for (const std::uint64_t page_size : page_sizes()) {
    for (const Durability mode : kAllModes) {
      INFO(name_of(mode) << ", pages of " << page_size);
      const TempDir temp;
      const Options options = with_pages(temp.path(), mode, page_size);
      const pid_t child = start_child([&] {
        const StorePtr store = must_open(options);
        fill(*store);
        ::raise(SIGKILL);
        return 1;
      });
      REQUIRE(wait_for(child) == "signal 9");
      const StorePtr store = must_open(options);
      const bool replayed = store->info().value().replayed_records != 0;
      CHECK(replayed == (mode != Durability::map_async));
      check_filled(*store, keys_for(*store));
      must(store->close());
    }
  }
}

TEST_CASE("The size of a store's pages is chosen once") {
  if (!kPageSizeToChoose) return skip("this liblmdb has pages of one size");
  for (const Durability mode : kAllModes) {
    INFO(name_of(mode));
    const TempDir temp;
    StorePtr store = must_open(with_pages(temp.path(), mode, 16'384));
    must(store->put("key", "value"));
    const auto asked = [&](std::uint64_t page_size) {
      return outcome(Store::open(with_pages(temp.path(), mode, page_size)));
    };
    CHECK(asked(16'384) == "ok");
    CHECK(asked(4096) == "conflicting_option page_size");
    must(store->close());
    CHECK(asked(4096) == "conflicting_option page_size");
    CHECK(asked(65'536) == "conflicting_option page_size");
    store = must_open(options_for(temp.path(), mode));
    CHECK(get(*store, "key") == "value");
    CHECK(asked(16'384) == "ok");
    CHECK(asked(65'536) == "conflicting_option page_size");
    must(store->close());
  }
}
