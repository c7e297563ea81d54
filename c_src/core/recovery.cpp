#include "recovery.h"

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "apply_buffer.h"
#include "draft.h"
#include "errors.h"
#include "posix.h"

namespace hyper_lmdb {

namespace {

// Nobody else reads it while it is filled.
constexpr std::uint64_t kNoHashSeed = 0;

Error corrupted() noexcept {
  return {.code = Code::corrupted, .operation = "replay journal"};
}

}  // namespace

Result<Recovered> recover(Env* env, const Settings& settings) try {
  const FileSizeSignalBlock block;
  Recovered found;
  found.counts = env->counts();
  found.replayed.last_seq = env->applied_seq();
  auto segments = journal_segments(env->directory());
  if (!segments) return segments.error();
  if (segments.value().empty()) {
    if (env->applying_seq() > env->applied_seq()) return corrupted();
    return found;
  }
  // More than the nodes of all its records can take.
  std::uint64_t bytes = 1 << 20;
  for (const std::string& name : segments.value()) {
    struct stat file;
    if (::stat(env->directory().file(name).c_str(), &file) != 0) return from_errno(errno, "stat");
    bytes += 32 * static_cast<std::uint64_t>(file.st_size);
  }
  auto buffer = std::make_shared<WriteBuffer>(bytes, kNoHashSeed);
  auto replayed = replay_journal(
      env->directory(), env->store_id(), env->applied_seq(),
      [&](std::uint64_t seq, std::string_view payload) {
        return read_payload(payload, &found.counts,
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
    // A kill leaves records that only the page cache has: the first of several transactions must
    // not say that the tree is on the way to them before the disk has them too.
    if (auto flushed = flush_segments(env->directory()); !flushed) return flushed.error();
    std::atomic<std::uint64_t> done{0};
    const ApplyJob job{
        .buffer = buffer.get(), .seq = found.replayed.last_seq, .counts = found.counts};
    if (auto applied = apply_buffer(env, job, &done); !applied) return applied.error();
  }
  if (auto gone = remove_segments(env->directory(), found.replayed.last_generation); !gone) {
    return gone.error();
  }
  return found;
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "replay journal"};
}

}  // namespace hyper_lmdb
