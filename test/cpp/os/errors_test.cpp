#include "os/errors.h"

#include <lmdb.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hyper_lmdb/function_ref.h"
#include "support/outcome.h"

using namespace hyper_lmdb;

TEST_CASE("Every code has a word of its own") {
  std::set<std::string> words;
  const int last = static_cast<int>(Code::internal);
  for (int code = 0; code <= last; ++code) {
    const std::string word = name_of(static_cast<Code>(code));
    INFO("code " << code << " is " << word);
    CHECK_FALSE(word.empty());
    CHECK(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos);
    CHECK(words.insert(word).second);
  }
  CHECK(words.count("map_full") == 1);
  CHECK(std::string(name_of(static_cast<Code>(last))) == "internal");
}

TEST_CASE("The system's numbers become the words users know") {
  const std::vector<std::pair<int, std::string>> expected{
      {ENOSPC, "disk_full"},
      {EDQUOT, "quota_exceeded"},
      {EFBIG, "file_too_large"},
      {ENOMEM, "no_memory"},
      {EMFILE, "too_many_files"},
      {ENFILE, "too_many_files"},
      {EACCES, "permission_denied"},
      {EPERM, "permission_denied"},
      {EROFS, "permission_denied"},
      {ENOENT, "no_such_directory"},
      {ENOTDIR, "no_such_directory"},
      {EINVAL, "internal"},
      {EIO, "io_error"},
      {EXDEV, "io_error"},
  };
  for (const auto& [number, word] : expected) {
    INFO("errno " << number);
    const Error error = from_errno(number, "call");
    CHECK(name_of(error.code) == word);
    CHECK(error.native == number);
    CHECK(std::string(error.operation) == "call");
    // LMDB hands the system's numbers through.
    CHECK(name_of(from_lmdb(number, "call").code) == word);
  }
}

TEST_CASE("A thread that the system does not give is no error of the disk") {
  CHECK(std::string(name_of(from_thread_start(EAGAIN).code)) == "too_many_threads");
  CHECK(std::string(name_of(from_thread_start(ENOMEM).code)) == "no_memory");
  CHECK(from_thread_start(EAGAIN).native == EAGAIN);
}

TEST_CASE("LMDB's codes become the words users know") {
  const std::vector<std::pair<int, std::string>> expected{
      {MDB_CORRUPTED, "corrupted"},       {MDB_PAGE_NOTFOUND, "corrupted"},
      {MDB_CURSOR_FULL, "corrupted"},     {MDB_PANIC, "env_failed"},
      {MDB_BAD_RSLOT, "env_failed"},      {MDB_VERSION_MISMATCH, "version_mismatch"},
      {MDB_INVALID, "not_a_database"},    {MDB_MAP_FULL, "map_full"},
      {MDB_READERS_FULL, "readers_full"}, {MDB_TXN_FULL, "batch_too_large"},
      {MDB_BAD_TXN, "internal"},          {MDB_BAD_VALSIZE, "internal"},
      {MDB_INCOMPATIBLE, "internal"},     {MDB_BAD_DBI, "internal"},
      {MDB_NOTFOUND, "internal"},         {MDB_KEYEXIST, "internal"},
  };
  for (const auto& [number, word] : expected) {
    INFO(mdb_strerror(number));
    const Error error = from_lmdb(number, "mdb_call");
    CHECK(test::word_of(error) == word);
    CHECK(error.native == number);
    CHECK(std::string(error.operation) == "mdb_call");
  }
}

TEST_CASE("A result holds its value or its error") {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(7));
  REQUIRE(good.ok());
  REQUIRE(static_cast<bool>(good));
  CHECK(*good.value() == 7);
  const std::unique_ptr<int> taken = std::move(good).value();
  CHECK(*taken == 7);

  const Result<int> bad(Error{.code = Code::map_full, .native = 3, .operation = "op", .index = 9});
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().code == Code::map_full);
  CHECK(bad.error().native == 3);
  CHECK(bad.error().index == 9);

  CHECK(Result<void>().ok());
  const Result<void> failed(bad.error());
  CHECK_FALSE(failed.ok());
  CHECK(failed.error().index == 9);
}

TEST_CASE("A function reference calls what it refers to") {
  int calls = 0;
  const auto add = [&](int count) { return calls += count; };
  const FunctionRef<int(int)> reference(add);
  CHECK(reference(2) == 2);
  const FunctionRef<int(int)> copy = reference;
  CHECK(copy(3) == 5);
  CHECK(calls == 5);
}
