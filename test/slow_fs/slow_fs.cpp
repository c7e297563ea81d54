// A directory seen through a slow disk: every read of one file takes a while, as on a disk that has
// to seek. What the kernel has cached costs nothing, as on any disk.
//
//   slow_fs SOURCE MOUNTPOINT FILE_NAME DELAY_MS
//
// Stays in the foreground until it is unmounted. On SIGUSR1 the kernel forgets what it has cached
// of the file, mapped pages too, and a line says so. For tests: one user, no links, no special
// files.
#define FUSE_USE_VERSION 314
#include <dirent.h>
#include <fcntl.h>
#include <fuse.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

namespace {

constexpr unsigned kThreads = 64;  // reads that wait at the same time

struct SlowDisk {
  std::string source;
  std::string slow_file;  // as a path from the mount point
  std::chrono::milliseconds delay{0};
};
SlowDisk disk;

std::string at(const char* path) {
  return disk.source + path;
}
int result(int rc) noexcept {
  return rc == -1 ? -errno : 0;
}

int get_attributes(const char* path, struct stat* found, fuse_file_info*) {
  return result(::lstat(at(path).c_str(), found));
}
int make_directory(const char* path, mode_t mode) {
  return result(::mkdir(at(path).c_str(), mode));
}
int remove_file(const char* path) {
  return result(::unlink(at(path).c_str()));
}
int remove_directory(const char* path) {
  return result(::rmdir(at(path).c_str()));
}
int rename_file(const char* from, const char* to, unsigned flags) {
  if (flags != 0) return -EINVAL;
  return result(::rename(at(from).c_str(), at(to).c_str()));
}
int change_mode(const char* path, mode_t mode, fuse_file_info*) {
  return result(::chmod(at(path).c_str(), mode));
}
int change_size(const char* path, off_t size, fuse_file_info* file) {
  return result(file != nullptr ? ::ftruncate(static_cast<int>(file->fh), size)
                                : ::truncate(at(path).c_str(), size));
}
int change_times(const char* path, const timespec times[2], fuse_file_info*) {
  return result(::utimensat(AT_FDCWD, at(path).c_str(), times, AT_SYMLINK_NOFOLLOW));
}

int open_with(const char* path, fuse_file_info* file, int flags, mode_t mode) {
  const int fd = ::open(at(path).c_str(), flags, mode);
  if (fd == -1) return -errno;
  file->fh = static_cast<std::uint64_t>(fd);
  file->keep_cache = 1;
  return 0;
}
int open_file(const char* path, fuse_file_info* file) {
  return open_with(path, file, file->flags, 0);
}
int create_file(const char* path, mode_t mode, fuse_file_info* file) {
  return open_with(path, file, file->flags | O_CREAT, mode);
}
int close_file(const char*, fuse_file_info* file) {
  return result(::close(static_cast<int>(file->fh)));
}

int read_file(const char* path, char* buffer, std::size_t size, off_t offset,
              fuse_file_info* file) {
  if (disk.slow_file == path) std::this_thread::sleep_for(disk.delay);
  const ssize_t got = ::pread(static_cast<int>(file->fh), buffer, size, offset);
  return got == -1 ? -errno : static_cast<int>(got);
}
int write_file(const char*, const char* bytes, std::size_t size, off_t offset,
               fuse_file_info* file) {
  const ssize_t put = ::pwrite(static_cast<int>(file->fh), bytes, size, offset);
  return put == -1 ? -errno : static_cast<int>(put);
}
int flush_file(const char*, int data_only, fuse_file_info* file) {
  const int fd = static_cast<int>(file->fh);
  return result(data_only != 0 ? ::fdatasync(fd) : ::fsync(fd));
}
int flush_directory(const char* path, int, fuse_file_info*) {
  const int fd = ::open(at(path).c_str(), O_RDONLY | O_DIRECTORY);
  if (fd == -1) return -errno;
  const int done = result(::fsync(fd));
  ::close(fd);
  return done;
}
int allocate(const char*, int mode, off_t offset, off_t size, fuse_file_info* file) {
  return result(::fallocate(static_cast<int>(file->fh), mode, offset, size));
}
int file_system(const char* path, struct statvfs* found) {
  return result(::statvfs(at(path).c_str(), found));
}

int read_directory(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*,
                   fuse_readdir_flags) {
  DIR* const directory = ::opendir(at(path).c_str());
  if (directory == nullptr) return -errno;
  while (const dirent* entry = ::readdir(directory)) {
    if (fill(buffer, entry->d_name, nullptr, 0, fuse_fill_dir_flags{}) != 0) break;
  }
  ::closedir(directory);
  return 0;
}

/// The kernel is to use its cache: asks nobody again for a minute, reads ahead as on any disk.
void* begin(fuse_conn_info* connection, fuse_config* settings) {
  settings->attr_timeout = settings->entry_timeout = 60;
  settings->use_ino = 1;
  connection->max_background = kThreads;
  connection->congestion_threshold = kThreads;
  // The mount stands: whoever waits for it may go on.
  std::puts("mounted");
  std::fflush(stdout);
  return nullptr;
}

const fuse_operations operations = [] {
  fuse_operations made{};
  made.getattr = get_attributes;
  made.mkdir = make_directory;
  made.unlink = remove_file;
  made.rmdir = remove_directory;
  made.rename = rename_file;
  made.chmod = change_mode;
  made.truncate = change_size;
  made.utimens = change_times;
  made.open = open_file;
  made.create = create_file;
  made.release = close_file;
  made.read = read_file;
  made.write = write_file;
  made.fsync = flush_file;
  made.fsyncdir = flush_directory;
  made.fallocate = allocate;
  made.statfs = file_system;
  made.readdir = read_directory;
  made.init = begin;
  return made;
}();

/// Drops the cached pages at each SIGUSR1, which every thread has blocked.
void forget_on_signal(fuse* file_system, const sigset_t& signals) {
  for (int signal = 0; sigwait(&signals, &signal) == 0;) {
    const int done = fuse_invalidate_path(file_system, disk.slow_file.c_str());
    std::printf(done == 0 ? "forgotten\n" : "not forgotten: %d\n", done);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: slow_fs SOURCE MOUNTPOINT FILE_NAME DELAY_MS\n", stderr);
    return 2;
  }
  disk = {.source = argv[1],
          .slow_file = std::string("/") + argv[3],
          .delay = std::chrono::milliseconds(std::atoi(argv[4]))};
  umask(0);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&arguments, argv[0]);
  fuse_opt_add_arg(&arguments, "-ofsname=slow_fs");
  fuse* const file_system = fuse_new(&arguments, &operations, sizeof operations, nullptr);
  if (file_system == nullptr) return 1;
  if (fuse_mount(file_system, argv[2]) != 0) return 1;
  std::thread(forget_on_signal, file_system, signals).detach();
  fuse_set_signal_handlers(fuse_get_session(file_system));
  fuse_loop_config* const loop = fuse_loop_cfg_create();
  fuse_loop_cfg_set_max_threads(loop, kThreads);
  const int ended = fuse_loop_mt(file_system, loop);
  fuse_loop_cfg_destroy(loop);
  fuse_remove_signal_handlers(fuse_get_session(file_system));
  fuse_unmount(file_system);
  std::_Exit(ended == 0 ? 0 : 1);  // the thread that waits for signals is still there
}
