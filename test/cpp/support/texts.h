// Bytes that compress well, and bytes that do not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>

namespace hyper_lmdb::test {

/// Words with spaces between them.
inline std::string text_of(std::mt19937_64& random, std::size_t bytes) {
  const char* const words[] = {"store", "journal", "page", "of", "the", "reader", "is", "a"};
  std::string text;
  text.reserve(bytes + 8);
  while (text.size() < bytes) text.append(words[random() % std::size(words)]).append(" ");
  text.resize(bytes);
  return text;
}

inline std::string noise_of(std::mt19937_64& random, std::size_t bytes) {
  std::string noise(bytes, '\0');
  std::generate(noise.begin(), noise.end(), [&] { return static_cast<char>(random()); });
  return noise;
}

}  // namespace hyper_lmdb::test
