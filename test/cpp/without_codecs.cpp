// The rooms that compress, built as where neither LZ4 nor Zstandard is installed.
#include <catch2/catch.hpp>
#include <string>

#include "format/compression.h"
#include "read/value_reader.h"
#include "store/settings.h"
#include "support/ops.h"
#include "support/outcome.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

TEST_CASE("A compression that is not built in is a bad option") {
  Options options;
  options.directory = "/store";
  for (const Compression codec : {Compression::lz4, Compression::zstd}) {
    CHECK_FALSE(has_compression(codec));
    options.compression = codec;
    CHECK(outcome(resolve_settings(options)) == "bad_option compression");
  }
  options.compression = Compression::none;
  CHECK(outcome(resolve_settings(options)) == "ok");
}

TEST_CASE("A value compressed by another build is unknown_format, and leaves the rest readable") {
  const std::string payload = std::string("\x00\x00\x10\x00", 4) + "what a codec made";
  for (const Compression codec : {Compression::lz4, Compression::zstd}) {
    const Record record{.kind = Kind::value, .group = true, .payload = payload, .codec = codec};
    std::string bytes(encoded_size(record), '\0');
    encode("key", record, bytes.data());
    ValueReader reader(Settings(), {});
    CHECK(outcome(reader.read("key", std::string_view(bytes))) == "unknown_format");
    char out[1];
    CHECK(outcome(unpack(record, out)) == "unknown_format");
    const auto back = decode(bytes);
    REQUIRE(back.ok());
    CHECK(back.value().kind == Kind::value);
    CHECK(back.value().group);
    CHECK(value_size(back.value()) == 1 << 20);
  }
}
