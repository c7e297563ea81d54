// Values compressed and brought back.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "format/record.h"
#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// Roughly how long `pack` takes for these; 0 where it leaves all as they are.
std::chrono::nanoseconds packing_time(const Settings& settings, std::span<const Op> ops) noexcept;

/// Compresses the values that the settings say, where that saves a sixteenth at least. Throws
/// std::bad_alloc.
void pack(const Settings& settings, std::span<Op> ops, PackedValues* memory);

/// The value of a put as it is stored.
inline std::string_view stored_value(const Op& op) noexcept {
  return op.codec == Compression::none ? op.value : op.packed;
}

/// The record a put comes to.
inline Record record_of(const Op& op, bool group, bool checksum) noexcept {
  return {.kind = Kind::value,
          .group = group,
          .checksum = checksum,
          .payload = stored_value(op),
          .codec = op.codec};
}

/// Writes the value of a record, `value_size` bytes. Throws std::bad_alloc. Errors: corrupted,
/// unknown_format where the library was built without the codec.
Result<void> unpack(const Record& record, char* out);

/// Whether `unpack` may work, before memory is taken for it. Errors: as `unpack`.
Result<void> check_packed(const Record& record) noexcept;

}  // namespace hyper_lmdb
