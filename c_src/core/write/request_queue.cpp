#include "write/request_queue.h"

#include <utility>

#include "hyper_lmdb/batch.h"

namespace hyper_lmdb {

namespace {

constexpr std::size_t kMostParked = 1'000'000;
// One group is one transaction: its pages are bounded, and so is what the next caller waits for.
constexpr std::uint64_t kMostGroupBytes = 16ULL << 20;
constexpr std::size_t kMostGroupOps = 10'000;

Error closed_error() noexcept {
  return {.code = Code::closed, .operation = "write"};
}

}  // namespace

bool RequestQueue::has_room(std::uint64_t bytes) const noexcept {
  // A request over the bound goes alone.
  return reserved_bytes_ == 0 || reserved_bytes_ + bytes <= most_bytes_;
}

Result<Admission> RequestQueue::reserve(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (closed_) return closed_error();
  if (!parked_.empty() || !has_room(bytes)) return Admission::full;
  reserved_bytes_ += bytes;
  return Admission::reserved;
}

Result<Admission> RequestQueue::park(const std::shared_ptr<Ticket>& ticket) {
  const std::lock_guard lock(mutex_);
  if (closed_) return closed_error();
  ticket->owner = this;
  if (parked_.empty() && has_room(ticket->bytes)) {
    reserved_bytes_ += ticket->bytes;
    ticket->state = Ticket::State::granted;
    return Admission::reserved;
  }
  if (parked_.size() >= kMostParked) {
    return Error{.code = Code::overloaded, .operation = "write"};
  }
  parked_.push_back(ticket);
  ticket->state = Ticket::State::parked;
  waiting_.fetch_add(1, std::memory_order_release);
  return Admission::full;
}

void RequestQueue::cancel(Ticket& ticket) noexcept {
  if (ticket.owner != this) return;
  const std::lock_guard lock(mutex_);
  if (ticket.state == Ticket::State::granted) reserved_bytes_ -= ticket.bytes;
  wake_.notify_one();  // whoever stands behind may have room now
  if (ticket.state != Ticket::State::used) ticket.state = Ticket::State::cancelled;
}

Result<void> RequestQueue::push(Request* request, Ticket* ticket) {
  // A ticket of a store that was stopped meanwhile.
  if (ticket != nullptr && ticket->owner != this) return closed_error();
  const std::lock_guard lock(mutex_);
  if (ticket != nullptr) {
    if (ticket->state != Ticket::State::granted || ticket->bytes != request->bytes) {
      return closed_ ? closed_error() : Error{.code = Code::internal, .operation = "submit"};
    }
    ticket->state = Ticket::State::used;
  }
  if (closed_) {
    reserved_bytes_ -= request->bytes;
    return closed_error();
  }
  request->next = nullptr;
  (tail_ == nullptr ? head_ : tail_->next) = request;
  tail_ = request;
  waiting_.fetch_add(1, std::memory_order_release);
  wake_.notify_one();
  return {};
}

bool RequestQueue::grant_next() {
  std::shared_ptr<Ticket> ticket;
  {
    const std::lock_guard lock(mutex_);
    // One at a time: there may be as many as processes that were killed, and others wait.
    if (!parked_.empty() && parked_.front()->state == Ticket::State::cancelled) {
      parked_.pop_front();
      waiting_.fetch_sub(1, std::memory_order_release);
      return true;
    }
    if (parked_.empty() || (!closed_ && !has_room(parked_.front()->bytes))) return false;
    ticket = std::move(parked_.front());
    parked_.pop_front();
    waiting_.fetch_sub(1, std::memory_order_release);
    if (closed_) {
      ticket->state = Ticket::State::cancelled;
    } else {
      ticket->state = Ticket::State::granted;
      reserved_bytes_ += ticket->bytes;
    }
  }
  ticket->granted();
  return true;
}

bool RequestQueue::next_may_go(const Ticket& ticket) const noexcept {
  return ticket.state == Ticket::State::cancelled || has_room(ticket.bytes);
}

bool RequestQueue::take(Group* group, std::chrono::milliseconds timeout) {
  while (grant_next()) {
  }
  *group = {};
  bool over = false;
  if (taken_ == nullptr) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, timeout, [&] {
      return head_ != nullptr || closed_ || nudged_ ||
             (!parked_.empty() && next_may_go(*parked_.front()));
    });
    nudged_.store(false, std::memory_order_release);
    taken_ = std::exchange(head_, nullptr);
    tail_ = nullptr;
    over = closed_ && parked_.empty();
  }
  // Without the lock, since there may be many of them.
  std::uint64_t bytes = 0;
  std::size_t ops = 0;
  Request* last = nullptr;
  while (taken_ != nullptr) {
    bytes += taken_->bytes;
    ops += taken_->ops.size();
    if (last != nullptr && (bytes > kMostGroupBytes || ops > kMostGroupOps)) break;
    last = taken_;
    if (group->first == nullptr) group->first = taken_;
    ++group->requests;
    taken_ = taken_->next;
  }
  if (last != nullptr) last->next = nullptr;
  return group->requests != 0 || !over;
}

void RequestQueue::started(const Group& group) noexcept {
  waiting_.fetch_sub(group.requests, std::memory_order_release);
}

void RequestQueue::release(std::uint64_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  reserved_bytes_ -= bytes;
  // The writer calls this too and looks for itself; anybody else has to tell it.
  if (!parked_.empty()) wake_.notify_one();
}

void RequestQueue::nudge() noexcept {
  if (nudged_.exchange(true, std::memory_order_acq_rel)) return;
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void RequestQueue::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  wake_.notify_one();
}

std::uint64_t RequestQueue::queued_bytes() const {
  const std::lock_guard lock(mutex_);
  return reserved_bytes_;
}

std::uint64_t RequestQueue::waiting_tickets() const {
  const std::lock_guard lock(mutex_);
  return parked_.size();
}

}  // namespace hyper_lmdb
