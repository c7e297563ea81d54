// What a disk surely has of a directory, and what it may have besides: see README.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "content.h"
#include "log_reader.h"

namespace hyper_lmdb::power {

/// Bytes that were written and not flushed.
struct PendingWrite {
  std::uint64_t number;  // of all that is pending anywhere, in order
  std::uint64_t at;
  std::uint64_t count;
  std::shared_ptr<const std::string> data;  // null: zeros
  std::uint64_t data_at = 0;                // where its bytes begin in there
  bool mapped = false;

  const char* bytes() const { return data == nullptr ? nullptr : data->data() + data_at; }
  std::uint64_t end() const { return at + count; }
};

struct File {
  std::string name;  // the last it had
  Content durable;
  std::vector<PendingWrite> writes;
  std::vector<std::uint64_t> sizes;  // it had since the flushed one, in order; the last is now's

  std::uint64_t size() const { return sizes.empty() ? durable.size() : sizes.back(); }
};
using FilePtr = std::shared_ptr<File>;

/// A name that came or went and is not flushed.
struct PendingName {
  std::uint64_t number;
  FilePtr file;
  std::string gone;  // empty: none
  std::string come;  // empty: none
};

using Names = std::map<std::string, FilePtr>;

class Disk {
 public:
  /// Files that are there when the recording begins are on disk, and stand in `initial`. With
  /// `deaf_to_journal` a flush of a journal's file flushes nothing.
  Disk(std::string initial, bool deaf_to_journal)
      : initial_(std::move(initial)), deaf_(deaf_to_journal) {}

  void take(const LogEvent& event);

  const Names& durable_names() const { return durable_names_; }
  const std::vector<PendingName>& pending_names() const { return pending_names_; }
  /// Every file that may have a name.
  std::vector<FilePtr> files() const;
  const FilePtr& file(std::uint32_t number) const { return by_number_.at(number); }
  /// As of the process that was cut off.
  const Names& names() const { return names_; }

 private:
  void exists(const LogEvent& event);
  void write(const LogEvent& event);
  void resize(const FilePtr& file, std::uint64_t bytes);
  void flush(const FilePtr& file);
  void flush_range(const FilePtr& file, std::uint64_t from, std::uint64_t to);
  void flush_names();
  bool ignores_flush_of(const File& file) const;

  const std::string initial_;
  const bool deaf_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint32_t, FilePtr> by_number_;
  Names names_;
  Names durable_names_;
  std::vector<PendingName> pending_names_;
};

}  // namespace hyper_lmdb::power
