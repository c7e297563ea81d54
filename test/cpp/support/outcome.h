// What a call answered, as one word that a failing comparison prints.
#pragma once

#include <string>

#include "hyper_lmdb/result.h"

namespace hyper_lmdb::test {

/// "ok", or the code's name, with the option or the index where one is meant.
inline std::string word_of(const Error& error) {
  std::string word = name_of(error.code);
  if (error.option[0] != '\0') word += std::string(" ") + error.option;
  if (error.index != 0) word += " at " + std::to_string(error.index);
  return word;
}

template <typename T>
std::string outcome(const Result<T>& result) {
  return result ? "ok" : word_of(result.error());
}

}  // namespace hyper_lmdb::test
