#include "clean_mark.h"

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

namespace hyper_lmdb {

namespace {

constexpr std::string_view kClean = "clean";
constexpr std::size_t kMarkBytes = 64;

std::string padded(std::string_view text) {
  std::string bytes(text.substr(0, kMarkBytes - 1));
  bytes.resize(kMarkBytes - 1, ' ');
  return bytes + '\n';
}

}  // namespace

std::string boot_id() {
#ifdef __APPLE__
  char id[64] = {};
  std::size_t size = sizeof id;
  if (::sysctlbyname("kern.bootsessionuuid", id, &size, nullptr, 0) != 0) return {};
  return std::string(id);
#else
  std::string text = read_system_file("/proc/sys/kernel/random/boot_id");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
#endif
}

Result<MarkState> read_mark(const Directory& directory, const std::string& boot) {
  auto found = directory.read_file(kMarkFile);
  if (!found) return found.error();
  if (!found.value()) return MarkState::clean;
  const std::string_view text = std::string_view(*found.value()).substr(0, kMarkBytes);
  const std::string_view mark = text.substr(0, text.find_last_not_of("\n ") + 1);
  if (mark == kClean) return MarkState::clean;
  return !boot.empty() && mark == boot ? MarkState::same_boot : MarkState::other_boot;
}

Result<void> set_mark(const Directory& directory, const std::string& boot) {
  return directory.overwrite_file(kMarkFile, padded(boot.empty() ? "unknown" : boot));
}

Result<void> clear_mark(const Directory& directory) {
  return directory.overwrite_file(kMarkFile, padded(kClean));
}

}  // namespace hyper_lmdb
