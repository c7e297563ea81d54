#include "engine/recovery.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <vector>

#include "buffer/pending_batch.h"
#include "engine/checkpoint.h"
#include "format/journal_record.h"
#include "journal/journal_mark.h"
#include "os/errors.h"
#include "os/file_blocks.h"
#include "os/key_hash.h"
#include "os/posix.h"

namespace hyper_lmdb {

namespace {

Error corrupted() noexcept {
  return {.code = Code::corrupted, .operation = "replay journal"};
}

/// Writes a file's bytes over themselves and flushes it. A flush alone would not do: after one that
/// failed the kernel calls pages clean which the disk does not have.
Result<void> write_again(const Directory& directory, const std::string& name) {
  auto opened = directory.open_file(name, Directory::For::writing);
  if (!opened) return opened.error();
  const FileDescriptor& file = opened.value();
  if (auto done = write_over_itself(file.get()); !done) return done;
  if (sync_data(file.get()) == 0) return {};
  Error error = from_errno(errno, "flush journal");
  error.code = Code::io_error;
  return error;
}

bool has_all(const std::vector<std::string>& names, const JournalMark::Segments& marked) {
  if (marked.none()) return true;
  // Whatever the numbers are, this ends with the names.
  if (marked.last - marked.first >= names.size()) return false;
  for (std::uint64_t generation = marked.first; generation <= marked.last; ++generation) {
    const std::string name = journal::segment_name(generation);
    if (!std::binary_search(names.begin(), names.end(), name)) return false;
  }
  return true;
}

Result<void> make_durable(const Directory& directory, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (auto done = write_again(directory, name); !done) return done;
  }
  return directory.sync();
}

}  // namespace

Result<Recovered> recover(Env* env, const Settings& settings) try {
  const FileSizeSignalBlock block;
  Recovered found;
  found.counts = env->counts();
  found.replayed.last_seq = env->applied_seq();
  auto segments = journal_segments(env->directory());
  if (!segments) return segments.error();
  JournalMark mark(env->directory(), env->store_id());
  auto marked = mark.read();
  if (!marked) return marked.error();
  if (!has_all(segments.value(), marked.value())) {
    return Error{.code = Code::journal_mismatch, .operation = "replay journal"};
  }
  if (segments.value().empty()) {
    if (env->applying_seq() > env->applied_seq()) return corrupted();
    return found;
  }
  auto bytes = journal_bytes(env->directory());
  if (!bytes) return bytes.error();
  // More than the nodes of all its records can take.
  const std::uint64_t file_bytes = bytes.value() + (1 << 20);
  auto buffer = std::make_shared<WriteBuffer>(32 * file_bytes, random_seed(), file_bytes);
  auto replayed = replay_journal(
      env->directory(), env->store_id(), env->applied_seq(),
      [&](std::uint64_t seq, std::string_view payload) {
        return read_payload(payload, env->max_key_bytes(), &found.counts,
                            [&](std::string_view key, const WriteBuffer::Outcome& outcome) {
                              if (!buffer->reserve(1, key.size() + outcome.record.size())) {
                                return Result<void>(corrupted());
                              }
                              buffer->insert(key, seq, outcome);
                              return Result<void>();
                            });
      });
  if (!replayed) return replayed.error();
  found.replayed = replayed.value();
  if (env->applying_seq() > found.replayed.last_seq) return corrupted();
  if (settings.read_only) {
    if (!buffer->empty()) found.buffer = std::move(buffer);
    return found;
  }
  if (found.replayed.last_seq > env->applied_seq()) {
    // After a kill the journal may be with the kernel alone, and LMDB must not get ahead of it.
    if (auto durable = make_durable(env->directory(), segments.value()); !durable) {
      return durable.error();
    }
    CheckpointJob job;
    job.begin(buffer.get(), found.replayed.last_seq, found.counts);
    if (auto applied = write_checkpoint(env, &job, [] {}); !applied) return applied.error();
  }
  if (auto done = mark.drop_through(found.replayed.last_generation); !done) return done.error();
  if (auto gone = remove_segments(env->directory(), found.replayed); !gone) return gone.error();
  return found;
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "replay journal"};
}

}  // namespace hyper_lmdb
