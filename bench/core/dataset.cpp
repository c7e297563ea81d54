#include "dataset.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <stdexcept>
#include <system_error>

namespace hyper_lmdb::bench {

namespace {
constexpr std::size_t kSequenceLength = 1 << 20;
constexpr std::size_t kPoolBytes = 64 << 20;
}  // namespace

Dataset::Dataset(std::size_t keys, std::size_t value_bytes)
    : value_bytes_(value_bytes),
      values_(std::clamp<std::size_t>(kPoolBytes / value_bytes, 1, keys)) {
  std::mt19937_64 random(kSeed);
  all_.reserve(keys);
  for (std::size_t i = 0; i < keys; ++i) {
    const std::string text = std::to_string(i);
    if (text.size() > PackedKey::kMaxBytes) throw std::invalid_argument("too many keys");
    all_.emplace_back(text);
  }
  pool_.resize(values_ * value_bytes_);
  for (char& byte : pool_) byte = static_cast<char>(random());
  sequence_.reserve(kSequenceLength);
  for (std::size_t i = 0; i < kSequenceLength; ++i) sequence_.push_back(all_[random() % keys]);
}

TempDir::TempDir(const std::string& parent) : path_(parent + "/hyper_lmdb_bench.XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "mkdtemp " + path_);
  }
}

TempDir::~TempDir() {
  std::error_code failed;
  std::filesystem::remove_all(path_, failed);
  if (failed) std::cerr << "could not remove " << path_ << ": " << failed.message() << '\n';
}

std::string TempDir::make(const std::string& name) const {
  const std::string made = path_ + "/" + name;
  std::filesystem::create_directory(made);
  return made;
}

}  // namespace hyper_lmdb::bench
