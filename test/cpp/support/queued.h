// Requests and tickets that tell what became of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hyper_lmdb/write_queue.h"
#include "support/gate.h"
#include "support/outcome.h"

namespace hyper_lmdb::test {

/// A request with a number, which keeps its answer.
struct Numbered : Request {
  Numbered(int chosen, std::uint64_t room) : number(chosen) { bytes = room; }
  void done(const Result<void>& result) noexcept override {
    answer = test::outcome(result);
    ++answers;
    if (on_done) on_done();
    answered.open();
  }
  /// Waits for the answer.
  std::string wait() {
    answered.wait();
    return answer;
  }

  int number;
  std::string answer = "none";
  int answers = 0;
  std::function<void()> on_done;
  Gate answered;
};

/// A batch that owns the list of its elements; their bytes belong to the test.
struct Batch : Numbered {
  explicit Batch(std::vector<Op> elements) : Numbered(0, 0), list(std::move(elements)) {
    ops = list;
    for (const Op& op : list) bytes += bytes_of(op);
  }
  std::vector<Op> list;
};

struct WatchedTicket : Ticket {
  void granted() noexcept override { gate.open(); }
  bool is_granted() { return gate.is_open(); }
  Gate gate;
};

inline std::shared_ptr<WatchedTicket> ticket_for(std::uint64_t bytes) {
  auto ticket = std::make_shared<WatchedTicket>();
  ticket->bytes = bytes;
  return ticket;
}

}  // namespace hyper_lmdb::test
