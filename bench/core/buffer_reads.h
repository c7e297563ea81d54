// Reads beside the write buffer: of keys in LMDB while a buffer is being applied and the next one
// is half full, of the same keys at rest, and of keys in the buffer.
#pragma once

#include <cstdint>
#include <vector>

#include "dataset.h"
#include "figure.h"

namespace hyper_lmdb::bench {

struct BufferReads {
  int rounds = 7;
  std::uint32_t written_keys = 400'000;            ///< beside those of the data set, which are read
  std::uint64_t write_buffer_bytes = 64ULL << 20;  ///< the library's default
  std::uint64_t reads = 100'000;                   ///< of a measurement, where time allows
};

std::vector<Figure> buffer_reads(const TempDir& dir, const Dataset& data,
                                 const BufferReads& settings);

}  // namespace hyper_lmdb::bench
