// Data files that tests know by their paths.
#pragma once

#include <filesystem>
#include <string>

#include "lmdb/data_file.h"
#include "os/directory.h"

namespace hyper_lmdb::test {

inline Result<Directory> directory_of(const std::string& file) {
  const std::string parent = std::filesystem::path(file).parent_path();
  return Directory::open(parent, {.create = false, .force = true});
}

inline Result<FileShape> inspect(const std::string& file) {
  auto directory = directory_of(file);
  if (!directory) return directory.error();
  const std::string name = std::filesystem::path(file).filename();
  auto opened = directory.value().open_file(name, Directory::For::reading);
  if (!opened) return opened.error();
  return inspect_data_file(opened.value().get());
}

inline Result<Identity> identify(const std::string& file) {
  auto directory = directory_of(file);
  if (!directory) return directory.error();
  const std::string name = std::filesystem::path(file).filename();
  auto opened = directory.value().open_file(name, Directory::For::reading);
  if (!opened) return opened.error();
  return identify_data_file(directory.value(), name, opened.value().get());
}

}  // namespace hyper_lmdb::test
