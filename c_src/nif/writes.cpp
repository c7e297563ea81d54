#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "calls.h"
#include "guard.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "requests.h"
#include "term.h"
#include "timeslice.h"

namespace hyper_lmdb::nif {

namespace {

constexpr std::size_t kMostOpsNow = 100;           // more are never written on the caller's thread
constexpr std::size_t kMostOpsOnScheduler = 1000;  // more are not even decoded there

/// What takes longer than kMostPackingAtOnce is not done on a scheduler.
void charge_packing(ErlNifEnv* env, const Store& store, std::span<const Op> ops) noexcept {
  const auto time = store.packing_time(ops);
  if (time <= Store::kMostPackingAtOnce) charge(env, time);
}

/// By what a write takes beside other writers. Without it a process that writes in a loop would run
/// for several milliseconds before others have their turn.
void charge_writes(ErlNifEnv* env, std::span<const Op> ops) noexcept {
  constexpr std::chrono::nanoseconds kCall{1500}, kOp{1000};
  std::chrono::nanoseconds time = kCall;
  for (const Op& op : ops) time += kOp + 4 * time_of_bytes(bytes_of(op));
  charge(env, time);
}

/// `ok`, `{error, _}`, or `queue` where the write would have to wait.
ERL_NIF_TERM answer_now(ErlNifEnv* env, const std::optional<Result<void>>& done) {
  return done ? make_result(env, *done) : atoms().queue;
}

enum class Decoded { all, too_many, wrong };

/// Decodes elements until one is wrong, `most_ops` is passed, or they are more than a batch may
/// hold (which the check of the whole will say).
Decoded decode_ops(ErlNifEnv* env, ERL_NIF_TERM term, std::size_t most_ops,
                   std::uint64_t most_bytes, std::vector<Op>* ops) {
  auto [list, elements] = as_op_list(env, term);
  std::uint64_t bytes = 0;
  ERL_NIF_TERM head = 0;
  while (enif_get_list_cell(env, list, &head, &list) != 0) {
    if (ops->size() == most_ops) return Decoded::too_many;
    const auto op = as_op(env, head, elements);
    if (!op) return Decoded::wrong;
    ops->push_back(*op);
    bytes += bytes_of(*op);
    if (bytes > most_bytes && ops->size() > 1) return Decoded::all;
  }
  return enif_is_empty_list(env, list) != 0 ? Decoded::all : Decoded::wrong;
}

/// The ticket a term holds; null for `none`.
struct TicketArgument {
  bool valid = false;
  TicketHandle* handle = nullptr;
};
TicketArgument ticket_of(ErlNifEnv* env, ERL_NIF_TERM term) {
  if (enif_is_identical(term, atoms().none) != 0) return {.valid = true, .handle = nullptr};
  void* object = nullptr;
  if (enif_get_resource(env, term, state().ticket_type, &object) == 0) return {};
  return {.valid = true, .handle = static_cast<TicketHandle*>(object)};
}

/// Parks a ticket for the calling process: `{wait, Ticket}`, which keeps the request if there is
/// one already, or nothing where there is room by now.
Result<std::optional<ERL_NIF_TERM>> wait_for_room(ErlNifEnv* env, const StoreRef& store,
                                                  ERL_NIF_TERM ref, std::uint64_t bytes,
                                                  std::unique_ptr<Request>* request,
                                                  std::shared_ptr<Ticket>* granted) {
  auto ticket = std::make_shared<MessageTicket>(env, ref);
  ticket->bytes = bytes;
  void* memory = enif_alloc_resource(state().ticket_type, sizeof(TicketHandle));
  if (memory == nullptr) throw std::bad_alloc();
  auto* handle = new (memory) TicketHandle(store.share(), ticket);
  const ERL_NIF_TERM term = enif_make_resource(env, handle);
  enif_release_resource(handle);  // the term holds it now, and its end cancels the ticket
  auto admission = store->park(ticket);
  if (!admission) return admission.error();
  if (admission.value() == Admission::reserved) {
    *granted = ticket;
    return std::optional<ERL_NIF_TERM>();
  }
  handle->keep(std::move(*request));
  return std::optional(enif_make_tuple2(env, atoms().wait, term));
}

/// Room in the queue, given back unless it is used.
class Room {
 public:
  Room(Store* store, std::uint64_t bytes) noexcept : store_(store), bytes_(bytes) {}
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    if (reserved_) store_->give_back(bytes_);
  }
  Result<Admission> reserve() {
    auto admission = store_->reserve(bytes_);
    reserved_ = admission && admission.value() == Admission::reserved;
    return admission;
  }
  void use() noexcept { reserved_ = false; }

 private:
  Store* store_;
  std::uint64_t bytes_;
  bool reserved_ = false;
};

/// A request for the elements, compressed.
Result<std::unique_ptr<Request>> make_request(ErlNifEnv* env, const ERL_NIF_TERM argv[],
                                              const Store& store, std::size_t count,
                                              std::uint64_t bytes) {
  auto request = std::make_unique<MessageRequest>(env, argv[2], argv[1]);
  request->bytes = bytes;
  request->decode_ops(count);
  if (auto packed = request->pack(store); !packed) return packed.error();
  return std::unique_ptr<Request>(std::move(request));
}

ERL_NIF_TERM enqueue_anywhere(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[],
                              std::size_t most_ops, Call elsewhere) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (enif_is_ref(env, argv[2]) == 0) return make_badarg(env, 3);
  const TicketArgument ticket = ticket_of(env, argv[3]);
  if (!ticket.valid) return make_badarg(env, 4);
  if (store->get() == nullptr) return store->refusal(env);
  Ticket* used = ticket.handle == nullptr ? nullptr : ticket.handle->ticket.get();
  std::unique_ptr<Request> request = ticket.handle == nullptr ? nullptr : ticket.handle->take();
  if (request != nullptr) return submit(env, *store->get(), std::move(request), used);

