#include "content.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace hyper_lmdb::power {

Content Content::of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  Content content;
  Page page;
  while (in.read(page.data(), page.size()), in.gcount() > 0) {
    const auto count = static_cast<std::uint64_t>(in.gcount());
    content.write(content.size_, page.data(), count);
    content.size_ += count;
  }
  return content;
}

void Content::resize(std::uint64_t bytes) {
  if (bytes < size_) {
    const std::uint64_t inside = bytes % kPageBytes;
    if (inside != 0) write(bytes, nullptr, kPageBytes - inside);
    pages_.erase(pages_.lower_bound((bytes + kPageBytes - 1) / kPageBytes), pages_.end());
  }
  size_ = bytes;
}

void Content::write(std::uint64_t at, const char* bytes, std::uint64_t count) {
  while (count > 0) {
    const std::uint64_t number = at / kPageBytes, inside = at % kPageBytes;
    const std::uint64_t part = std::min(count, kPageBytes - inside);
    auto found = pages_.find(number);
    if (found != pages_.end() || bytes != nullptr) {
      if (found == pages_.end()) found = pages_.emplace(number, std::make_shared<Page>()).first;
      std::shared_ptr<Page>& page = found->second;
      if (page.use_count() > 1) page = std::make_shared<Page>(*page);
      if (bytes != nullptr) {
        std::memcpy(page->data() + inside, bytes, part);
        bytes += part;
      } else {
        std::memset(page->data() + inside, 0, part);
      }
    }
    at += part;
    count -= part;
  }
}

std::string Content::read(std::uint64_t at, std::uint64_t count) const {
  std::string bytes;
  count = at < size_ ? std::min(count, size_ - at) : 0;
  while (bytes.size() < count) {
    const std::uint64_t inside = at % kPageBytes;
    const std::uint64_t part = std::min(count - bytes.size(), kPageBytes - inside);
    const auto found = pages_.find(at / kPageBytes);
    if (found == pages_.end()) {
      bytes.append(part, '\0');
    } else {
      bytes.append(found->second->data() + inside, part);
    }
    at += part;
  }
  return bytes;
}

std::uint64_t Content::fingerprint() const {
  static constexpr Page kZeros{};
  std::uint64_t sum = size_;
  for (const auto& [number, page] : pages_) {
    if (number * kPageBytes >= size_ || *page == kZeros) continue;
    sum = sum * 31 + XXH3_64bits_withSeed(page->data(), page->size(), number);
  }
  return sum;
}

void Content::store(const std::string& path) const {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool good = fd >= 0 && ::ftruncate(fd, static_cast<off_t>(size_)) == 0;
  for (const auto& [number, page] : pages_) {
    const std::uint64_t at = number * kPageBytes;
    if (at >= size_) break;
    const std::uint64_t part = std::min(kPageBytes, size_ - at);
    good = good &&
           ::pwrite(fd, page->data(), part, static_cast<off_t>(at)) == static_cast<ssize_t>(part);
  }
  ::close(fd);
  if (!good) throw std::runtime_error("cannot write " + path);
}

}  // namespace hyper_lmdb::power
