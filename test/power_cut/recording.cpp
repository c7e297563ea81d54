#include "recording.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace hyper_lmdb::power {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kMostUnwritten = 1 << 20;

bool all_zero(const char* bytes, std::uint64_t count) {
  return std::all_of(bytes, bytes + count, [](char byte) { return byte == 0; });
}

/// LMDB makes the lock file anew whenever nobody holds it: its content is of no importance.
bool is_ignored(const std::string& name) {
  return name.empty() || name == "." || name == ".." || name.starts_with("lock.mdb");
}

}  // namespace

Recording* Recording::get() {
  static Recording* const one = [] {
    const char* const directory = std::getenv("POWER_CUT_DIRECTORY");
    const char* const marks = std::getenv("POWER_CUT_MARKS");
    return directory == nullptr ? nullptr : new Recording(directory, marks);
  }();
  return one;
}

Recording::Recording(std::string directory, const char* marks)
    : directory_(std::move(directory)), marks_path_(marks == nullptr ? "" : marks) {}

void Recording::opens(const std::string& path) {
  if (path == directory_ || !name_below(path).empty()) begin();
}

void Recording::begin() {
  if (has_begun()) return;
  const char* const path = std::getenv("POWER_CUT_LOG");
  const char* const seed = std::getenv("POWER_CUT_SEED");
  const char* const process = std::getenv("POWER_CUT_PROCESS");
  if (path == nullptr || seed == nullptr || process == nullptr) std::abort();
  log_fd_ = static_cast<int>(
      ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (log_fd_ < 0) std::abort();
  const std::uint64_t number = std::strtoull(process, nullptr, 10);
  random_ = std::strtoull(seed, nullptr, 10) * 1000 + number;
  last_file_ = static_cast<std::uint32_t>(number << 16);
  log(Event::process, 0, number, 0);
  DIR* const listing = ::opendir(directory_.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    const std::string name = entry->d_name;
    struct stat found;
    if (is_ignored(name) || ::stat((directory_ + "/" + name).c_str(), &found) != 0) continue;
    if (!S_ISREG(found.st_mode)) continue;
    sizes_[++last_file_] = static_cast<std::uint64_t>(found.st_size);
    names_[name] = last_file_;
    log(Event::exists, last_file_, 0, 0, name);
  }
  ::closedir(listing);
}

void Recording::log(Event event, std::uint32_t file, std::uint64_t at, std::uint64_t count,
                    std::string_view data) {
  const Head head{event, file, at, count, data.size()};
  unwritten_.append(reinterpret_cast<const char*>(&head), sizeof head);
  unwritten_.append(data);
  if (unwritten_.size() > kMostUnwritten) flush_log();
}

void Recording::flush_log() {
  for (std::size_t done = 0; done < unwritten_.size();) {
    const long count =
        ::syscall(SYS_write, log_fd_, unwritten_.data() + done, unwritten_.size() - done);
    if (count <= 0) std::abort();  // a recording with a hole would prove nothing
    done += static_cast<std::size_t>(count);
  }
  unwritten_.clear();
}

void Recording::random_bytes(void* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t z = random_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    static_cast<unsigned char*>(to)[i] = static_cast<unsigned char>(z >> 32);
  }
}

std::string Recording::path_of(int directory_fd, const char* path) const {
  constexpr std::string_view kByDescriptor = "/proc/self/fd/";
  if (std::string_view(path).starts_with(kByDescriptor)) {
    char* rest = nullptr;
    directory_fd = static_cast<int>(std::strtol(path + kByDescriptor.size(), &rest, 10));
    if (*rest != '/') return path;
    path = rest + 1;
  }
  if (path[0] == '/' || directory_fd == AT_FDCWD) return path;
  const auto found = open_.find(directory_fd);
  return found != open_.end() && found->second.directory ? directory_ + "/" + path : "";
}

std::string Recording::name_below(const std::string& path) const {
  if (!path.starts_with(directory_ + "/")) return {};
  std::string name = path.substr(directory_.size() + 1);
  return is_ignored(name) ? std::string() : name;
}

void Recording::closed(int fd) {
  open_.erase(fd);
  marks_.erase(fd);
}

void Recording::opened(int fd, const std::string& path, int flags) {
  if (!marks_path_.empty() && path == marks_path_) marks_.insert(fd);
  if (path == directory_) {
    open_[fd] = {0, true, false};
    return;
  }
  const std::string name = name_below(path);
  if (name.empty()) return;
  auto found = names_.find(name);
  if (found == names_.end()) {
    found = names_.emplace(name, ++last_file_).first;
    sizes_[last_file_] = 0;
    log(Event::create, last_file_, 0, 0, name);
  }
  open_[fd] = {found->second, false, (flags & O_DSYNC) != 0};
  if ((flags & O_TRUNC) != 0 && sizes_[found->second] != 0) resized(fd, 0);
}

void Recording::renamed(const std::string& from, const std::string& to) {
  const auto found = names_.find(name_below(from));
  if (found == names_.end()) return;
  const std::uint32_t file = found->second;
  names_.erase(found);
  names_[name_below(to)] = file;
  log(Event::rename, file, 0, 0, name_below(to));
}

