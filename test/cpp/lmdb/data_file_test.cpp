#include "lmdb/data_file.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <string>

#include "hyper_lmdb/store.h"
#include "lmdb/version.h"
#include "support/data_files.h"
#include "support/faults.h"
#include "support/outcome.h"
#include "support/temp_dir.h"

using namespace hyper_lmdb;
using test::outcome;
using test::TempDir;
namespace fs = std::filesystem;
namespace faults = test::faults;

namespace {

Directory open_directory(const TempDir& temp) {
  return Directory::open(temp.path(), {}).value();
}

ino_t inode_of(const std::string& path) {
  struct stat found;
  return ::stat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

std::size_t names_in(const std::string& path) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(path), fs::directory_iterator()));
}

/// A healthy file with a tree of some depth, as bytes.
std::string grown_file(std::size_t records) {
  const TempDir temp;
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  REQUIRE(mdb_env_create(&env) == 0);
  REQUIRE(mdb_env_set_mapsize(env, 64 << 20) == 0);
  REQUIRE(mdb_env_open(env, temp.path().c_str(), 0, 0600) == 0);
  REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
  REQUIRE(mdb_dbi_open(txn, nullptr, 0, &dbi) == 0);
  for (std::size_t i = 0; i < records; ++i) {
    std::string name = "key " + std::to_string(i * 7919 % records);
    std::string bytes(i % 3 == 0 ? 3000 : 200, 'v');
    MDB_val key{name.size(), name.data()};
    MDB_val value{bytes.size(), bytes.data()};
    REQUIRE(mdb_put(txn, dbi, &key, &value, 0) == 0);
  }
  REQUIRE(mdb_txn_commit(txn) == 0);
  mdb_env_close(env);
  return test::read_whole(temp / "data.mdb");
}

std::string inspected(const TempDir& temp, const std::string& bytes) {
  // A new file each time: some file systems flush one that is written over.
  fs::remove(temp / "damaged");
  test::write_whole(temp / "damaged", bytes);
  return outcome(test::inspect(temp / "damaged"));
}

/// Where the meta record of a page begins in a file of a format.
std::size_t meta_at(std::uint32_t format) {
  return format == 1 ? 16 : 24;
}

const std::set<std::string> kListed{"ok", "not_a_database", "version_mismatch", "corrupted"};

}  // namespace

TEST_CASE("An identity comes back, and what is none is refused") {
  const std::string id(32, 'a');
  const RecordCounts counts{
      .links = 0x0102030405060708, .marks = 5, .link_generation = ~std::uint64_t{1}};
  const std::string bytes = encode_identity({.store_id = id, .counts = counts});
  REQUIRE(outcome(decode_identity(bytes)) == "ok");
  CHECK(decode_identity(bytes).value().store_id == id);
  const RecordCounts found = decode_identity(bytes).value().counts;
  CHECK(found.links == counts.links);
  CHECK(found.marks == counts.marks);
  CHECK(found.link_generation == counts.link_generation);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(outcome(decode_identity(bytes.substr(0, size))) == "unknown_format");
  }
  std::string other_version = bytes;
  ++other_version[3];
  CHECK(outcome(decode_identity(other_version)) == "version_mismatch");
  std::string other_magic = bytes;
  other_magic[0] = 'x';
  CHECK(outcome(decode_identity(other_magic)) == "unknown_format");
}

