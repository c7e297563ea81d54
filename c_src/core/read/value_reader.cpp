#include "read/value_reader.h"

#include "format/compression.h"

namespace hyper_lmdb {

Reader::Lookup ValueReader::read(std::string_view key, const Bytes& bytes) {
  if (!bytes) return Bytes();
  auto decoded = decode(*bytes);
  if (!decoded) return decoded.error();
  const Record& record = decoded.value();
  if (record.kind != Kind::value) return Bytes();
  // Before anything is done that takes longer the larger a value is.
  if (auto within = spend(record); !within) return within.error();
  if (record.checksum) {
    if (auto intact = verify(key, *bytes); !intact) return intact.error();
  }
  if (record.codec == Compression::none) return Bytes(record.payload);
  const std::uint64_t size = value_size(record);
  // Whoever wrote the file does not say how much memory this process takes.
  if (size > most_bytes_) return Error{.code = Code::value_too_large, .operation = "inflate"};
  if (auto possible = check_packed(record); !possible) return possible.error();
  char* const raw = scratch_.room(size);
  if (auto done = unpack(record, raw); !done) return done.error();
  return Bytes(std::string_view(raw, size));
}

Result<void> ValueReader::spend(const Record& record) noexcept {
  const std::uint64_t size = value_size(record);
  const std::uint64_t inflated = record.codec == Compression::none ? 0 : size;
  if (size > left_.value_bytes) return Error{.code = Code::work_limit, .operation = "read"};
  if (inflated > left_.inflated_bytes) {
    return Error{.code = Code::work_limit, .operation = "inflate"};
  }
  if (reading_ != nullptr && !reading_->may_touch(record.payload)) return ReadCall::work_limit();
  left_.value_bytes -= size;
  left_.inflated_bytes -= inflated;
  return {};
}

}  // namespace hyper_lmdb
