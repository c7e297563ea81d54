// Which segments a start must find: so a store that was not closed knows that it had a journal.
//
// This stands behind the mark of map_async (dirty_mark.h), in the same sector of `dirty.mark`, and
// is written over in place: store id, first and last generation, checksum. It may say too little
// and never too much, as a healthy store must start: a segment is in it once the segment is on disk
// with its name, and no longer when its file is removed. What is damaged, or of another store, as
// beside a backup that was put in the place of `data.mdb`, says nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hyper_lmdb/result.h"
#include "os/directory.h"
#include "os/posix.h"

namespace hyper_lmdb {

/// Thread-safety: none. All functions block.
class JournalMark {
 public:
  /// Generations; none where `first` is beyond `last`.
  struct Segments {
    std::uint64_t first = 1;
    std::uint64_t last = 0;
    bool none() const noexcept { return first > last; }
    friend bool operator==(const Segments&, const Segments&) = default;
  };

  /// `directory` must outlive it. Nothing is read or written yet.
  JournalMark(const Directory& directory, std::string store_id)
      : directory_(&directory), store_id_(std::move(store_id)) {}

  /// Takes the descriptor now, not with the first segment. Errors: as Directory::open_file.
  Result<void> open();

  /// What the file says. Errors: as Directory::read_file.
  Result<Segments> read();

  /// The segment of this generation, the newest, is on disk with its name. Durable when it returns.
  /// Errors, all three: too_many_files, disk_full, io_error; then the file says the one or the
  /// other.
  Result<void> add(std::uint64_t generation);
  /// The newest segment, which has no records, is about to go.
  Result<void> take_back(std::uint64_t generation);
  /// LMDB has the segments up to this one, durably.
  Result<void> drop_through(std::uint64_t generation);
  /// Lets go of the file, which stays.
  void close() noexcept { file_.reset(); }

 private:
  Result<void> say(Segments segments);

  const Directory* directory_;
  std::string store_id_;
  FileDescriptor file_;  // kept open: there may be no descriptor when a file has to go
  Segments segments_;    // the file may say no more than this
  bool durable_ = true;
};

}  // namespace hyper_lmdb