TEST_CASE("A new file is a database for its owner, with nothing beside it") {
  const TempDir temp;
  const mode_t before = ::umask(0);
  REQUIRE(outcome(create_data_file(open_directory(temp))) == "ok");
  ::umask(before);
  CHECK(names_in(temp.path()) == 1);
  struct stat found;
  REQUIRE(::stat((temp / "data.mdb").c_str(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0600);
  CHECK(outcome(test::inspect(temp / "data.mdb")) == "ok");
}

TEST_CASE("A new file replaces the old one as a whole, under another identity") {
  const TempDir temp;
  test::write_whole(temp / "data.mdb", "no database");
  const ino_t first = inode_of(temp / "data.mdb");
  REQUIRE(outcome(create_data_file(open_directory(temp))) == "ok");
  const ino_t second = inode_of(temp / "data.mdb");
  CHECK(second != first);
  const std::string bytes = test::read_whole(temp / "data.mdb");
  REQUIRE(outcome(create_data_file(open_directory(temp))) == "ok");
  CHECK(inode_of(temp / "data.mdb") != second);
  CHECK(test::read_whole(temp / "data.mdb") != bytes);
}

TEST_CASE("Whichever call fails, a new file is there whole or not at all") {
  const TempDir temp;
  const auto plan = [&](std::uint64_t fail_at, int error) {
    return faults::Plan{.directory = temp.path(), .fail_at = fail_at, .error = error};
  };
  faults::arm(plan(0, 0));
  REQUIRE(outcome(create_data_file(open_directory(temp))) == "ok");
  const std::uint64_t calls = faults::disarm();
  CHECK(calls >= 5);
  for (std::uint64_t fail_at = 1; fail_at <= calls; ++fail_at) {
    for (const int error : {EIO, ENOSPC, 0}) {
      INFO("call " << fail_at << " of " << calls << ", errno " << error);
      fs::remove(temp / "data.mdb");
      faults::arm(plan(fail_at, error));
      const std::string word = outcome(create_data_file(open_directory(temp)));
      REQUIRE(faults::has_failed());
      faults::disarm();
      // A write that was cut short may be told as either.
      const std::string expected = error == ENOSPC ? "disk_full" : "io_error";
      CHECK((word == expected || (error == 0 && word == "disk_full")));
      CHECK(names_in(temp.path()) <= 1);
      if (fs::exists(temp / "data.mdb")) {
        CHECK(outcome(test::inspect(temp / "data.mdb")) == "ok");
      } else {
        CHECK(names_in(temp.path()) == 0);
      }
    }
  }
}

// `start` removed a file of a user's that was called .new-thesis.tex.
TEST_CASE("Of unfinished files only those go that can be nobody else's") {
  const TempDir temp;
  const std::string ours = ".new-" + std::string(32, 'a');
  const std::string theirs[] = {".new-thesis.tex",
                                ".new-",
                                ".new-" + std::string(31, 'a'),
                                ours + "a",
                                ".new-" + std::string(32, 'A'),
                                "data.mdb"};
  for (const std::string& name : theirs) test::write_whole(temp / name, "x");
  test::write_whole(temp / ours, "x");
  fs::create_directory(temp / (".new-" + std::string(32, 'b')));
  remove_unfinished_files(open_directory(temp));
  CHECK_FALSE(fs::exists(temp / ours));
  for (const std::string& name : theirs) CHECK(fs::exists(temp / name));
}

TEST_CASE("The map's size and the last page are read from the file") {
  const TempDir temp;
  const std::string bytes = grown_file(10);
  test::write_whole(temp / "f", bytes);
  const auto shape = test::inspect(temp / "f");
  REQUIRE(outcome(shape) == "ok");
  CHECK(shape.value().map_bytes == 64 << 20);
  CHECK(shape.value().used_bytes == bytes.size());
}

TEST_CASE("Whose file it is can be told without changing a byte") {
  const TempDir temp;
  REQUIRE(outcome(create_data_file(open_directory(temp))) == "ok");
  const std::string ours = test::read_whole(temp / "data.mdb");
  const auto identity = test::identify(temp / "data.mdb");
  REQUIRE(outcome(identity) == "ok");
  CHECK(identity.value().store_id.size() == 32);
  CHECK(identity.value().counts.links == 0);
  CHECK(test::read_whole(temp / "data.mdb") == ours);
  const std::string foreign = grown_file(10);
  test::write_whole(temp / "data.mdb", foreign);
  CHECK(outcome(test::identify(temp / "data.mdb")) == "unknown_format");
  CHECK(test::read_whole(temp / "data.mdb") == foreign);
  CHECK(names_in(temp.path()) == 1);
}

// A link to the data file that was switched between the lock and LMDB's own opening let two stores
// write one file, and one of them cut the other's.
TEST_CASE("LMDB opens the file that was locked, or none") {
  const TempDir temp;
  const Directory directory = open_directory(temp);
  REQUIRE(outcome(create_data_file(directory)) == "ok");
  auto locked = directory.open_file(kDataFile, Directory::For::writing);
  REQUIRE(locked.ok());
  const auto opened = [&] {
    MDB_env* env = nullptr;
    REQUIRE(mdb_env_create(&env) == 0);
    const auto word = outcome(open_in(directory, kDataFile, locked.value().get(), env, 0));
    mdb_env_close(env);
    return word;
  };
  const auto identified = [&] {
    return outcome(identify_data_file(directory, kDataFile, locked.value().get()));
  };
  CHECK(opened() == "ok");
  CHECK(identified() == "ok");
  REQUIRE(outcome(create_data_file(directory)) == "ok");
  CHECK(opened() == "no_such_directory");
  CHECK(identified() == "no_such_directory");
}

TEST_CASE("What is no database is told from what is none any more") {
  const TempDir temp;
  CHECK(inspected(temp, "") == "not_a_database");
  CHECK(inspected(temp, "hello") == "not_a_database");
  CHECK(inspected(temp, std::string(100'000, '\0')) == "not_a_database");
  CHECK(outcome(test::inspect(temp.path())) == "not_a_database");
  CHECK(outcome(test::inspect(temp / "absent")) == "no_such_directory");

  const std::string healthy = grown_file(50);
  const std::size_t meta = meta_at(lmdb_file_version());
  std::string other_version = healthy;
  for (const std::size_t page : {0, 4096}) other_version[page + meta + 4] = 3;
  CHECK(inspected(temp, other_version) == "version_mismatch");
  std::string odd_page_size = healthy;
  odd_page_size[meta + 24] = 1;
  CHECK(inspected(temp, odd_page_size) == "corrupted");
}

TEST_CASE("A file of LMDB's other format is told from one that is none, and from a damaged one") {
  const TempDir temp;
  const std::string healthy = grown_file(50);
  for (const std::uint32_t format : {1, 2}) {
    for (const std::uint32_t version : {1, 2, 3}) {
      INFO("version " << version << ", laid out as in " << format);
      std::string bytes = healthy;
      for (const std::size_t page : {0, 4096}) {
        bytes.replace(page + meta_at(format), 200, healthy, page + meta_at(lmdb_file_version()),
                      200);
        bytes.replace(page, meta_at(format), meta_at(format), '\0');
        bytes[page + meta_at(format) + 4] = static_cast<char>(version);
      }
      const bool ours = version == lmdb_file_version() && meta_at(format) == meta_at(version);
      CHECK(inspected(temp, bytes) == (ours ? "ok" : "version_mismatch"));
    }
  }
}

TEST_CASE("A file cut at any page is refused once its trees do not fit") {
  const TempDir temp;
  const std::string healthy = grown_file(400);
  CHECK(inspected(temp, healthy) == "ok");
  constexpr std::size_t kPage = 4096;
  std::size_t accepted = 0;
  for (std::size_t bytes = 0; bytes < healthy.size(); bytes += kPage) {
    INFO("cut to " << bytes / kPage << " of " << healthy.size() / kPage << " pages");
    const std::string word = inspected(temp, healthy.substr(0, bytes));
    if (bytes < 2 * kPage) {
      CHECK(word == "not_a_database");
    } else {
      CHECK((word == "corrupted" || word == "ok"));
    }
    if (word != "ok") continue;
    // Accepted means that LMDB opens it and finds its tree.
    ++accepted;
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_open(env, (temp / "damaged").c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY,
                         0600) == 0);
    REQUIRE(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) == 0);
    MDB_cursor* cursor = nullptr;
    CHECK(mdb_dbi_open(txn, nullptr, 0, &dbi) == 0);
    CHECK(mdb_cursor_open(txn, dbi, &cursor) == 0);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
  }
  CHECK(accepted < healthy.size() / kPage);
}

TEST_CASE("Every flipped bit of the meta pages gives a listed answer") {
  const TempDir temp;
  const std::string healthy = grown_file(50);
  std::set<std::string> seen;
  for (const std::size_t page : {0, 4096}) {
    for (std::size_t bit = 0; bit < 8 * 160; ++bit) {
      std::string bad = healthy;
      bad[page + bit / 8] = static_cast<char>(bad[page + bit / 8] ^ (1 << (bit % 8)));
      seen.insert(inspected(temp, bad));
    }
  }
  for (const std::string& word : seen) CHECK(kListed.count(word) == 1);
  CHECK(seen == kListed);
}

TEST_CASE("Random bytes are answered, never trusted") {
  const TempDir temp;
  std::mt19937_64 random(4);
  const std::string healthy = grown_file(50);
  std::set<std::string> seen;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = healthy.substr(0, random() % healthy.size());
    for (int j = 0; j < 1 + i % 64 && !bytes.empty(); ++j) {
      // Mostly where the numbers are.
      const std::size_t range = std::min<std::size_t>(bytes.size(), j % 2 == 0 ? 160 : 4096 + 160);
      bytes[random() % range] = static_cast<char>(random());
    }
    seen.insert(inspected(temp, bytes));
  }
  for (const std::string& word : seen) CHECK(kListed.count(word) == 1);
}
