// A directory for one test, removed with all it holds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hyper_lmdb::test {

class TempDir {
 public:
  TempDir() : TempDir(std::filesystem::temp_directory_path()) {}
  explicit TempDir(const std::filesystem::path& parent) {
    std::string pattern = (parent / "hyper_lmdb_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "mkdtemp " + pattern);
    }
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;  // a destructor has nobody to tell
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Where a flush costs nothing, if there is such a place: for tests of many synced writes that are
/// not about the disk.
inline std::filesystem::path memory_directory() {
  const std::filesystem::path memory = "/dev/shm";
  std::error_code absent;
  const auto space = std::filesystem::space(memory, absent);
  constexpr std::uintmax_t kEnough = 512 << 20;
  return !absent && space.available >= kEnough ? memory : std::filesystem::temp_directory_path();
}

/// The file's bytes, or the first so many of them.
inline std::string read_whole(const std::string& path, std::size_t most = SIZE_MAX) {
  std::string bytes(std::min<std::uintmax_t>(std::filesystem::file_size(path), most), '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!in) throw std::runtime_error("cannot read " + path);
  return bytes;
}

inline void write_whole(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

/// Open descriptors of this process: what a failed open must not leave behind.
inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace hyper_lmdb::test
