// What the system's page cache holds of a file, and how to make it hold nothing. Linux only.
#pragma once

#include <cstddef>
#include <string>

namespace hyper_lmdb::bench {

struct Residence {
  std::size_t pages = 0;
  std::size_t resident = 0;
};

/// Writes the file's pages back and asks the system to drop those that nobody has mapped: no root
/// needed, and no other file's pages go. File systems without a disk keep them: look afterwards.
void drop_pages(const std::string& file);

/// Counts the file's pages in the page cache (mincore), touching none.
Residence residence(const std::string& file);

}  // namespace hyper_lmdb::bench
