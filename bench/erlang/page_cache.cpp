#include "page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace hyper_lmdb::bench {

#ifdef __linux__

namespace {

[[noreturn]] void fail(const char* call, int code) {
  throw std::system_error(code, std::generic_category(), call);
}

class File {
 public:
  explicit File(const std::string& name) : fd_(::open(name.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail("open", errno);
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

void drop_pages(const std::string& name) {
  const File file(name);
  if (::fdatasync(file.fd()) != 0) fail("fdatasync", errno);
  if (const int code = ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED); code != 0) {
    fail("posix_fadvise", code);
  }
}

Residence residence(const std::string& name) {
  const File file(name);
  struct stat status;
  if (::fstat(file.fd(), &status) != 0) fail("fstat", errno);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {};
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd(), 0);
  if (map == MAP_FAILED) fail("mmap", errno);
  std::vector<unsigned char> pages((size + page - 1) / page);
  const int looked = ::mincore(map, size, pages.data());
  const int code = errno;
  ::munmap(map, size);
  if (looked != 0) fail("mincore", code);
  const auto is_resident = [](unsigned char one) { return (one & 1) != 0; };
  return {pages.size(),
          static_cast<std::size_t>(std::count_if(pages.begin(), pages.end(), is_resident))};
}

#else

void drop_pages(const std::string&) {
  throw std::runtime_error("dropping a file's pages is written for Linux only");
}
Residence residence(const std::string&) {
  throw std::runtime_error("looking at a file's pages is written for Linux only");
}

#endif

}  // namespace hyper_lmdb::bench
