#include "requests.h"

#include <new>

#include "term.h"

namespace hyper_lmdb::nif {

namespace {

OwnEnv own_env() {
  OwnEnv env(enif_alloc_env());
  if (env == nullptr) throw std::bad_alloc();
  return env;
}

}  // namespace

Reply::Reply(ErlNifEnv* caller, ERL_NIF_TERM ref)
    : env_(own_env()), ref_(enif_make_copy(env_.get(), ref)) {
  enif_self(caller, &pid_);
}

void Reply::send(ERL_NIF_TERM answer, ErlNifEnv* caller) noexcept {
  const ERL_NIF_TERM message = enif_make_tuple2(env_.get(), ref_, answer);
  (void)enif_send(caller, &pid_, env_.get(), message);
}

MessageRequest::MessageRequest(ErlNifEnv* caller, ERL_NIF_TERM ref, ERL_NIF_TERM payload)
    : reply_(caller, ref), payload_(enif_make_copy(reply_.env(), payload)) {}

void MessageRequest::decode_ops(std::size_t count) {
  storage_.reserve(count);
  auto [list, elements] = as_op_list(reply_.env(), payload_);
  ERL_NIF_TERM head = 0;
  while (enif_get_list_cell(reply_.env(), list, &head, &list) != 0) {
    if (const auto op = as_op(reply_.env(), head, elements)) storage_.push_back(*op);
  }
  ops = storage_;
}

void MessageRequest::decode_prefix() {
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  enif_get_tuple(reply_.env(), payload_, &arity, &part);
  const std::string_view prefix = as_binary(reply_.env(), part[1]).value_or(std::string_view());
  storage_.push_back({.kind = OpKind::remove, .key = prefix});
  ops = storage_;
  from = as_binary(reply_.env(), part[2]).value_or(std::string_view());
}

void MessageRequest::decode_file() {
  storage_.push_back({.kind = OpKind::put, .key = *as_binary(reply_.env(), payload_)});
  ops = storage_;
}

void MessageRequest::done(const Result<void>& result) noexcept {
  ErlNifEnv* const env = reply_.env();
  ERL_NIF_TERM answer = make_result(env, result);
  if (result && kind == Kind::remove_prefix) {
    const auto on =
        continue_at.empty() ? std::optional(atoms().done) : make_binary(env, continue_at);
    answer = on ? enif_make_tuple3(env, atoms().ok, enif_make_uint64(env, removed), *on)
                : make_error(env, {.code = Code::no_memory, .operation = "delete_prefix"});
  }
  reply_.send(answer);  // the write is done even where the caller died meanwhile
  delete this;
}

ERL_NIF_TERM submit(ErlNifEnv* env, Store& store, std::unique_ptr<Request> request,
                    Ticket* ticket) {
  if (auto submitted = store.submit(request.get(), ticket); !submitted) {
    return make_error(env, submitted.error());
  }
  (void)request.release();  // the store's now
  return atoms().queued;
}

MessageTicket::MessageTicket(ErlNifEnv* caller, ERL_NIF_TERM ref) : reply_(caller, ref) {}

void MessageTicket::granted() noexcept {
  reply_.send(atoms().go);
}

}  // namespace hyper_lmdb::nif
