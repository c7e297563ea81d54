// What a write buffer is made of: a node for each key and one for each of its versions. Both lie in
// the buffer's chunks with their bytes right behind them, and stay as they are until the buffer
// goes; only `newest` changes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace hyper_lmdb {

/// What a key holds.
struct BufferOutcome {
  bool removed = false;
  std::string_view record = {};  ///< empty where removed
};

struct BufferVersion {
  const BufferVersion* older;
  std::uint64_t version;
  std::uint32_t size;
  bool removed;

  BufferOutcome outcome() const noexcept {
    return {.removed = removed, .record = {reinterpret_cast<const char*>(this + 1), size}};
  }
};

struct BufferKey {
  const BufferKey* next;   // in its bucket
  const BufferKey* older;  // the key that came before it
  std::atomic<const BufferVersion*> newest;
  std::uint32_t number;  // from 1, as the keys came
  std::uint16_t hash;    // bits the bucket does not tell
  std::uint16_t size;

  std::string_view key() const noexcept { return {reinterpret_cast<const char*>(this + 1), size}; }

  /// What a view of `version` sees; null where the key came later.
  const BufferVersion* at(std::uint64_t view) const noexcept {
    const BufferVersion* found = newest.load(std::memory_order_acquire);
    while (found != nullptr && found->version > view) found = found->older;
    return found;
  }
};

}  // namespace hyper_lmdb
