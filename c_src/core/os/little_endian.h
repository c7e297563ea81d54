// Numbers as they stand in records, whatever the machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hyper_lmdb {

inline void store_little_endian(std::uint64_t value, char* out) noexcept {
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (8 * i));
}

inline std::uint64_t load_little_endian(const char* bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
  }
  return value;
}

inline void append_little_endian(std::string* bytes, std::uint64_t value) {
  char number[8];
  store_little_endian(value, number);
  bytes->append(number, sizeof number);
}

}  // namespace hyper_lmdb
