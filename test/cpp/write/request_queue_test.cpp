#include "write/request_queue.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/gate.h"
#include "support/outcome.h"
#include "support/queued.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
using namespace std::chrono_literals;

namespace {

/// The numbers of the requests the writer gets in one go; "end" where it is to stop.
std::string taken(RequestQueue& queue, std::chrono::milliseconds timeout = 0ms) {
  Group group;
  if (!queue.take(&group, timeout)) return "end";
  queue.started(group);
  std::string numbers;
  std::size_t count = 0;
  for (const Request* r = group.first; r != nullptr; r = r->next, ++count) {
    if (count > 0) numbers += ' ';
    numbers += std::to_string(static_cast<const Numbered*>(r)->number);
  }
  return count == group.requests ? numbers : "wrong count";
}

std::string word(const Result<Admission>& admission) {
  if (!admission) return outcome(admission);
  return admission.value() == Admission::reserved ? "reserved" : "full";
}

}  // namespace

TEST_CASE("Requests are taken in the order they were pushed") {
  RequestQueue queue(1000);
  std::vector<std::unique_ptr<Numbered>> requests;
  for (int i = 0; i < 5; ++i) requests.push_back(std::make_unique<Numbered>(i, 10));
  CHECK_FALSE(queue.busy());
  for (const auto& request : requests) {
    CHECK(word(queue.reserve(10)) == "reserved");
    CHECK(outcome(queue.push(request.get(), nullptr)) == "ok");
  }
  CHECK(queue.busy());
  CHECK(queue.queued_bytes() == 50);
  CHECK(taken(queue) == "0 1 2 3 4");
  CHECK_FALSE(queue.busy());
  // Taken is not done: the room is still in use.
  CHECK(queue.queued_bytes() == 50);
  queue.release(50);
  CHECK(queue.queued_bytes() == 0);
  CHECK(taken(queue) == "");
}

TEST_CASE("Requests that were taken still count as waiting until the writer has its lock") {
  RequestQueue queue(1000);
  Numbered request(1, 10);
  REQUIRE(word(queue.reserve(10)) == "reserved");
  REQUIRE(outcome(queue.push(&request, nullptr)) == "ok");
  Group group;
  REQUIRE(queue.take(&group, 0ms));
  REQUIRE(group.requests == 1);
  CHECK(queue.busy());
  queue.started(group);
  CHECK_FALSE(queue.busy());
}

TEST_CASE("Room is reserved up to the bound, and given back room is room again") {
  RequestQueue queue(100);
  CHECK(word(queue.reserve(60)) == "reserved");
  CHECK(word(queue.reserve(41)) == "full");
  CHECK(word(queue.reserve(40)) == "reserved");
  CHECK(word(queue.reserve(1)) == "full");
  CHECK(word(queue.reserve(0)) == "reserved");
  queue.release(60);
  CHECK(word(queue.reserve(60)) == "reserved");
  CHECK(queue.queued_bytes() == 100);
}

TEST_CASE("A request over the bound goes alone") {
  RequestQueue queue(100);
  CHECK(word(queue.reserve(1)) == "reserved");
  CHECK(word(queue.reserve(1000)) == "full");
  queue.release(1);
  CHECK(word(queue.reserve(1000)) == "reserved");
  CHECK(word(queue.reserve(1)) == "full");
  queue.release(1000);
  CHECK(word(queue.reserve(1)) == "reserved");
}

TEST_CASE("A group is bounded in bytes and in operations, and never empty for a large request") {
  RequestQueue queue(1ULL << 40);
  constexpr std::uint64_t kMiB = 1 << 20;
  const std::vector<Op> many(6000), few(1);
  std::vector<std::unique_ptr<Numbered>> requests;
  const auto push = [&](std::uint64_t bytes, const std::vector<Op>& ops) {
    requests.push_back(std::make_unique<Numbered>(static_cast<int>(requests.size()), bytes));
    requests.back()->ops = ops;
    REQUIRE(word(queue.reserve(bytes)) == "reserved");
    REQUIRE(outcome(queue.push(requests.back().get(), nullptr)) == "ok");
  };
  push(10 * kMiB, few);
  push(10 * kMiB, few);
  push(100 * kMiB, few);
  push(1, many);
  push(1, many);
  push(1, few);
  CHECK(taken(queue) == "0");
  CHECK(taken(queue) == "1");
  CHECK(taken(queue) == "2");
  CHECK(taken(queue) == "3");
  CHECK(taken(queue) == "4 5");
}

