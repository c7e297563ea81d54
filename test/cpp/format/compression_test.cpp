#include "format/compression.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "read/value_reader.h"
#include "support/ops.h"
#include "support/outcome.h"
#include "support/texts.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr Compression kCodecs[] = {Compression::lz4, Compression::zstd};

Settings settings_with(Compression compression, std::uint64_t threshold = 1024) {
  Settings settings;
  settings.compression = compression;
  settings.compression_threshold = threshold;
  return settings;
}

/// A put as a store with these settings writes it.
std::string stored(const Settings& settings, std::string_view value) {
  Op op = put_op("key", value);
  PackedValues memory;
  pack(settings, {&op, 1}, &memory);
  const Record record = record_of(op, false, settings.checksum);
  std::string bytes(encoded_size(record), '\0');
  encode("key", record, bytes.data());
  return bytes;
}

/// What a reader with these settings makes of stored bytes: the value, or the name of an error.
std::string read_back(const Settings& settings, std::string_view bytes, const Effort& effort = {}) {
  ValueReader reader(settings, effort);
  // A copy of exactly this size: reading past its end is seen.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const auto value = reader.read("key", std::string_view(exact.data(), exact.size()));
  if (!value) return outcome(value);
  return value.value() ? std::string(*value.value()) : "nothing";
}

Compression codec_of(std::string_view bytes) {
  return decode(bytes).value().codec;
}

/// A record made by hand: it claims a size, whatever is in it.
std::string claiming(Compression codec, std::uint64_t raw_bytes, std::string_view compressed) {
  std::string payload(kRawSizeBytes, '\0');
  for (std::size_t i = 0; i < kRawSizeBytes; ++i) {
    payload[i] = static_cast<char>(raw_bytes >> (8 * i));
  }
  payload += compressed;
  const Record record{.kind = Kind::value, .payload = payload, .codec = codec};
  std::string bytes(encoded_size(record), '\0');
  encode("key", record, bytes.data());
  return bytes;
}

std::string compressed_part(std::string_view bytes) {
  return std::string(decode(bytes).value().payload.substr(kRawSizeBytes));
}

}  // namespace

TEST_CASE("Every size around the threshold comes back, compressed from the threshold on") {
  std::mt19937_64 random(1);
  for (const Compression codec : kCodecs) {
    for (const std::uint64_t threshold : {0, 100, 1024}) {
      const Settings settings = settings_with(codec, threshold);
      std::string wrong;
      for (std::size_t size = 0; size < 1300; ++size) {
        const std::string text = text_of(random, size);
        const std::string bytes = stored(settings, text);
        if (read_back(settings, bytes) != text) wrong += " value of " + std::to_string(size);
        const bool compressed = codec_of(bytes) != Compression::none;
        if (compressed && size < threshold) wrong += " too small: " + std::to_string(size);
        if (!compressed && size >= threshold && size >= 200)
          wrong += " as is " + std::to_string(size);
        if (bytes.size() > size + 1) wrong += " grew " + std::to_string(size);
      }
      INFO("codec " << int(codec) << " from " << threshold);
      CHECK(wrong == "");
    }
  }
}

TEST_CASE("Large values come back, those that do not shrink stay as they are") {
  std::mt19937_64 random(2);
  for (const Compression codec : kCodecs) {
    const Settings settings = settings_with(codec);
    for (const std::size_t size : {1024, 4096, 65'535, 65'536, 65'537, 1'000'000, 9'000'000}) {
      INFO("codec " << int(codec) << " size " << size);
      const std::string text = text_of(random, size);
      const std::string bytes = stored(settings, text);
      CHECK(codec_of(bytes) == codec);
      CHECK(bytes.size() < size / 2);
      CHECK((read_back(settings, bytes) == text));
      const std::string noise = noise_of(random, size);
      const std::string plain = stored(settings, noise);
      CHECK(codec_of(plain) == Compression::none);
      CHECK((read_back(settings, plain) == noise));
      // A little less than a sixteenth of it shrinks: not worth the time of every reader.
      const std::string mixed = noise_of(random, size - size / 17) + std::string(size / 17, 'x');
      CHECK(codec_of(stored(settings, mixed)) == Compression::none);
    }
  }
}

TEST_CASE("Only values that are put are compressed, each batch with all its values") {
  std::mt19937_64 random(3);
  const std::string text = text_of(random, 3000), other = text_of(random, 2000);
  std::vector<Op> ops{put_op("a", text),  put_op("b", "small"), value_op("a", text),
                      link_op(text, "c"), put_op("d", other),   remove_op("e"),
                      put_op("f", other)};
  const Settings settings = settings_with(Compression::zstd);
  CHECK(packing_time(settings, ops).count() > 0);
  PackedValues memory;
  pack(settings, ops, &memory);
  CHECK(memory.size() == 3);
  std::string compressed;
  for (const Op& op : ops) {
    if (op.codec != Compression::none) compressed += op.key;
    CHECK(stored_value(op).size() <= op.value.size());
  }
  CHECK(compressed == "adf");
  CHECK(ops[0].value == text);                      // what checks in the same batch compare with
  CHECK(packing_time(settings, ops).count() == 0);  // nothing is left to do
  std::vector<Op> plain{put_op("a", text)};
  pack(settings_with(Compression::none), plain, &memory);
  CHECK(plain[0].codec == Compression::none);
}

TEST_CASE("A record that claims a size it does not come to is corrupted, and takes no memory") {
  std::mt19937_64 random(4);
  const std::string text = text_of(random, 5000);
  for (const Compression codec : kCodecs) {
    const Settings settings = settings_with(codec);
    const std::string good = compressed_part(stored(settings, text));
    REQUIRE(read_back(settings, claiming(codec, text.size(), good)) == text);
    for (const std::uint64_t claim :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{good.size()}, std::uint64_t{1024},
          std::uint64_t{4999}, std::uint64_t{5001}, std::uint64_t{1} << 20,
          std::uint64_t{300} << 20, (std::uint64_t{1} << 30) - 1, std::uint64_t{1} << 30,
          std::uint64_t{1} << 31, (std::uint64_t{1} << 32) - 1}) {
      INFO("codec " << int(codec) << " claims " << claim);
      CHECK(read_back(settings, claiming(codec, claim, good)) == "corrupted");
      CHECK(read_back(settings, claiming(codec, claim, "")) == "corrupted");
      CHECK(read_back(settings, claiming(codec, claim, std::string(60, '\0'))) == "corrupted");
    }
    // Before memory is taken, where the claim cannot be true.
    const std::string bomb = claiming(codec, (std::uint64_t{1} << 30) - 1, good);
    CHECK(outcome(check_packed(decode(bomb).value())) == "corrupted");
  }
}

