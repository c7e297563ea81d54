// One file of the journal, as it is read back: header, records, and what lies behind them.
//
// Nothing read is trusted before it was checked, and nothing is mapped: a file that is cut
// meanwhile only ends earlier.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/journal_record.h"
#include "hyper_lmdb/result.h"
#include "os/directory.h"
#include "os/posix.h"

namespace hyper_lmdb {

/// Thread-safety: none. Every function blocks, and answers io_error where the disk cannot be read.
class JournalReader {
 public:
  struct Record {
    std::uint64_t seq;
    std::uint64_t flushed_seq;
    std::string_view payload;  ///< until the next call
  };

  /// Errors: as Directory::open_file; journal_mismatch for what is not a regular file.
  static Result<JournalReader> open(const Directory& directory, const std::string& name);

  /// To be called first. Errors: unknown_format where the header is not whole, version_mismatch.
  Result<journal::Header> read_header();
  /// Whether nothing but zeros follows the header's page.
  Result<bool> is_bare();

  /// The number of the record behind the header, where there is a whole one.
  Result<std::optional<std::uint64_t>> first_seq();
  /// The next record, which must have this number; nothing where there is none, or it is damaged.
  Result<std::optional<Record>> next(std::uint64_t seq);
  /// After `next` found nothing: whether something is there all the same.
  bool ends_torn() const noexcept { return torn_; }
  /// Whether a whole record from here on says that `seq` was flushed. Looks at every place where a
  /// record could begin. Errors: corrupted where those claim the same bytes again and again.
  Result<bool> says_flushed(std::uint64_t seq);

 private:
  explicit JournalReader(FileDescriptor file) noexcept : file_(std::move(file)) {}

  Result<std::string_view> bytes_at(std::uint64_t at, std::uint64_t count);
  Result<std::optional<Record>> record_at(std::uint64_t at);
  Result<bool> is_blank(std::uint64_t at);

  FileDescriptor file_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t salt_ = 0;
  std::uint64_t at_ = journal::kPageBytes;
  bool torn_ = false;
  std::uint64_t payload_bytes_ = 0;  // that were read so far
  std::string window_;
  std::uint64_t window_at_ = 0;
};

}  // namespace hyper_lmdb
