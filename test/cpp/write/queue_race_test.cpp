// Many submitters and one writer over a small queue: nothing is lost, doubled or reordered, and the
// bound holds.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "support/queued.h"
#include "write/request_queue.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;

namespace {

constexpr std::uint64_t kBound = 100;
constexpr int kThreads = 8;
constexpr int kEach = 1500;

struct Totals {
  std::atomic<int> pushed{0}, cancelled{0}, refused{0}, odd{0};
};

struct Tagged : Numbered {
  Tagged(int which, int chosen, std::uint64_t room) : Numbered(chosen, room), thread(which) {}
  int thread;
};

/// Gets room one way or another; false where the ticket was cancelled or the queue closed.
bool admit(RequestQueue& queue, std::uint64_t bytes, bool give_up,
           std::shared_ptr<WatchedTicket>& t, Totals& totals) {
  auto admission = queue.reserve(bytes);
  if (admission && admission.value() == Admission::full) {
    t = ticket_for(bytes);
    admission = queue.park(t);
    if (admission && admission.value() == Admission::full) {
      if (give_up) {
        queue.cancel(*t);
        ++totals.cancelled;
        return false;
      }
      t->gate.wait();
    }
  }
  if (!admission) ++(outcome(admission) == "closed" ? totals.refused : totals.odd);
  return admission.ok();
}

void submit_many(RequestQueue& queue, int thread, std::vector<std::unique_ptr<Tagged>>& mine,
                 Totals& totals) {
  std::mt19937_64 random(static_cast<unsigned>(thread));
  for (int i = 0; i < kEach; ++i) {
    const std::uint64_t bytes = random() % 50 == 0 ? 3 * kBound : 1 + random() % 60;
    std::shared_ptr<WatchedTicket> ticket;
    if (!admit(queue, bytes, random() % 10 == 0, ticket, totals)) continue;
    mine.push_back(std::make_unique<Tagged>(thread, i, bytes));
    const std::string answer = outcome(queue.push(mine.back().get(), ticket.get()));
    if (answer == "ok") {
      ++totals.pushed;
    } else {
      mine.pop_back();
      ++(answer == "closed" ? totals.refused : totals.odd);
    }
  }
}

/// The writer: takes groups, looks at them, answers, gives the room back.
void serve(RequestQueue& queue, std::atomic<int>& served, std::atomic<int>& odd) {
  std::vector<int> last(kThreads, -1);
  Group group;
  while (queue.take(&group, std::chrono::seconds(60))) {
    queue.started(group);
    std::uint64_t bytes = 0;
    for (Request* r = group.first; r != nullptr;) {
      Request* const next = r->next;
      auto* const request = static_cast<Tagged*>(r);
      int& before = last[static_cast<std::size_t>(request->thread)];
      if (request->number <= before) ++odd;
      before = request->number;
      bytes += r->bytes;
      r->done({});
      ++served;
      r = next;
    }
    const std::uint64_t reserved = queue.queued_bytes();
    if (bytes > kBound && group.requests != 1) ++odd;
    if (reserved > kBound && reserved != 3 * kBound) ++odd;
    queue.release(bytes);
  }
}

void race(int close_after) {
  RequestQueue queue(kBound);
  Totals totals;
  std::atomic<int> served{0}, odd{0};
  std::vector<std::vector<std::unique_ptr<Tagged>>> requests(kThreads);
  std::thread writer([&] { serve(queue, served, odd); });
  std::vector<std::thread> submitters;
  for (int thread = 0; thread < kThreads; ++thread) {
    submitters.emplace_back([&, thread] {
      submit_many(queue, thread, requests[static_cast<std::size_t>(thread)], totals);
    });
  }
  if (close_after > 0) {
    while (served < close_after) std::this_thread::yield();
    queue.close();
  }
  for (std::thread& submitter : submitters) submitter.join();
  queue.close();
  writer.join();
  CHECK(odd == 0);
  CHECK(totals.odd == 0);
  CHECK(served == totals.pushed);
  CHECK(queue.queued_bytes() == 0);
  CHECK(queue.waiting_tickets() == 0);
  CHECK_FALSE(queue.busy());
  if (close_after > 0) {
    CHECK(totals.refused > 0);
  } else {
    CHECK(totals.refused == 0);
    CHECK(totals.pushed + totals.cancelled == kThreads * kEach);
    CHECK(totals.cancelled > 0);
  }
  for (const auto& mine : requests) {
    for (const auto& request : mine) REQUIRE(request->answers == 1);
  }
}

}  // namespace

TEST_CASE("Every request is served once and in its thread's order") {
  race(0);
}

TEST_CASE("The same while the queue is closed") {
  for (const int close_after : {1, 100, 1000, 4000}) race(close_after);
}

TEST_CASE("A million tickets may wait, and then the queue is overloaded") {
  constexpr std::size_t kMost = 1'000'000;
  RequestQueue queue(1);
  REQUIRE(queue.reserve(1).value() == Admission::reserved);
  struct Plain final : Ticket {
    Plain() { bytes = 1; }
    void granted() noexcept override {}
  };
  const auto tickets = std::make_shared<std::vector<Plain>>(kMost + 1);
  const auto park = [&](std::size_t i) {
    const auto admission = queue.park(std::shared_ptr<Ticket>(tickets, &(*tickets)[i]));
    if (!admission) return outcome(admission);
    return std::string(admission.value() == Admission::full ? "full" : "reserved");
  };
  std::string odd;
  for (std::size_t i = 0; i < kMost; ++i) {
    if (const std::string answer = park(i); answer != "full") odd = answer;
  }
  CHECK(odd == "");
  CHECK(park(kMost) == "overloaded");
  CHECK(queue.waiting_tickets() == kMost);
}
