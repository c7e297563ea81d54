// Writing without blocking the calling thread: admission, then a request, then a callback.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

class OpenSnapshot;

/// A unit of work for the writer thread. `submit` hands it over; the writer calls `done` exactly
/// once and does not touch the request afterwards, so `done` may delete it.
class Request {
 public:
  enum class Kind : std::uint8_t {
    batch,
    remove_prefix,  ///< of `ops[0].key`, as many records as fit one short transaction, from `from`
                    ///< on
    reset,
    sync,
    backup,  ///< into the file `ops[0].key` names
  };

  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  /// Runs on a thread of the store, after the work is visible to every reader. Must not block and
  /// must not call the store.
  virtual void done(const Result<void>& result) noexcept = 0;

  Kind kind = Kind::batch;
  std::span<const Op> ops;  ///< for Kind::batch; the memory belongs to the request
  std::uint64_t bytes = 0;  ///< what `reserve` was asked for; given back after `done`
  std::shared_ptr<OpenSnapshot> snapshot;  ///< for Kind::backup; null where it is of the store now
  std::string_view from;                   ///< of Kind::remove_prefix: keys before it stay
  std::uint64_t removed = 0;  ///< by Kind::remove_prefix; set before `done`, as `continue_at`
  std::string continue_at;    ///< from where the next one goes on; empty: nothing is left to remove

  // Of the queue and the writer, not for the submitter.
  Request* next = nullptr;
  Result<void> outcome;
};

/// A writer that waits for room in the queue. It costs this object, not its payload.
class Ticket {
 public:
  enum class State : std::uint8_t { idle, parked, granted, used, cancelled };

  Ticket() = default;
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  virtual ~Ticket() = default;

  /// Room for `bytes` has been set aside (or the store has closed, and `submit` will say so).
  /// Runs on a thread of the store; must not block and must not call the store.
  virtual void granted() noexcept = 0;

  std::uint64_t bytes = 0;

  // Of the queue the ticket was parked in, not for the caller.
  const void* owner = nullptr;
  State state = State::idle;  ///< guarded by that queue's lock
};

/// What `Store::reserve` found.
enum class Admission : std::uint8_t {
  reserved,  ///< go on to `submit`
  full,      ///< no room: park a ticket
};

}  // namespace hyper_lmdb
