#include "buffer/buffer_set.h"

#include <algorithm>
#include <utility>

namespace hyper_lmdb {

void BufferSet::publish(std::unique_ptr<const Generation> next) {
  states_.push_back(std::move(next));
  count_.store(states_.size(), std::memory_order_relaxed);
  published_.store(states_.back().get(), std::memory_order_seq_cst);
}

void BufferSet::start(std::shared_ptr<WriteBuffer> active, std::shared_ptr<WriteBuffer> frozen,
                      std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  show(version);
  publish(std::make_unique<const Generation>(Generation{std::move(active), std::move(frozen)}));
}

void BufferSet::rotate(std::shared_ptr<WriteBuffer> active) {
  const std::lock_guard lock(mutex_);
  publish(
      std::make_unique<const Generation>(Generation{std::move(active), states_.back()->active}));
}

void BufferSet::drop_frozen() {
  const std::lock_guard lock(mutex_);
  publish(std::make_unique<const Generation>(Generation{states_.back()->active, nullptr}));
}

std::unique_ptr<const BufferSet::Generation> BufferSet::prepare_renewal() {
  const std::lock_guard lock(mutex_);
  states_.reserve(states_.size() + 1);
  return std::make_unique<const Generation>(*states_.back());
}

void BufferSet::renew(std::unique_ptr<const Generation> next) noexcept {
  const std::lock_guard lock(mutex_);
  publish(std::move(next));
}

void BufferSet::collect(FunctionRef<bool(const Generation*)> pinned) noexcept {
  std::unique_ptr<const Generation> gone;
  do {
    gone.reset();  // without the lock: it may be the last that holds a buffer, which is large
    const std::lock_guard lock(mutex_);
    const Generation* const current = published();
    const auto at = std::find_if(states_.begin(), states_.end(), [&](const auto& state) {
      return state.get() != current && !pinned(state.get());
    });
    if (at != states_.end()) {
      gone = std::move(*at);
      states_.erase(at);
    }
    count_.store(states_.size(), std::memory_order_relaxed);
  } while (gone != nullptr);
}

std::uint64_t BufferSet::retired_bytes(FunctionRef<bool(const Generation*)> held) const noexcept {
  const std::lock_guard lock(mutex_);
  const Generation* const current = published();
  // A buffer is in states that follow one another: active in some, then frozen in some.
  std::uint64_t bytes = 0;
  const WriteBuffer* last_active = nullptr;
  const WriteBuffer* last_frozen = nullptr;
  for (const auto& state : states_) {
    if (!held(state.get())) continue;
    for (const WriteBuffer* buffer : {state->frozen.get(), state->active.get()}) {
      if (buffer == nullptr || buffer == last_active || buffer == last_frozen) continue;
      if (buffer == current->active.get() || buffer == current->frozen.get()) continue;
      bytes += buffer->bytes_used();
    }
    last_active = state->active.get();
    last_frozen = state->frozen.get();
  }
  return bytes;
}

std::shared_ptr<WriteBuffer> BufferSet::active() const {
  const std::lock_guard lock(mutex_);
  return states_.empty() ? nullptr : states_.back()->active;
}

std::shared_ptr<WriteBuffer> BufferSet::frozen() const {
  const std::lock_guard lock(mutex_);
  return states_.empty() ? nullptr : states_.back()->frozen;
}

}  // namespace hyper_lmdb
