// Memory of the write buffers: kept for the next buffer, let go of at rest.
#include "os/chunk_pool.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>

#include "buffer/write_buffer.h"
#include "support/ops.h"
#include "support/writer_rig.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {
constexpr std::size_t kChunk = ChunkPool::kChunkBytes;
}

TEST_CASE("A chunk that was given back is the next one taken, and may be used") {
  ChunkPool pool(4 * kChunk);
  Pages first = pool.take();
  std::memset(first.at(), 'a', first.bytes());
  const char* const at = first.at();
  pool.give(std::move(first));
  CHECK_FALSE(pool.empty());
  Pages again = pool.take();
  CHECK(again.at() == at);
  CHECK(again.bytes() == kChunk);
  std::memset(again.at(), 'b', again.bytes());
  CHECK(pool.empty());
}

TEST_CASE("A pool keeps no more than it may") {
  ChunkPool pool(2 * kChunk);
  Pages one = pool.take(), two = pool.take(), three = pool.take();
  pool.give(std::move(one));
  pool.give(std::move(two));
  const char* const at = three.at();
  pool.give(std::move(three));
  CHECK(pool.take().at() != at);
  CHECK(pool.take().at() != at);
  CHECK(pool.empty());
}

TEST_CASE("At rest a pool has nothing and keeps nothing, until somebody takes a chunk") {
  ChunkPool pool(4 * kChunk);
  Pages one = pool.take(), two = pool.take();
  pool.give(std::move(one));
  pool.rest();
  CHECK(pool.empty());
  pool.give(std::move(two));
  pool.add();
  CHECK(pool.empty());
  Pages three = pool.take();
  pool.add();
  CHECK_FALSE(pool.empty());
  pool.give(std::move(three));
  Pages four = pool.take(), five = pool.take();
  std::memset(four.at(), 'a', kChunk);
  std::memset(five.at(), 'b', kChunk);
  CHECK(pool.empty());
}

TEST_CASE("A buffer's chunks come from the pool and go back into it") {
  const auto pool = std::make_shared<ChunkPool>(64 * kChunk);
  const std::string value(1000, 'v');
  const auto fill = [&](WriteBuffer& buffer) {
    for (std::uint64_t i = 1; i <= 20000; ++i) {
      const std::string key = std::to_string(i);
      REQUIRE(buffer.reserve(1, key.size() + value.size()));
      buffer.insert(key, i, {.record = value});
    }
    for (std::uint64_t i = 1; i <= 20000; ++i) {
      const auto found = buffer.find(std::to_string(i), 20000);
      REQUIRE(found);
      REQUIRE(found->record == value);
    }
  };
  auto buffer = std::make_unique<WriteBuffer>(64 * kChunk, 1, pool);
  fill(*buffer);
  CHECK(pool->empty());
  buffer.reset();
  CHECK_FALSE(pool->empty());
  // Recycled memory is full of what was there before.
  buffer = std::make_unique<WriteBuffer>(64 * kChunk, 2, pool);
  fill(*buffer);
}

TEST_CASE("A store at rest keeps no chunk of a write buffer") {
  Settings settings = kAsync;
  settings.write_buffer_bytes = 16 << 20;
  WriterRig rig(settings);
  rig.start();
  const ChunkPool& chunks = *rig.buffers.chunks();
  // Two buffers are applied, and the third has not come to its first whole chunk.
  const std::string value(10'000, 'v');
  for (int i = 0; rig.checkpointer->applied_buffers() < 2; ++i) {
    const std::string key = std::to_string(i);
    rig.push({put_op(key, value)});
    REQUIRE(rig.answers() == "ok");
  }
  REQUIRE(outcome(rig.checkpointer->wait_cleaned_up()) == "ok");
  CHECK_FALSE(chunks.empty());
  // Too large for a buffer, so that LMDB has all of them before it, and no other follows.
  const std::string large(8 << 20, 'l');
  rig.push({put_op("large", large)});
  REQUIRE(rig.answers() == "ok");
  REQUIRE(outcome(rig.checkpointer->wait_cleaned_up()) == "ok");
  CHECK(chunks.empty());
}
