#include "lmdb/dirty_mark.h"

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

namespace hyper_lmdb {

namespace {

#ifndef __APPLE__
std::string first_line(const std::string& file) {
  const std::string text = read_system_file(file.c_str());
  return text.substr(0, text.find('\n'));
}
#endif

#ifdef __linux__
/// A number that grows whenever a disk is attached; a partition's is that of its disk.
std::string attachment(dev_t device) {
  const std::string block =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  for (const char* file : {"/diskseq", "/../diskseq"}) {
    if (auto number = first_line(block + file); !number.empty()) return number;
  }
  return {};
}
#endif

/// Whether two ids may be of one time: what one of them does not say makes no difference.
bool same_time(std::string_view left, std::string_view right) noexcept {
  if (left.find('/') == std::string_view::npos) right = right.substr(0, right.find('/'));
  if (right.find('/') == std::string_view::npos) left = left.substr(0, left.find('/'));
  return left == right;
}

}  // namespace

std::string boot_id() {
#ifdef __APPLE__
  char id[64] = {};
  std::size_t size = sizeof id;
  if (::sysctlbyname("kern.bootsessionuuid", id, &size, nullptr, 0) != 0) return {};
  return std::string(id);
#else
  return first_line("/proc/sys/kernel/random/boot_id");
#endif
}

std::string boot_id([[maybe_unused]] dev_t device) {
  std::string id = boot_id();
#ifdef __linux__
  if (id.empty()) return id;
  if (const std::string number = attachment(device); !number.empty()) id += "/" + number;
#endif
  return id;
}

Result<MarkState> read_mark(const Directory& directory, const std::string& boot) {
  auto found = directory.read_file(kMarkFile);
  if (!found) return found.error();
  if (!found.value()) return MarkState::clean;
  const std::string_view text = std::string_view(*found.value()).substr(0, kMarkBytes);
  const std::string_view mark = text.substr(0, text.find_last_not_of("\n ") + 1);
  if (mark == kMarkClean) return MarkState::clean;
  return !boot.empty() && same_time(mark, boot) ? MarkState::same_boot : MarkState::other_boot;
}

Result<void> set_mark(const Directory& directory, const std::string& boot) {
  return directory.overwrite_file(kMarkFile, mark_line(boot.empty() ? "unknown" : boot));
}

Result<void> set_mark_failed(const Directory& directory) {
  return directory.overwrite_file(kMarkFile, mark_line(kMarkFailed));
}

Result<void> clear_mark(const Directory& directory) {
  return directory.overwrite_file(kMarkFile, mark_line(kMarkClean));
}

}  // namespace hyper_lmdb
