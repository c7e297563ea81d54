#include "disk.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace hyper_lmdb::power {

void Disk::take(const LogEvent& event) {
  switch (event.event) {
    case Event::process:
    case Event::mark:
      break;
    case Event::exists:
      exists(event);
      break;
    case Event::create: {
      auto file = std::make_shared<File>();
      file->name = *event.data;
      by_number_[event.file] = file;
      names_[file->name] = file;
      pending_names_.push_back({++last_number_, file, {}, file->name});
      break;
    }
    case Event::rename: {
      const FilePtr& file = by_number_.at(event.file);
      pending_names_.push_back({++last_number_, file, file->name, *event.data});
      names_.erase(file->name);
      file->name = *event.data;
      names_[file->name] = file;
      break;
    }
    case Event::unlink:
      pending_names_.push_back({++last_number_, by_number_.at(event.file), *event.data, {}});
      names_.erase(*event.data);
      break;
    case Event::write:
    case Event::mapped:
      write(event);
      break;
    case Event::size:
      resize(by_number_.at(event.file), event.at);
      break;
    case Event::flush:
      flush(by_number_.at(event.file));
      break;
    case Event::flush_range:
    case Event::flush_write:
      flush_range(by_number_.at(event.file), event.at, event.at + event.count);
      break;
    case Event::sync_directory:
      flush_names();
      break;
  }
}

void Disk::exists(const LogEvent& event) {
  FilePtr& file = names_[*event.data];
  if (file == nullptr) {
    file = std::make_shared<File>();
    file->name = *event.data;
    file->durable = Content::of_file(initial_ + "/" + file->name);
    durable_names_[file->name] = file;
  }
  by_number_[event.file] = file;
}

bool Disk::ignores_flush_of(const File& file) const {
  return deaf_ && file.name.starts_with("journal-");
}

void Disk::write(const LogEvent& event) {
  File& file = *by_number_.at(event.file);
  file.writes.push_back({.number = ++last_number_,
                         .at = event.at,
                         .count = event.count,
                         .data = event.data,
                         .mapped = event.event == Event::mapped});
  if (file.writes.back().end() > file.size()) file.sizes.push_back(file.writes.back().end());
}

void Disk::resize(const FilePtr& file, std::uint64_t bytes) {
  if (bytes < file->size()) {
    file->writes.push_back(
        {.number = ++last_number_, .at = bytes, .count = file->size() - bytes, .data = nullptr});
  }
  if (bytes != file->size()) file->sizes.push_back(bytes);
}

void Disk::flush(const FilePtr& file) {
  if (ignores_flush_of(*file)) return;
  for (const PendingWrite& write : file->writes) {
    file->durable.write(write.at, write.bytes(), write.count);
  }
  file->writes.clear();
  file->durable.resize(file->size());
  file->sizes.clear();
}

/// Only the bytes in there, and as much of the size as they need.
void Disk::flush_range(const FilePtr& file, std::uint64_t from, std::uint64_t to) {
  if (ignores_flush_of(*file)) return;
  std::vector<PendingWrite> left;
  const auto keep = [&](const PendingWrite& write, std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    PendingWrite part = write;
    part.at = begin;
    part.count = end - begin;
    part.data_at += begin - write.at;
    left.push_back(std::move(part));
  };
  for (const PendingWrite& write : file->writes) {
    const std::uint64_t begin = std::clamp(from, write.at, write.end());
    const std::uint64_t end = std::clamp(to, write.at, write.end());
    if (begin >= end) {
      left.push_back(write);
      continue;
    }
    const char* const bytes = write.bytes();
    file->durable.write(begin, bytes == nullptr ? nullptr : bytes + (begin - write.at),
                        end - begin);
    keep(write, write.at, begin);
    keep(write, end, write.end());
  }
  file->writes = std::move(left);
  const std::uint64_t needed = std::min(to, file->size());
  if (needed <= file->durable.size()) return;
  file->durable.resize(needed);
  auto later = file->sizes.begin();  // versions from which on it is as large as that
  while (later != file->sizes.end() && *later <= needed) ++later;
  file->sizes.erase(file->sizes.begin(), later);
}

void Disk::flush_names() {
  pending_names_.clear();
  durable_names_ = names_;
}

std::vector<FilePtr> Disk::files() const {
  std::set<FilePtr> all;
  for (const auto& [name, file] : durable_names_) all.insert(file);
  std::vector<FilePtr> files;
  for (const auto& [name, file] : durable_names_) files.push_back(file);
  for (const PendingName& change : pending_names_) {
    if (all.insert(change.file).second) files.push_back(change.file);
  }
  return files;  // in an order that does not depend on where they are in memory
}

}  // namespace hyper_lmdb::power
