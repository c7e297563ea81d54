#include "format/compression.h"

#include <cstring>

#include "format/codec.h"
#include "format/scratch.h"

namespace hyper_lmdb {

namespace {

bool is_packed(const Settings& settings, const Op& op) noexcept {
  return op.kind == OpKind::put && op.codec == Compression::none &&
         op.value.size() >= settings.compression_threshold && op.value.size() > 2 * kRawSizeBytes;
}

void pack_one(Compression codec, Op* op, Scratch* scratch, PackedValues* memory) {
  const std::string_view raw = op->value;
  const std::size_t most = raw.size() - raw.size() / 16 - kRawSizeBytes - 1;
  char* const compressed = scratch->room(most);
  const std::size_t size = compress(codec, raw, compressed, most);
  if (size == 0) return;
  auto packed = std::make_unique_for_overwrite<char[]>(kRawSizeBytes + size);
  for (std::size_t i = 0; i < kRawSizeBytes; ++i) {
    packed[i] = static_cast<char>(raw.size() >> (8 * i));
  }
  std::memcpy(packed.get() + kRawSizeBytes, compressed, size);
  op->packed = {packed.get(), kRawSizeBytes + size};
  memory->push_back(std::move(packed));
  op->codec = codec;
}

std::string_view compressed_bytes(const Record& record) noexcept {
  return record.payload.substr(kRawSizeBytes);
}

}  // namespace

std::chrono::nanoseconds packing_time(const Settings& settings, std::span<const Op> ops) noexcept {
  if (settings.compression == Compression::none) return {};
  // Measured on text, on a machine of 2020.
  const bool lz4 = settings.compression == Compression::lz4;
  const std::uint64_t value_ns = lz4 ? 1'000 : 10'000;
  const std::uint64_t ns_per_kib = lz4 ? 2'400 : 4'500;
  std::uint64_t ns = 0;
  for (const Op& op : ops) {
    if (is_packed(settings, op)) ns += value_ns + op.value.size() * ns_per_kib / 1024;
  }
  return std::chrono::nanoseconds(ns);
}

void pack(const Settings& settings, std::span<Op> ops, PackedValues* memory) {
  if (settings.compression == Compression::none) return;
  Scratch scratch;
  for (Op& op : ops) {
    if (is_packed(settings, op)) pack_one(settings.compression, &op, &scratch, memory);
  }
}

Result<void> check_packed(const Record& record) noexcept {
  if (!has_compression(record.codec)) {
    return Error{.code = Code::unknown_format, .operation = "inflate"};
  }
  if (record.codec != Compression::none &&
      !may_inflate_to(record.codec, compressed_bytes(record), value_size(record))) {
    return Error{.code = Code::corrupted, .operation = "inflate"};
  }
  return {};
}

Result<void> unpack(const Record& record, char* out) {
  if (auto possible = check_packed(record); !possible) return possible;
  if (record.codec == Compression::none) {
    if (!record.payload.empty()) std::memcpy(out, record.payload.data(), record.payload.size());
    return {};
  }
  return inflate(record.codec, compressed_bytes(record), out, value_size(record));
}

}  // namespace hyper_lmdb
