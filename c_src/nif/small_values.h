// Values of one call that share a binary.
#pragma once

#include <erl_nif.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace hyper_lmdb::nif {

/// Makes pairs of many values: `{ok, Value}`, or `{Key, Value}`. A binary of more than 64 bytes
/// lies outside the heap of its process, and to make one and to free it takes longer than to copy a
/// small value: so small ones share a binary of at most kChunkBytes, which lives as long as any of
/// them.
class SmallValues {
 public:
  explicit SmallValues(ErlNifEnv* env) noexcept : env_(env) {}

  /// Sets `*answer` to `{first, Value}`, now or in `finish`; copies the value now. False, and
  /// nothing set, where memory is out.
  [[nodiscard]] bool add(ERL_NIF_TERM* answer, ERL_NIF_TERM first, std::string_view value);
  void finish();

  static constexpr std::size_t kChunkBytes = 4096;
  /// Shorter ones lie on the heap of the process, longer ones in a binary of their own.
  static constexpr std::size_t kLeastBytes = 65;
  static constexpr std::size_t kMostBytes = 512;

 private:
  struct Waiting {
    ERL_NIF_TERM* answer;
    ERL_NIF_TERM first;
    std::size_t end;  // of its bytes
  };

  ErlNifEnv* env_;
  std::size_t used_ = 0;
  std::size_t count_ = 0;
  std::array<Waiting, kChunkBytes / kLeastBytes> waiting_;
  std::array<char, kChunkBytes> bytes_;
};

}  // namespace hyper_lmdb::nif
