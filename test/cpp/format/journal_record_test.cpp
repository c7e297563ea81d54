#include "format/journal_record.h"

#include <catch2/catch.hpp>
#include <string>

#include "os/little_endian.h"
#include "support/outcome.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::journal;
using test::outcome;

namespace {

const Header kHeader{.id = {.store_id = "0123456789abcdef0123456789abcdef",
                            .generation = 7,
                            .first_seq = 11,
                            .flushed_seq = 9},
                     .salt = 0x1122334455667788};

}  // namespace

TEST_CASE("A segment's name tells its generation, and nothing else is such a name") {
  CHECK(segment_name(0x1a) == "journal-000000000000001a");
  for (const std::uint64_t generation :
       {std::uint64_t{0}, std::uint64_t{0x1a}, ~std::uint64_t{0}}) {
    CHECK(generation_of(segment_name(generation)) == generation);
  }
  for (const char* other : {"", "journal-", "journal-1a", "journal-000000000000001A",
                            "journal-000000000000001a.tmp", "journal-00000000000000001a",
                            "xournal-000000000000001a", "journal-00000000000000 a", "data.mdb"}) {
    INFO(other);
    CHECK_FALSE(generation_of(other));
  }
}

TEST_CASE("A header comes back, and no flipped bit of it does") {
  const std::string page = encode_header(kHeader);
  REQUIRE(page.size() == kPageBytes);
  const auto found = decode_header(page);
  REQUIRE(outcome(found) == "ok");
  CHECK(found.value().id.store_id == kHeader.id.store_id);
  CHECK(found.value().id.generation == 7);
  CHECK(found.value().id.first_seq == 11);
  CHECK(found.value().id.flushed_seq == 9);
  CHECK(found.value().salt == kHeader.salt);
  const std::size_t used = page.find_last_not_of('\0') + 1;
  for (std::size_t bit = 0; bit < 8 * used; ++bit) {
    std::string bad = page;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    INFO("bit " << bit);
    CHECK(outcome(decode_header(bad)) == "unknown_format");
  }
  CHECK(outcome(decode_header(page.substr(0, kPageBytes - 1))) == "unknown_format");
  CHECK(outcome(decode_header(std::string(kPageBytes, '\0'))) == "unknown_format");
}

TEST_CASE("A record's head comes back under its own salt only, flipped nowhere") {
  const RecordHead head = make_head(5, 120, 42, 40);
  char bytes[kHeadBytes];
  encode_head(head, checksum_of(head, "payload"), bytes);
  CHECK(static_cast<std::uint32_t>(load_little_endian(bytes)) == 120);
  CHECK(load_little_endian(bytes + 8) == 42);
  CHECK(load_little_endian(bytes + 16) == 40);
  const auto found = decode_head(5, bytes);
  REQUIRE(found);
  CHECK(found->payload_bytes == 120);
  CHECK(found->seq == 42);
  CHECK(found->flushed_seq == 40);
  CHECK(found->checksum == checksum_of(*found, "payload"));
  CHECK(found->checksum != checksum_of(*found, "Payload"));
  CHECK_FALSE(decode_head(6, bytes));
  for (std::size_t bit = 0; bit < 8 * 24; ++bit) {
    INFO("bit " << bit);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(decode_head(5, bytes));
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
  const char zeros[kHeadBytes] = {};
  CHECK_FALSE(decode_head(5, zeros));
}

TEST_CASE("The same payload has another checksum under another number") {
  CHECK(checksum_of(make_head(5, 7, 42, 40), "payload") !=
        checksum_of(make_head(5, 7, 43, 40), "payload"));
  CHECK(checksum_of(make_head(5, 7, 42, 40), "payload") !=
        checksum_of(make_head(5, 7, 42, 41), "payload"));
}
