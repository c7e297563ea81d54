// Requests that answer an Erlang process by message.
#pragma once

#include <erl_nif.h>

#include <memory>
#include <vector>

#include "hyper_lmdb/store.h"
#include "hyper_lmdb/write_queue.h"

namespace hyper_lmdb::nif {

/// Owns an environment of its own, so that the caller's terms outlive the call.
struct FreeEnv {
  void operator()(ErlNifEnv* env) const noexcept { enif_free_env(env); }
};
using OwnEnv = std::unique_ptr<ErlNifEnv, FreeEnv>;

/// `{Ref, Answer}` to the process that asked, whenever there is an answer.
class Reply {
 public:
  /// To the calling process. Throws std::bad_alloc.
  Reply(ErlNifEnv* caller, ERL_NIF_TERM ref);
  /// Lives until the reply is sent; for terms of the answer and others that must outlive the call.
  ErlNifEnv* env() const noexcept { return env_.get(); }
  /// Once. The answer is a term of `env()`, or an atom. A process that died meanwhile gets none.
  /// `caller`: the environment of the call it is sent from, null on a thread of the store.
  void send(ERL_NIF_TERM answer, ErlNifEnv* caller = nullptr) noexcept;

 private:
  OwnEnv env_;
  ErlNifPid pid_;
  ERL_NIF_TERM ref_;
};

/// Sends `{Ref, Result}` to the process that asked, then deletes itself. Result is `ok`, `{ok,
/// Removed, Next | done}` of a removed prefix, or `{error, Reason}`.
class MessageRequest final : public Request {
 public:
  /// Copies `ref` and `payload`, which was decoded before, out of the caller's environment.
  MessageRequest(ErlNifEnv* caller, ERL_NIF_TERM ref, ERL_NIF_TERM payload);
  void done(const Result<void>& result) noexcept override;

  /// Decodes the copied elements, `count` of them.
  void decode_ops(std::size_t count);
  /// Compresses the values that the store wants so. Errors: no_memory.
  Result<void> pack(const Store& store) { return store.pack(storage_, &packed_); }
  /// Decodes the copied `{delete_prefix, Prefix, From}`.
  void decode_prefix();
  /// Decodes the copied name of a file.
  void decode_file();

 private:
  Reply reply_;
  ERL_NIF_TERM payload_;
  std::vector<Op> storage_;
  PackedValues packed_;
};

/// Hands a request over, with the room that was reserved for it or granted to the ticket: `queued`,
/// or `{error, Reason}`.
ERL_NIF_TERM submit(ErlNifEnv* env, Store& store, std::unique_ptr<Request> request,
                    Ticket* ticket = nullptr);

/// Sends `{Ref, go}`.
class MessageTicket final : public Ticket {
 public:
  MessageTicket(ErlNifEnv* caller, ERL_NIF_TERM ref);
  void granted() noexcept override;

 private:
  Reply reply_;
};

}  // namespace hyper_lmdb::nif
