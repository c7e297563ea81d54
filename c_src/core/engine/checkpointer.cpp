#include "engine/checkpointer.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "os/errors.h"
#include "os/posix.h"

namespace hyper_lmdb {

namespace {

using std::chrono::steady_clock;

constexpr auto kBetweenTries = std::chrono::seconds(1);
constexpr auto kBetweenLooks = std::chrono::milliseconds(1);

/// Whether what went wrong may be right again later, with nothing lost meanwhile.
bool may_pass(Code code) noexcept {
  return code == Code::disk_full || code == Code::quota_exceeded || code == Code::file_too_large ||
         code == Code::no_memory || code == Code::map_full || code == Code::no_such_directory;
}

}  // namespace

Result<void> Checkpointer::start(const ThreadApi& threads) {
  if (const int rc = threads.start("hyper_lmdb_ap", &Checkpointer::run, this, &thread_); rc != 0) {
    return from_thread_start(rc);
  }
  return {};
}

void Checkpointer::stop(const ThreadApi& threads) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_ != nullptr) threads.join(std::exchange(thread_, nullptr));
}

void Checkpointer::give(std::shared_ptr<const WriteBuffer> buffer, std::uint64_t seq,
                        const RecordCounts& counts, Next next) {
  const std::lock_guard lock(mutex_);
  job_.begin(buffer.get(), seq, counts);
  next_ = next;
  applied_ = false;
  buffer_ = std::move(buffer);
  given_.store(seq, std::memory_order_relaxed);
  idle_.store(false, std::memory_order_release);
  wake_.notify_one();
}

/// Rests a while where there is time. False where somebody waits. A job that could not be finished
/// before is not held up: those who wait for it were told, and are not known here.
bool Checkpointer::pause(Doing doing) noexcept {
  const auto now = steady_clock::now();
  if (stalled() || !pace_.due(now)) return true;
  const double fullness = std::max(buffers_->active()->fullness(), log_->fullness());
  const auto rest = pace_.rest(now, progress(), fullness);
  if (rest.count() == 0) return true;
  std::unique_lock lock(mutex_);
  const bool awaited = wake_.wait_for(lock, rest, [&] {
    return stopping_ || waiting_ != 0 || (doing == Doing::cleaning_up && !idle());
  });
  pace_.rested(steady_clock::now());
  return !awaited;
}

double Checkpointer::progress() const noexcept {
  return idle() ? 1 : job_.progress();
}

Result<void> Checkpointer::wait_idle() {
  std::unique_lock lock(mutex_);
  const Hurry hurry(this);
  finished_.wait(lock, [&] { return idle() || !stall_; });
  return idle() ? Result<void>() : stall_;
}

Result<void> Checkpointer::wait_cleaned_up() {
  std::unique_lock lock(mutex_);
  const Hurry hurry(this);
  finished_.wait(lock, [&] { return cleaned_up_ || !stall_; });
  return cleaned_up_ ? Result<void>() : stall_;
}

void Checkpointer::try_again() {
  const std::lock_guard lock(mutex_);
  if (ended_ || stall_) return;
  stall_ = {};
  again_ = true;
  wake_.notify_one();
}

std::chrono::nanoseconds Checkpointer::wait_past(double fraction, std::chrono::nanoseconds most) {
  using std::chrono::nanoseconds;
  const auto until = steady_clock::now() + most;
  std::unique_lock lock(mutex_);
  const Hurry hurry(this);
  for (;;) {
    const nanoseconds left = std::max(nanoseconds(0), nanoseconds(until - steady_clock::now()));
    if (idle() || !stall_ || progress() > fraction || left.count() == 0) return left;
    // Progress is counted without the lock: looked at again before long.
    finished_.wait_for(lock, std::min<nanoseconds>(left, kBetweenLooks));
  }
}

void* Checkpointer::run(void* self) {
  static_cast<Checkpointer*>(self)->loop();
  return nullptr;
}

/// Everything of the buffer is in the journal on disk before the first transaction begins.
Result<void> Checkpointer::do_job() noexcept try {
  if (!applied_) {
    if (auto flushed = log_->flush(); !flushed) return flushed;
    // The journal must not go where LMDB's file will not be found again.
    if (auto named = env_->check_named(); !named) return named;
    job_.flushed();
    // What is in the way of a spare segment will be in the writer's way, and is said there.
    if (next_ == Next::soon && !stalled()) (void)log_->make_spare();
    pace_.begin(steady_clock::now(), job_.progress(), buffer_->keys());
    if (auto applied = write_checkpoint(env_, &job_, [this] { pause(Doing::job); }); !applied) {
      // It may have taken the room that LMDB was refused.
      if (may_pass(applied.error().code)) (void)log_->remove_spare();
      return applied;
    }
    applied_ = true;
  }
  if (buffers_->frozen() != nullptr) buffers_->drop_frozen();
  log_->retire_frozen();
  return {};
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "apply"};
}

/// What is left of a job once writers no longer wait for it; they may have given the next one.
Result<void> Checkpointer::clean_up() noexcept try {
  applied_buffer_.reset();
  // From here on only snapshots keep the buffer.
  if (snapshots_ != nullptr) snapshots_->enforce();
  buffers_->collect([&](const BufferSet::Generation* state) { return pool_->pins(state); });
  if (to_rest_) {
    buffers_->chunks()->rest();
    // One that cannot be removed is in nobody's way, and is of use to the next write.
    (void)log_->remove_spare();
  }
  return log_->remove_retired([this] { return pause(Doing::cleaning_up); });
} catch (const std::bad_alloc&) {
  return Error{.code = Code::no_memory, .operation = "remove journal"};
}

void Checkpointer::loop() {
  const FileSizeSignalBlock block;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || !idle() || !cleaned_up_; });
    if (idle() && cleaned_up_) return;
    const bool to_clean_up = !cleaned_up_;  // first: not more than one job leaves something
    lock.unlock();
    const Result<void> done = to_clean_up ? clean_up() : do_job();
    lock.lock();
    stall_ = done;
    stalled_.store(!done, std::memory_order_release);
    if (done) {
      cleaned_up_ = to_clean_up;
      if (!to_clean_up) {
        applied_buffer_ = std::move(buffer_);
        to_rest_ = next_ == Next::perhaps_never;
        count_.fetch_add(1, std::memory_order_relaxed);
        idle_.store(true, std::memory_order_release);
      }
      finished_.notify_all();
      continue;
    }
    finished_.notify_all();
    // A file that cannot be removed is in the way of the next job, and of nothing else.
    if (!to_clean_up && !may_pass(done.error().code)) {
      failed_->store(true, std::memory_order_release);
      ended_ = true;
      return;
    }
    // BufferSet and journal stay, and stay readable.
    wake_.wait_for(lock, kBetweenTries, [&] { return stopping_ || again_; });
    if (stopping_) return;
    again_ = false;
  }
}

}  // namespace hyper_lmdb
