#include "clean_mark.h"

#include <fcntl.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

namespace hyper_lmdb {

std::string boot_id() {
#ifdef __APPLE__
  char id[64] = {};
  std::size_t size = sizeof id;
  if (::sysctlbyname("kern.bootsessionuuid", id, &size, nullptr, 0) != 0) return {};
  return std::string(id);
#else
  FileDescriptor fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char id[64];
  const ssize_t count = fd ? ::read(fd.get(), id, sizeof id) : -1;
  if (count <= 0) return {};
  std::string text(id, static_cast<std::size_t>(count));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
#endif
}

Result<MarkState> read_mark(const Directory& directory, const std::string& boot) {
  auto found = directory.read_file(kMarkFile);
  if (!found) return found.error();
  if (!found.value()) return MarkState::clean;
  return !boot.empty() && *found.value() == boot ? MarkState::same_boot : MarkState::other_boot;
}

Result<void> set_mark(const Directory& directory, const std::string& boot) {
  return directory.write_file(kMarkFile, boot);
}

Result<void> clear_mark(const Directory& directory) {
  return directory.remove_file(kMarkFile);
}

}  // namespace hyper_lmdb
