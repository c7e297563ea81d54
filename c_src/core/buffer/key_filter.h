// Tells most keys that a write buffer does not hold without a look at its index or its nodes, which
// mostly lie outside the processor's caches: a Bloom filter whose bits for one key share a word.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hyper_lmdb {

/// Thread-safety: one thread at a time adds; any thread may ask meanwhile. All accesses are
/// relaxed: who has to find a key has synchronized with what came after its `add` by other means.
class KeyFilter {
 public:
  using Word = std::atomic<std::uint64_t>;

  /// `words` are zero at first; their number is a power of two.
  KeyFilter(Word* words, std::size_t count) noexcept : words_(words), last_(count - 1) {
    static_assert(sizeof(Word) == sizeof(std::uint64_t) && Word::is_always_lock_free);
  }

  /// False: no key of this hash was added. True: one was, or it is one of a few in a hundred.
  bool may_hold(std::uint64_t hash) const noexcept {
    const std::uint64_t bits = bits_of(hash);
    return (word_of(hash).load(std::memory_order_relaxed) & bits) == bits;
  }
  void add(std::uint64_t hash) noexcept {
    Word& word = word_of(hash);  // nobody else stores
    word.store(word.load(std::memory_order_relaxed) | bits_of(hash), std::memory_order_relaxed);
  }

 private:
  Word& word_of(std::uint64_t hash) const noexcept { return words_[hash & last_]; }
  static std::uint64_t bits_of(std::uint64_t hash) noexcept {
    const auto bit = [&](int from) { return std::uint64_t{1} << (hash >> from & 63); };
    return bit(40) | bit(46) | bit(52) | bit(58);
  }

  Word* words_;
  std::size_t last_;
};

}  // namespace hyper_lmdb
