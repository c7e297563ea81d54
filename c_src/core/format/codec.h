// The libraries that compress. Each may be missing from a build.
#pragma once

#include <cstddef>
#include <string_view>

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

// Thread-safety: all functions may be called from any thread. Throw std::bad_alloc.

/// Compresses into `out` and returns the bytes written; 0 where `room` does not hold them.
std::size_t compress(Compression codec, std::string_view raw, char* out, std::size_t room);

/// Whether compressed bytes can come to so many at all, as far as a look at their beginning tells:
/// to ask before memory is taken.
bool may_inflate_to(Compression codec, std::string_view compressed, std::size_t raw_bytes) noexcept;

/// Writes exactly `raw_bytes` to `out`. Errors: corrupted where the bytes do not come to that,
/// unknown_format where the library was built without the codec.
Result<void> inflate(Compression codec, std::string_view compressed, char* out,
                     std::size_t raw_bytes);

}  // namespace hyper_lmdb