TEST_CASE("Tickets are granted first come first served, and nobody overtakes them") {
  RequestQueue queue(100);
  REQUIRE(word(queue.reserve(90)) == "reserved");
  const auto large = ticket_for(50);
  const auto small = ticket_for(5);
  CHECK(word(queue.park(large)) == "full");
  CHECK(word(queue.park(small)) == "full");
  CHECK(word(queue.reserve(1)) == "full");
  CHECK(queue.waiting_tickets() == 2);
  CHECK(queue.busy());
  CHECK(taken(queue) == "");
  CHECK_FALSE(large->is_granted());
  CHECK_FALSE(small->is_granted());
  queue.release(90);
  CHECK(taken(queue) == "");
  CHECK(large->is_granted());
  CHECK(small->is_granted());
  CHECK(queue.queued_bytes() == 55);
  CHECK(queue.waiting_tickets() == 0);

  Numbered first(1, 50), second(2, 5);
  CHECK(outcome(queue.push(&first, large.get())) == "ok");
  CHECK(outcome(queue.push(&second, small.get())) == "ok");
  CHECK(taken(queue) == "1 2");
  queue.release(55);
  CHECK(queue.queued_bytes() == 0);
  CHECK_FALSE(queue.busy());
}

TEST_CASE("Where there is room a ticket need not wait") {
  RequestQueue queue(100);
  const auto ticket = ticket_for(60);
  CHECK(word(queue.park(ticket)) == "reserved");
  CHECK_FALSE(ticket->is_granted());
  Numbered request(1, 60);
  CHECK(outcome(queue.push(&request, ticket.get())) == "ok");
}

TEST_CASE("A ticket is good for one request of its size, once granted") {
  RequestQueue queue(100);
  REQUIRE(word(queue.reserve(90)) == "reserved");
  const auto ticket = ticket_for(50);
  Numbered request(1, 50), other(2, 49);
  // A queue does not know a ticket that was never parked in it, be it of a store closed before.
  RequestQueue elsewhere(100);
  const auto stranger = ticket_for(50);
  REQUIRE(word(elsewhere.park(stranger)) == "reserved");
  CHECK(outcome(queue.push(&request, ticket.get())) == "closed");
  CHECK(outcome(queue.push(&request, stranger.get())) == "closed");
  queue.cancel(*stranger);
  CHECK(elsewhere.queued_bytes() == 50);
  REQUIRE(word(queue.park(ticket)) == "full");
  CHECK(outcome(queue.push(&request, ticket.get())) == "internal");
  queue.release(90);
  CHECK(taken(queue) == "");
  CHECK(outcome(queue.push(&other, ticket.get())) == "internal");
  CHECK(outcome(queue.push(&request, ticket.get())) == "ok");
  CHECK(outcome(queue.push(&request, ticket.get())) == "internal");
  CHECK(taken(queue) == "1");
}

TEST_CASE("A cancelled ticket gives up its turn, or the room it was granted") {
  RequestQueue queue(100);
  REQUIRE(word(queue.reserve(100)) == "reserved");
  const auto parked = ticket_for(10), granted = ticket_for(100), behind = ticket_for(100);
  REQUIRE(word(queue.park(parked)) == "full");
  REQUIRE(word(queue.park(granted)) == "full");
  REQUIRE(word(queue.park(behind)) == "full");
  queue.cancel(*parked);
  queue.release(100);
  CHECK(taken(queue) == "");
  CHECK_FALSE(parked->is_granted());
  CHECK(granted->is_granted());
  CHECK_FALSE(behind->is_granted());
  queue.cancel(*granted);
  queue.cancel(*granted);
  CHECK(taken(queue) == "");
  CHECK(behind->is_granted());
  CHECK(queue.queued_bytes() == 100);
  Numbered request(1, 100);
  CHECK(outcome(queue.push(&request, granted.get())) == "internal");
  CHECK(outcome(queue.push(&request, behind.get())) == "ok");
  // Used: cancelling takes nothing back.
  queue.cancel(*behind);
  CHECK(queue.queued_bytes() == 100);
}

