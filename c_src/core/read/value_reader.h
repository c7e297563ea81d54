// Values in stored bytes, as their writers gave them.
#pragma once

#include <string_view>

#include "format/record.h"
#include "format/scratch.h"
#include "hyper_lmdb/options.h"
#include "hyper_lmdb/reader.h"
#include "read/read_call.h"
#include "read/view.h"

namespace hyper_lmdb {

/// For one call, whose effort is spent value by value. Thread-safety: none.
class ValueReader {
 public:
  /// `reading`: of a call that may have to leave alone what is not in memory.
  ValueReader(const Settings& settings, const Effort& effort,
              const ReadCall* reading = nullptr) noexcept
      : most_bytes_(settings.max_value_bytes), left_(effort), reading_(reading) {}

  /// The value in stored bytes, where they hold one: a part of them, or valid until the next call.
  /// Throws std::bad_alloc. Errors: corrupted, unknown_format, checksum_mismatch; value_too_large
  /// for a compressed one over max_value_bytes; work_limit.
  Reader::Lookup read(std::string_view key, const Bytes& bytes);

 private:
  Result<void> spend(const Record& record) noexcept;

  const std::uint64_t most_bytes_;
  Effort left_;
  const ReadCall* const reading_;
  Scratch scratch_;
};

}  // namespace hyper_lmdb
