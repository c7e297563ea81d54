// The recorder's state: which files of the directory are open and mapped, and the log.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "events.h"

namespace hyper_lmdb::power {

/// Thread-safety: none; every function is called with `mutex` held. The mutex is held over the real
/// call too, so that the log has the calls in the order in which they happened.
class Recording {
 public:
  /// The one of this process, made at the first call; nothing where nothing is recorded.
  static Recording* get();

  std::mutex mutex;

  /// Nothing is recorded before a name of the directory is about to be opened, or a mark is set:
  /// the programs that lead to the one that uses the store leave no trace.
  void opens(const std::string& path);
  bool has_begun() const { return log_fd_ >= 0; }

  bool is_open(int fd) const { return open_.contains(fd); }
  bool takes_marks(int fd) const { return marks_.contains(fd); }
  bool is_mapped(void* at) const { return maps_.contains(static_cast<char*>(at)); }
  void opened(int fd, const std::string& path, int flags);
  void closed(int fd);
  void renamed(const std::string& from, const std::string& to);
  void unlinked(const std::string& path);
  void written(int fd, const char* bytes, std::uint64_t count, std::uint64_t at);
  void zeroed(int fd, std::uint64_t at, std::uint64_t count);
  void resized(int fd, std::uint64_t bytes);
  /// For posix_fallocate, which never makes a file smaller.
  void reserved(int fd, std::uint64_t bytes);
  void flushed(int fd, bool data_only);
  void mapped(int fd, void* at, std::size_t bytes);
  void unmapped(void* at);
  void flushed_map(void* at, std::size_t bytes);
  /// Mark::end ends the process, as a kill would.
  void mark(std::uint32_t mark, std::uint32_t writer, std::uint64_t number);
  /// What a program that cannot call power_cut_mark writes to POWER_CUT_MARKS: mark, writer and
  /// number, of 32 bits each. Returns how much of it was taken, which is all.
  ssize_t said(std::string_view marks);
  /// Looks for what was stored into the maps since the last look.
  void look_at_maps();
  /// Bytes that repeat from run to run.
  void random_bytes(void* to, std::size_t count);
  /// The path a call means.
  std::string path_of(int directory_fd, const char* path) const;

 private:
  struct Open {
    std::uint32_t file;
    bool directory;
    bool data_sync;
  };
  struct Map {
    std::uint32_t file;
    std::size_t bytes;
    std::vector<char> known;  // what it held at the last look
  };

  Recording(std::string directory, const char* marks);
  void begin();
  void flush_log();
  std::string name_below(const std::string& path) const;
  void grown(std::uint32_t file, std::uint64_t bytes);
  void learn(std::uint32_t file, std::uint64_t at, const char* bytes, std::uint64_t count);
  void log(Event event, std::uint32_t file, std::uint64_t at, std::uint64_t count,
           std::string_view data = {});

  const std::string directory_;
  const std::string marks_path_;  // a file of that path is none: what is written to it are marks
  int log_fd_ = -1;
  std::string unwritten_;
  std::uint64_t random_ = 0;
  std::uint32_t last_file_ = 0;
  std::map<std::string, std::uint32_t> names_;
  std::map<std::uint32_t, std::uint64_t> sizes_;
  std::unordered_map<int, Open> open_;
  std::unordered_set<int> marks_;
  std::map<char*, Map> maps_;
};

}  // namespace hyper_lmdb::power
