#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "calls.h"
#include "config_term.h"
#include "handles.h"
#include "hyper_lmdb/store.h"
#include "requests.h"
#include "term.h"

namespace hyper_lmdb::nif {

namespace {

int start_thread(const char* name, void* (*run)(void*), void* argument, void** thread) {
  auto tid = std::make_unique<ErlNifTid>();
  // By the VM's own call: with bound schedulers a plain thread would stay on the creator's core.
  const int rc = enif_thread_create(const_cast<char*>(name), tid.get(), run, argument, nullptr);
  if (rc == 0) *thread = tid.release();
  return rc;
}

void join_thread(void* thread) {
  const std::unique_ptr<ErlNifTid> tid(static_cast<ErlNifTid*>(thread));
  enif_thread_join(*tid, nullptr);
}

/// Whether the directory above one is missing, so that an open has to make more than its own.
bool lacks_parent(std::string directory) {
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  const auto parent = std::filesystem::path(directory).parent_path();
  std::error_code unknown;
  return !parent.empty() &&
         std::filesystem::status(parent, unknown).type() == std::filesystem::file_type::not_found;
}

constexpr ThreadApi kVmThreads{.start = &start_thread, .join = &join_thread};

}  // namespace

namespace {

/// What a log should say of a store that was just opened, if anything: `[{made, Directory} |
/// {capacity, Directory, Bytes}]`.
std::optional<ERL_NIF_TERM> make_notes(ErlNifEnv* env, const Store& store, bool made_parents) {
  const auto info = store.info();
  if (!info || !(made_parents || info.value().capacity_reduced)) return std::nullopt;
  const auto directory = make_binary(env, info.value().directory);
  if (!directory) return std::nullopt;
  ERL_NIF_TERM notes = enif_make_list(env, 0);
  if (made_parents) {
    const ERL_NIF_TERM note = enif_make_tuple2(env, enif_make_atom(env, "made"), *directory);
    notes = enif_make_list_cell(env, note, notes);
  }
  if (info.value().capacity_reduced) {
    const ERL_NIF_TERM note =
        enif_make_tuple3(env, enif_make_atom(env, "capacity"), *directory,
                         enif_make_uint64(env, info.value().settings.capacity));
    notes = enif_make_list_cell(env, note, notes);
  }
  return notes;
}

}  // namespace

ERL_NIF_TERM open(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto spelling = as_binary(env, argv[0]);
  if (!spelling) return make_badarg(env, 1);
  for (;;) {
    std::string directory(*spelling);
    // A relative name means what it meant when it was first started.
    if (!directory.empty() && directory.front() != '/') {
      if (const auto known = state().names.find(*spelling)) {
        if (const auto info = known->info()) directory = info.value().directory;
      }
    }
    const auto options = as_options(env, directory, argv[1]);
    if (!options) return make_error(env, options.error());
    const bool made_parents = lacks_parent(directory);
    bool opened = false;
    const auto store = Store::open(options.value(), kVmThreads, &opened);
    if (!store) return make_error(env, store.error());
    Handle* const handle = state().names.add(*spelling, store.value(), state().handle_type);
    if (handle == nullptr) continue;  // closed by somebody else in between
    const ERL_NIF_TERM term = enif_make_resource(env, handle);
    enif_release_resource(handle);
    const auto notes = opened ? make_notes(env, *store.value(), made_parents) : std::nullopt;
    return notes ? enif_make_tuple3(env, atoms().ok, term, *notes)
                 : enif_make_tuple2(env, atoms().ok, term);
  }
}

/// What the close came to, in an environment; others who asked are told.
static ERL_NIF_TERM close_store(ErlNifEnv* env, const std::shared_ptr<Store>& store,
                                ErlNifEnv* caller = nullptr) {
  const auto closed = [&]() noexcept -> Result<void> {
    try {
      return store->close();
    } catch (const std::bad_alloc&) {
      return Error{.code = Code::no_memory, .operation = "close"};
    } catch (...) {
      return Error{.code = Code::internal, .operation = "close"};
    }
  }();
  for (Reply& reply : state().names.remove(store.get())) {
    reply.send(make_error(reply.env(), {.code = Code::closed}), caller);
  }
  return make_result(env, closed);
}

bool Closers::start(std::unique_ptr<Job>* job) {
  char name[] = "hyper_lmdb_stop";
  // The lock until the thread's number is known: whoever joins it takes the lock before.
  const std::lock_guard lock(mutex_);
  if (enif_thread_create(name, &(*job)->thread, &Closers::run, job->get(), nullptr) != 0) {
    return false;
  }
  (void)job->release();
  return true;
}

void* Closers::run(void* argument) {
  std::unique_ptr<Job> job(static_cast<Job*>(argument));
  job->reply.send(close_store(job->reply.env(), std::exchange(job->store, nullptr)));
  Closers& all = state().closers;
  {
    const std::lock_guard lock(all.mutex_);
    job.swap(all.ended_);
  }
  if (job != nullptr) enif_thread_join(job->thread, nullptr);
  return nullptr;
}

// On a thread of its own: applying what is buffered may take seconds, and the VM reads files on its
// dirty IO schedulers.
ERL_NIF_TERM close(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (enif_is_ref(env, argv[1]) == 0) return make_badarg(env, 2);
  if (store->get() == nullptr) return store->refusal(env);
  auto job = std::make_unique<Closers::Job>(Closers::Job{store->share(), Reply(env, argv[1])});
  switch (state().names.begin_close(job->store.get(), &job->reply)) {
    case Names::Close::done:
      return make_error(env, {.code = Code::closed});
    case Names::Close::by_another:
      return atoms().queued;
    case Names::Close::by_caller:
      break;
  }
  if (state().closers.start(&job)) return atoms().queued;
  return close_store(env, job->store, env);
}

ERL_NIF_TERM watch(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = StoreRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (enif_is_ref(env, argv[1]) == 0) return make_badarg(env, 2);
  if (store->get() == nullptr) return store->refusal(env);
  if (state().names.watch(store->get(), Reply(env, argv[1]))) return atoms().ok;
  return make_error(env, {.code = Code::closed});
}

ERL_NIF_TERM info(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto store = ReaderRef::from(env, argv[0]);
  if (!store) return make_badarg(env, 1);
  if (store->store() == nullptr) return make_not_started(env);
  const auto found = store->store()->info({.turn_ms = kLongestTurnMs});
  if (!found) return make_error(env, found.error());
  return enif_make_tuple2(env, atoms().ok, make_info(env, found.value()));
}

ERL_NIF_TERM begin_backup(ErlNifEnv* env, int, const ERL_NIF_TERM argv[]) {
  const auto source = ReaderRef::from(env, argv[0]);
  if (!source) return make_badarg(env, 1);
  if (!as_binary(env, argv[1])) return make_badarg(env, 2);
  if (enif_is_ref(env, argv[2]) == 0) return make_badarg(env, 3);
  if (source->store() == nullptr) return make_not_started(env);
  auto request = std::make_unique<MessageRequest>(env, argv[2], argv[1]);
  request->kind = Request::Kind::backup;
  request->decode_file();
  const Snapshot* const snapshot = source->snapshot();
  const auto submitted = snapshot != nullptr ? snapshot->submit_backup(request.get())
                                             : source->store()->submit(request.get());
  if (!submitted) return make_error(env, submitted.error());
  (void)request.release();  // the store's now
  return atoms().queued;
}

ERL_NIF_TERM stores(ErlNifEnv* env, int, const ERL_NIF_TERM[]) {
  ERL_NIF_TERM list = enif_make_list(env, 0);
  for (Handle* handle : state().names.all()) {
    list = enif_make_list_cell(env, enif_make_resource(env, handle), list);
    enif_release_resource(handle);
  }
  return list;
}

}  // namespace hyper_lmdb::nif
