// A file system of a few megabytes, for tests that fill one.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "support/child.h"
#include "support/skip.h"
#include "support/temp_dir.h"

namespace hyper_lmdb::test {

/// Mounts a tmpfs over `path`, seen by this process and its children only; gone when they end.
/// False where that is not allowed. To be called in a child.
inline bool mount_small_disk(const std::string& path, std::uint64_t bytes) {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const std::string options = "size=" + std::to_string(bytes);
  return ::mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

/// Gives the tmpfs another size.
inline bool resize_small_disk(const std::string& path, std::uint64_t bytes) {
  const std::string options = "size=" + std::to_string(bytes);
  return ::mount("none", path.c_str(), nullptr, MS_REMOUNT, options.c_str()) == 0;
}

/// Takes the room that is left with a file of its own.
inline void take_all_room(const std::string& path) {
  write_whole(path, "");
  const int fd = ::open(path.c_str(), O_WRONLY);
  const std::string bytes(4096, 'b');
  while (::write(fd, bytes.data(), bytes.size()) > 0) {
  }
  ::close(fd);
}

/// For a child that ends with kSkipped where it cannot do its part.
inline void require_done_or_skipped(const std::string& ended, const char* reason) {
  if (ended == "exit " + std::to_string(kSkipped)) return skip(reason);
  CHECK(ended == "exit 0");
}

}  // namespace hyper_lmdb::test
