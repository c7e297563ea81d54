#include <pthread.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "hyper_lmdb/options.h"

using namespace hyper_lmdb;

TEST_CASE("A thread runs what it was given under its name, and joining waits for its end") {
  struct Work {
    int runs = 0;  // no atomic: joining is what makes it visible
    std::array<char, 32> name{};
  } work;
  const auto run = [](void* argument) -> void* {
    auto* const mine = static_cast<Work*>(argument);
    // The name is set from outside, so it may come a moment later.
    while (mine->runs == 0 && std::string(mine->name.data()) != "hyper_lmdb_test") {
      pthread_getname_np(pthread_self(), mine->name.data(), mine->name.size());
    }
    ++mine->runs;
    return nullptr;
  };
  for (int i = 1; i <= 20; ++i) {
    void* thread = nullptr;
    REQUIRE(posix_threads().start("hyper_lmdb_test", run, &work, &thread) == 0);
    REQUIRE(thread != nullptr);
    posix_threads().join(thread);
    CHECK(work.runs == i);
  }
}