  std::vector<Op> ops;
  switch (decode_ops(env, argv[1], most_ops, (*store)->settings().max_batch_bytes, &ops)) {
    case Decoded::wrong:
      return make_badarg(env, 2);
    case Decoded::too_many:
      return enif_schedule_nif(env, "enqueue", ERL_NIF_DIRTY_JOB_CPU_BOUND, elsewhere, argc, argv);
    case Decoded::all:
      break;
  }
  if (auto good = (*store)->check(ops); !good) return make_error(env, good.error());
  const bool bounded = elsewhere != nullptr;
  const bool packs_for_long = (*store)->packing_time(ops) > Store::kMostPackingAtOnce;
  if (bounded && packs_for_long) {
    return enif_schedule_nif(env, "enqueue", ERL_NIF_DIRTY_JOB_CPU_BOUND, elsewhere, argc, argv);
  }
  std::uint64_t bytes = 0;
  for (const Op& op : ops) bytes += bytes_of(op);

  const auto make = [&]() -> Result<void> {
    auto made = make_request(env, argv, *store->get(), ops.size(), bytes);
    if (made) request = std::move(made).value();
    return made ? Result<void>() : made.error();
  };
  // Ahead of the queue, where nobody waits for room that it would hold. Who then waits for room
  // holds the compressed values beside the values: at most as much memory again.
  if (packs_for_long) {
    if (auto made = make(); !made) return make_error(env, made.error());
  }
  std::shared_ptr<Ticket> granted;
  Room room(store->get(), bytes);
  if (used == nullptr) {
    auto admission = room.reserve();
    if (!admission) return make_error(env, admission.error());
    if (admission.value() == Admission::full) {
      auto parked = wait_for_room(env, *store, argv[2], bytes, &request, &granted);
      if (!parked) return make_error(env, parked.error());
      if (parked.value()) return *parked.value();
      used = granted.get();
    }
  }
  if (request == nullptr) {
    if (bounded) charge_packing(env, *store->get(), ops);
    if (auto made = make(); !made) return make_error(env, made.error());
  }
  room.use();
  return submit(env, *store->get(), std::move(request), used);
}

ERL_NIF_TERM enqueue_large(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return enqueue_anywhere(env, argc, argv, ~std::size_t{0}, nullptr);
}

/// `reset`, `sync` or `{delete_prefix, Prefix, From}`.
std::optional<Request::Kind> as_control(ErlNifEnv* env, ERL_NIF_TERM term) noexcept {
  if (enif_is_identical(term, atoms().reset) != 0) return Request::Kind::reset;
  if (enif_is_identical(term, atoms().sync) != 0) return Request::Kind::sync;
  int arity = 0;
  const ERL_NIF_TERM* part = nullptr;
  if (enif_get_tuple(env, term, &arity, &part) != 0 && arity == 3 &&
      enif_is_identical(part[0], atoms().delete_prefix) != 0 && as_binary(env, part[1]) &&
      as_binary(env, part[2])) {
    return Request::Kind::remove_prefix;
  }
  return std::nullopt;
}

ERL_NIF_TERM put_at(ErlNifEnv* env, const ERL_NIF_TERM argv[], bool is_path) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto key = as_binary(env, argv[1]);
  if (!key) return make_badarg(env, 2);
  const auto value = as_binary(env, argv[2]);
  if (!value) return make_badarg(env, 3);
  if (store->get() == nullptr) return store->refusal(env);
  const Op op{.kind = OpKind::put, .key = *key, .value = *value, .is_path = is_path};
  const auto done = (*store)->try_write({&op, 1});
  charge_packing(env, *store->get(), {&op, 1});
  if (done) charge_writes(env, {&op, 1});
  if (done && !*done) return make_single_error(env, done->error());
  return answer_now(env, done);
}

}  // namespace

ERL_NIF_TERM put(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  return put_at(env, argv, false);
}

ERL_NIF_TERM put_path(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  return put_at(env, argv, true);
}

ERL_NIF_TERM write(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (store->get() == nullptr) return store->refusal(env);
  std::array<Op, kMostOpsNow> ops;
  std::size_t count = 0;
  auto [list, elements] = as_op_list(env, argv[1]);
  ERL_NIF_TERM head = 0;
  while (enif_get_list_cell(env, list, &head, &list) != 0) {
    if (count == kMostOpsNow) return atoms().queue;
    const auto op = as_op(env, head, elements);
    if (!op) return make_badarg(env, 2);
    ops[count++] = *op;
  }
  if (enif_is_empty_list(env, list) == 0) return make_badarg(env, 2);
  const auto done = (*store)->try_write(std::span(ops.data(), count));
  charge_packing(env, *store->get(), std::span(ops.data(), count));
  if (done) charge_writes(env, std::span(ops.data(), count));
  return answer_now(env, done);
}

ERL_NIF_TERM enqueue(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  return enqueue_anywhere(env, argc, argv, kMostOpsOnScheduler, &guarded<enqueue_large>);
}

ERL_NIF_TERM enqueue_control(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  const auto kind = as_control(env, argv[1]);
  if (!kind) return make_badarg(env, 2);
  if (enif_is_ref(env, argv[2]) == 0) return make_badarg(env, 3);
  if (store->get() == nullptr) return store->refusal(env);
  auto request = std::make_unique<MessageRequest>(env, argv[2], argv[1]);
  request->kind = *kind;
  if (*kind == Request::Kind::remove_prefix) request->decode_prefix();
  return submit(env, *store->get(), std::move(request));
}

}  // namespace hyper_lmdb::nif
