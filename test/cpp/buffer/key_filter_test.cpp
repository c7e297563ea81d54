#include "buffer/key_filter.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using namespace hyper_lmdb;

namespace {

/// How many in a thousand of what was not added it says it may hold.
double wrong_of(std::size_t words, int keys) {
  std::vector<KeyFilter::Word> memory(words);
  KeyFilter filter(memory.data(), words);
  std::mt19937_64 random(7);
  for (int i = 0; i < keys; ++i) filter.add(random());
  random.seed(7);
  for (int i = 0; i < keys; ++i) REQUIRE(filter.may_hold(random()));
  int wrong = 0;
  for (int i = 0; i < 100'000; ++i) wrong += filter.may_hold(random()) ? 1 : 0;
  return wrong / 100.0;
}

}  // namespace

TEST_CASE("Every added hash may be there, and few others at eleven bits each") {
  CHECK(wrong_of(1, 0) == 0);
  CHECK(wrong_of(1024, 0) == 0);
  CHECK(wrong_of(1, 1) < 1);
  CHECK(wrong_of(1024, 100) < 1);
  CHECK(wrong_of(1024, 1024 * 64 / 11) < 30);
  CHECK(wrong_of(1 << 16, (1 << 16) * 64 / 11) < 30);
}
