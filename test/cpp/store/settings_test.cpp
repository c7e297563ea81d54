#include "store/settings.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "lmdb/version.h"
#include "support/outcome.h"

using namespace hyper_lmdb;
using test::outcome;

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kGiB = 1ULL << 30;

Options in_directory() {
  Options options;
  options.directory = "/store";
  return options;
}

std::string resolved(const Options& options) {
  return outcome(resolve_settings(options));
}

struct Range {
  std::string name;
  std::optional<std::uint64_t> Options::*option;
  std::uint64_t Settings::*setting;
  std::uint64_t least, most;
};

const std::vector<Range>& ranges() {
  static const std::vector<Range> all{
      {"capacity", &Options::capacity, &Settings::capacity, 64 * kKiB, 1ULL << 46},
      {"write_buffer_bytes", &Options::write_buffer_bytes, &Settings::write_buffer_bytes, 64 * kKiB,
       1ULL << 40},
      {"sync_interval_ms", &Options::sync_interval_ms, &Settings::sync_interval_ms, 1,
       24ULL * 3600 * 1000},
      {"max_value_bytes", &Options::max_value_bytes, &Settings::max_value_bytes, 0, kGiB - 1},
      {"max_batch_bytes", &Options::max_batch_bytes, &Settings::max_batch_bytes, 1, 1ULL << 40},
      {"max_readers", &Options::max_readers, &Settings::max_readers, 4, 1ULL << 14},
      {"compression_threshold", &Options::compression_threshold, &Settings::compression_threshold,
       0, kGiB},
      {"path_cache_entries", &Options::path_cache_entries, &Settings::path_cache_entries, 0,
       1ULL << 32},
      {"path_cache_ttl_ms", &Options::path_cache_ttl_ms, &Settings::path_cache_ttl_ms, 0,
       1ULL << 48},
  };
  return all;
}

/// An option, a way to give it the running value, and a way to give it another.
struct Choice {
  std::string name;
  std::function<void(Options&, const Settings&)> same;
  std::function<void(Options&, const Settings&)> other;
};

std::vector<Choice> all_choices() {
  std::vector<Choice> all;
  for (const Range& range : ranges()) {
    all.push_back(
        {range.name,
         [&range](Options& o, const Settings& s) { o.*range.option = s.*range.setting; },
         [&range](Options& o, const Settings& s) { o.*range.option = s.*range.setting + 1; }});
  }
  struct Flag {
    std::string name;
    std::optional<bool> Options::*option;
    bool Settings::*setting;
  };
  static const std::vector<Flag> flags{
      {"checksum", &Options::checksum, &Settings::checksum},
      {"read_only", &Options::read_only, &Settings::read_only},
      {"no_readahead", &Options::no_readahead, &Settings::no_readahead},
      {"force", &Options::force, &Settings::force},
  };
  for (const Flag& flag : flags) {
    all.push_back(
        {flag.name, [&flag](Options& o, const Settings& s) { o.*flag.option = s.*flag.setting; },
         [&flag](Options& o, const Settings& s) { o.*flag.option = !(s.*flag.setting); }});
  }
  all.push_back({"durability", [](Options& o, const Settings& s) { o.durability = s.durability; },
                 [](Options& o, const Settings&) { o.durability = Durability::sync; }});
  all.push_back({"on_unclean", [](Options& o, const Settings& s) { o.on_unclean = s.on_unclean; },
                 [](Options& o, const Settings&) { o.on_unclean = OnUnclean::reset; }});
  all.push_back({"compression",
                 [](Options& o, const Settings& s) { o.compression = s.compression; },
                 [](Options& o, const Settings&) { o.compression = Compression::zstd; }});
  return all;
}

}  // namespace