TEST_CASE("A true bomb is stopped by max_value_bytes and by what a call may do") {
  const std::string zeros(50 << 20, '\0');
  for (const Compression codec : kCodecs) {
    Settings settings = settings_with(codec);
    const std::string bomb = stored(settings, zeros);
    REQUIRE(codec_of(bomb) == codec);
    INFO("codec " << int(codec) << " stored in " << bomb.size());
    CHECK(read_back(settings, bomb, {.inflated_bytes = zeros.size() - 1}) == "work_limit");
    CHECK(read_back(settings, bomb, {.value_bytes = zeros.size() - 1}) == "work_limit");
    settings.max_value_bytes = zeros.size() - 1;
    CHECK(read_back(settings, bomb) == "value_too_large");
    settings.max_value_bytes = zeros.size();
    CHECK((read_back(settings, bomb) == zeros));
  }
}

TEST_CASE("A compressed value cut short or made longer is corrupted") {
  std::mt19937_64 random(5);
  const std::string text = text_of(random, 3000);
  for (const Compression codec : kCodecs) {
    const Settings settings = settings_with(codec);
    const std::string good = stored(settings, text);
    std::string wrong;
    for (std::size_t size = 1; size < good.size(); ++size) {
      const std::string read = read_back(settings, good.substr(0, size));
      if (read != "corrupted") wrong += " " + std::to_string(size) + " " + read.substr(0, 20);
    }
    for (const char more : {'\0', 'x', '\xff'}) {
      if (read_back(settings, good + more) != "corrupted") wrong += " longer";
    }
    INFO("codec " << int(codec));
    CHECK(wrong == "");
  }
}

TEST_CASE("Damaged bytes come to an error, or to as many bytes as they claim") {
  std::mt19937_64 random(6);
  for (const Compression codec : kCodecs) {
    for (const bool checksum : {false, true}) {
      Settings settings = settings_with(codec);
      settings.checksum = checksum;
      settings.max_value_bytes = 1 << 20;
      std::size_t changed = 0;
      std::string wrong;
      for (int i = 0; i < 20'000; ++i) {
        const std::string text = text_of(random, 1024 + random() % 300);
        std::string bytes = stored(settings, text);
        for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
          bytes[random() % bytes.size()] ^= static_cast<char>(1U << random() % 8);
        }
        const auto record = decode(bytes);
        const std::string read = read_back(settings, bytes);
        if (read == "corrupted" || read == "unknown_format" || read == "value_too_large" ||
            read == "checksum_mismatch" || read == "nothing" || read == text) {
          continue;
        }
        // The tag itself may have lost the bit that says there is a checksum.
        if (record.value().checksum) wrong = "checksum";
        if (read.size() != value_size(record.value())) wrong = "size";
        ++changed;
      }
      INFO("codec " << int(codec) << " checksum " << checksum << " changed " << changed);
      CHECK(wrong == "");
      if (!checksum) CHECK(changed > 0);  // else this shows nothing
    }
  }
}

TEST_CASE("Many threads compress and read at once, and end") {
  for (const Compression codec : kCodecs) {
    const Settings settings = settings_with(codec);
    std::vector<std::string> wrong(8);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < wrong.size(); ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        for (int i = 0; i < 50; ++i) {
          const std::string text = text_of(random, 1024 + random() % 100'000);
          if (read_back(settings, stored(settings, text)) != text) wrong[t] = "value";
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<std::string>(wrong.size()));
  }
}