TEST_CASE("When the one who stands in the way gives up, those behind it are served") {
  // The first ticket does not fit, the one behind it would; the writer is asleep when the first
  // one is cancelled, and nothing else happens that would wake it.
  RequestQueue queue(100);
  REQUIRE(word(queue.reserve(60)) == "reserved");
  const auto first = ticket_for(80), second = ticket_for(10);
  REQUIRE(word(queue.park(first)) == "full");
  REQUIRE(word(queue.park(second)) == "full");
  std::thread writer([&] {
    while (taken(queue, 60s) != "end") {
    }
  });
  CHECK_FALSE(second->gate.opens_within(kWatched));
  queue.cancel(*first);
  second->gate.wait();
  queue.close();
  writer.join();
}

TEST_CASE("Closing serves what was pushed and sends everybody else away") {
  RequestQueue queue(100);
  REQUIRE(word(queue.reserve(90)) == "reserved");
  Numbered pushed(1, 90), late(2, 5), ticketed(3, 50);
  REQUIRE(outcome(queue.push(&pushed, nullptr)) == "ok");
  REQUIRE(word(queue.reserve(5)) == "reserved");
  const auto first = ticket_for(50), second = ticket_for(60), cancelled = ticket_for(70);
  REQUIRE(word(queue.park(first)) == "full");
  REQUIRE(word(queue.park(cancelled)) == "full");
  REQUIRE(word(queue.park(second)) == "full");
  queue.cancel(*cancelled);
  queue.close();
  CHECK(word(queue.reserve(1)) == "closed");
  CHECK(word(queue.park(ticket_for(1))) == "closed");
  // Room that was reserved before does not help, and is given back.
  CHECK(outcome(queue.push(&late, nullptr)) == "closed");
  CHECK(queue.queued_bytes() == 90);

  CHECK(taken(queue) == "1");
  queue.release(90);
  CHECK(first->is_granted());
  CHECK(second->is_granted());
  CHECK_FALSE(cancelled->is_granted());
  CHECK(outcome(queue.push(&ticketed, first.get())) == "closed");
  CHECK(taken(queue) == "end");
  CHECK(queue.queued_bytes() == 0);
  CHECK(queue.waiting_tickets() == 0);
}

TEST_CASE("A ticket that was granted before the close finds it closed and leaves no room taken") {
  RequestQueue queue(100);
  const auto ticket = ticket_for(60);
  REQUIRE(word(queue.park(ticket)) == "reserved");
  queue.close();
  Numbered request(1, 60);
  CHECK(outcome(queue.push(&request, ticket.get())) == "closed");
  CHECK(queue.queued_bytes() == 0);
  CHECK(taken(queue) == "end");
}

TEST_CASE("The writer sleeps until there is something, and wakes for a push and for the close") {
  RequestQueue queue(100);
  Gate woke, ended;
  std::string first, last;
  std::thread writer([&] {
    first = taken(queue, 60s);
    woke.open();
    last = taken(queue, 60s);
    ended.open();
  });
  CHECK_FALSE(woke.opens_within(kWatched));
  Numbered request(7, 1);
  REQUIRE(word(queue.reserve(1)) == "reserved");
  REQUIRE(outcome(queue.push(&request, nullptr)) == "ok");
  woke.wait();
  CHECK_FALSE(ended.opens_within(kWatched));
  queue.close();
  writer.join();
  CHECK(first == "7");
  CHECK(last == "end");
}