TEST_CASE("Defaults are those of the manual") {
  const auto plain = resolve_settings(in_directory());
  REQUIRE(plain.ok());
  CHECK(plain.value().durability == Durability::async);
  CHECK(plain.value().capacity == 1024 * kGiB);
  CHECK(plain.value().write_buffer_bytes == 64 * kKiB * kKiB);
  CHECK(plain.value().sync_interval_ms == 100);
  CHECK(plain.value().on_unclean == OnUnclean::error);
  CHECK(plain.value().max_value_bytes == kGiB - 1);
  CHECK(plain.value().max_batch_bytes == 256 * kKiB * kKiB);
  CHECK(plain.value().max_readers == 126);
  CHECK(plain.value().path_cache_entries == 10'000);
  CHECK(plain.value().path_cache_ttl_ms == 300'000);
  CHECK_FALSE(plain.value().capacity_given);
  CHECK(plain.value().compression == Compression::none);
  CHECK(plain.value().compression_threshold == 1024);
  CHECK_FALSE(plain.value().checksum);
  CHECK_FALSE(plain.value().read_only);
  CHECK_FALSE(plain.value().no_readahead);
  CHECK_FALSE(plain.value().force);

  Options options = in_directory();
  options.durability = Durability::sync;
  const auto synced = resolve_settings(options);
  REQUIRE(synced.ok());
  CHECK(synced.value().capacity == 1024 * kGiB);
  CHECK(synced.value().sync_interval_ms == 100);
  options.durability = Durability::map_async;
  const auto mapped = resolve_settings(options);
  REQUIRE(mapped.ok());
  CHECK(mapped.value().capacity == 10 * kGiB);
  CHECK(mapped.value().sync_interval_ms == 1000);
  options.capacity = kGiB;
  CHECK(resolve_settings(options).value().capacity_given);
}

TEST_CASE("The default of max_readers is the caller's") {
  Options options = in_directory();
  options.default_max_readers = 300;
  CHECK(resolve_settings(options).value().max_readers == 300);
  options.max_readers = 20;
  CHECK(resolve_settings(options).value().max_readers == 20);
}

TEST_CASE("Every number is taken inside its range and refused outside") {
  for (const Range& range : ranges()) {
    INFO(range.name);
    const auto with = [&](std::uint64_t value) {
      Options options = in_directory();
      options.*range.option = value;
      return options;
    };
    for (const std::uint64_t good : {range.least, range.least + 1, range.most - 1, range.most}) {
      INFO(good);
      const auto settings = resolve_settings(with(good));
      REQUIRE(outcome(settings) == "ok");
      CHECK(settings.value().*range.setting == good);
    }
    if (range.least > 0) {
      CHECK(resolved(with(range.least - 1)) == "bad_option " + range.name);
      CHECK(resolved(with(0)) == "bad_option " + range.name);
    }
    CHECK(resolved(with(range.most + 1)) == "bad_option " + range.name);
    CHECK(resolved(with(UINT64_MAX)) == "bad_option " + range.name);
  }
}

TEST_CASE("A directory's name is text that the system can take") {
  Options options;
  CHECK(resolved(options) == "bad_option name");
  options.directory = std::string("/sto\0re", 7);
  CHECK(resolved(options) == "bad_option name");
  options.directory = std::string(4096, 'x');
  CHECK(resolved(options) == "bad_option name");
  options.directory = std::string(4095, 'x');
  CHECK(resolved(options) == "ok");
}

TEST_CASE("A page size is a power of two that LMDB can do, where it has any to choose") {
  for (const std::uint64_t bytes : {0, 1, 2048, 4096, 5000, 16'384, 65'536, 131'072}) {
    INFO(bytes);
    Options options = in_directory();
    options.page_size = bytes;
    const bool possible = bytes == 4096 || bytes == 16'384 || bytes == 65'536;
    CHECK(resolved(options) == (possible && kPageSizeToChoose ? "ok" : "bad_option page_size"));
  }
}

TEST_CASE("An option conflicts when it is given and differs, and never else") {
  const Settings running = resolve_settings(in_directory()).value();
  CHECK(first_conflict(Options{}, running) == nullptr);
  for (const Choice& choice : all_choices()) {
    INFO(choice.name);
    Options options;
    choice.same(options, running);
    CHECK(first_conflict(options, running) == nullptr);
    choice.other(options, running);
    const char* const found = first_conflict(options, running);
    REQUIRE(found != nullptr);
    CHECK(found == choice.name);
  }
}

TEST_CASE("The default of max_readers conflicts with nothing") {
  const Settings running = resolve_settings(in_directory()).value();
  Options options;
  options.default_max_readers = 7;
  CHECK(first_conflict(options, running) == nullptr);
}