void Recording::unlinked(const std::string& path) {
  const auto found = names_.find(name_below(path));
  if (found == names_.end()) return;
  log(Event::unlink, found->second, 0, 0, found->first);
  names_.erase(found);
}

void Recording::grown(std::uint32_t file, std::uint64_t bytes) {
  sizes_[file] = std::max(sizes_[file], bytes);
}

/// What a call wrote shows in the maps too, and is not to be logged twice.
void Recording::learn(std::uint32_t file, std::uint64_t at, const char* bytes,
                      std::uint64_t count) {
  for (auto& [start, map] : maps_) {
    if (map.file != file || at >= map.bytes) continue;
    const std::uint64_t part = std::min<std::uint64_t>(count, map.bytes - at);
    if (bytes != nullptr) {
      std::memcpy(map.known.data() + at, bytes, part);
    } else {
      std::memset(map.known.data() + at, 0, part);
    }
  }
}

void Recording::written(int fd, const char* bytes, std::uint64_t count, std::uint64_t at) {
  const Open& open = open_.at(fd);
  const bool zeros = all_zero(bytes, count);
  log(Event::write, open.file, at, count,
      zeros ? std::string_view() : std::string_view(bytes, count));
  learn(open.file, at, bytes, count);
  grown(open.file, at + count);
  if (open.data_sync) log(Event::flush_write, open.file, at, count);
}

void Recording::zeroed(int fd, std::uint64_t at, std::uint64_t count) {
  const std::uint32_t file = open_.at(fd).file;
  const std::uint64_t end = std::min(at + count, sizes_[file]);
  if (at >= end) return;
  log(Event::write, file, at, end - at);
  learn(file, at, nullptr, end - at);
}

void Recording::resized(int fd, std::uint64_t bytes) {
  const std::uint32_t file = open_.at(fd).file;
  const std::uint64_t before = sizes_[file];
  if (bytes < before) learn(file, bytes, nullptr, before - bytes);
  sizes_[file] = bytes;
  log(Event::size, file, bytes, 0);
}

void Recording::reserved(int fd, std::uint64_t bytes) {
  if (bytes > sizes_[open_.at(fd).file]) resized(fd, bytes);
}

void Recording::flushed(int fd, bool data_only) {
  const Open& open = open_.at(fd);
  if (open.directory) {
    log(Event::sync_directory, 0, 0, 0);
  } else {
    log(Event::flush, open.file, data_only ? 1 : 0, 0);
  }
}

void Recording::mapped(int fd, void* at, std::size_t bytes) {
  const std::uint32_t file = open_.at(fd).file;
  Map map{file, bytes, std::vector<char>(bytes)};
  const std::uint64_t there = std::min<std::uint64_t>(bytes, sizes_[file]);
  std::memcpy(map.known.data(), at, there);
  maps_[static_cast<char*>(at)] = std::move(map);
}

void Recording::unmapped(void* at) {
  maps_.erase(static_cast<char*>(at));
}

void Recording::flushed_map(void* at, std::size_t bytes) {
  for (const auto& [start, map] : maps_) {
    char* const from = static_cast<char*>(at);
    if (from < start || from >= start + map.bytes) continue;
    log(Event::flush_range, map.file, static_cast<std::uint64_t>(from - start), bytes);
  }
}

void Recording::mark(std::uint32_t mark, std::uint32_t writer, std::uint64_t number) {
  begin();
  look_at_maps();
  log(Event::mark, mark, number, writer);
  if (static_cast<Mark>(mark) != Mark::end) return;
  flush_log();
  ::_exit(0);
}

ssize_t Recording::said(std::string_view marks) {
  std::uint32_t words[3];
  if (marks.size() % sizeof words != 0) std::abort();
  for (std::size_t i = 0; i < marks.size(); i += sizeof words) {
    std::memcpy(words, marks.data() + i, sizeof words);
    mark(words[0], words[1], words[2]);
  }
  return static_cast<ssize_t>(marks.size());
}

void Recording::look_at_maps() {
  char page[kPage];
  for (auto& [start, map] : maps_) {
    const std::size_t end =
        std::min<std::uint64_t>(map.bytes, (sizes_[map.file] + kPage - 1) / kPage * kPage);
    for (std::size_t at = 0; at < end; at += kPage) {
      char* const known = map.known.data() + at;
      if (std::memcmp(known, start + at, kPage) == 0) continue;
      // Others may be storing there: what is logged is what was seen.
      std::memcpy(page, start + at, kPage);
      std::size_t first = 0, last = kPage;
      while (first < kPage && page[first] == known[first]) ++first;
      while (last > first && page[last - 1] == known[last - 1]) --last;
      std::memcpy(known, page, kPage);
      if (first < last) {
        log(Event::mapped, map.file, at + first, last - first, {page + first, last - first});
      }
    }
  }
}

}  // namespace hyper_lmdb::power
