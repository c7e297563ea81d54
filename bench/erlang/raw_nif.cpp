// Raw LMDB in loops inside the VM: the floor for the Erlang figures, taken in the same run. For
// benchmarks only: a call holds its scheduler for as long as its loop takes.
#include <erl_nif.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "busy_thread.h"
#include "nif_terms.h"
#include "page_cache.h"
#include "raw_store.h"

namespace {

using namespace hyper_lmdb::bench;

struct Pair {
  std::string key;
  std::string value;
};
struct View {
  std::string_view key;
  std::string_view value;
};

/// Keys and values copied out of Erlang terms before the clock starts, in the order of use. Bytes
/// lie one behind the other, as they do in the terms of a list that was just built.
struct Pairs {
  std::string bytes;
  std::vector<View> views;
};

using StoreRef = std::unique_ptr<RawStore>;
using PairsRef = std::unique_ptr<Pairs>;
using BusyRef = std::unique_ptr<BusyThread>;
ErlNifResourceType* store_type = nullptr;
ErlNifResourceType* pairs_type = nullptr;
ErlNifResourceType* busy_type = nullptr;

template <typename T>
void destroy(ErlNifEnv*, void* object) {
  static_cast<T*>(object)->~T();
}

ERL_NIF_TERM open(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const std::string directory(bytes_of(env, argv[0]));
  std::array<char, 16> mode;
  if (!enif_get_atom(env, argv[1], mode.data(), mode.size(), ERL_NIF_LATIN1)) throw BadArgument{};
  const std::string_view word(mode.data());
  if (word != "map_async" && word != "sync") throw BadArgument{};
  return make_resource(
      env, store_type,
      std::make_unique<RawStore>(
          directory, word == "sync" ? RawStore::Mode::sync : RawStore::Mode::map_async));
}

template <typename Ref>
ERL_NIF_TERM release(ErlNifEnv* env, ERL_NIF_TERM term, ErlNifResourceType* type) {
  void* object = nullptr;
  if (!enif_get_resource(env, term, type, &object)) throw BadArgument{};
  static_cast<Ref*>(object)->reset();
  return enif_make_atom(env, "ok");
}

ERL_NIF_TERM close(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  return release<StoreRef>(env, argv[0], store_type);
}

// busy(Percent) -> Thread
ERL_NIF_TERM busy(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const double share = static_cast<double>(count(env, argv[0])) / 100;
  return make_resource(env, busy_type, std::make_unique<BusyThread>(share));
}

ERL_NIF_TERM stop_busy(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  return release<BusyRef>(env, argv[0], busy_type);
}

// pairs([{Key, Value}]) -> Pairs
ERL_NIF_TERM pairs(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  std::vector<Pair> owned;
  std::size_t total = 0;
  ERL_NIF_TERM head;
  ERL_NIF_TERM tail = argv[0];
  while (enif_get_list_cell(env, tail, &head, &tail)) {
    int arity = 0;
    const ERL_NIF_TERM* pair = nullptr;
    if (!enif_get_tuple(env, head, &arity, &pair) || arity != 2) throw BadArgument{};
    owned.push_back({std::string(bytes_of(env, pair[0])), std::string(bytes_of(env, pair[1]))});
    total += owned.back().key.size() + owned.back().value.size();
  }
  if (!enif_is_empty_list(env, tail)) throw BadArgument{};
  auto made = std::make_unique<Pairs>();
  made->bytes.reserve(total);  // the views point into it: it must not move
  for (const Pair& pair : owned) {
    const char* at = made->bytes.data() + made->bytes.size();
    made->bytes += pair.key;
    made->bytes += pair.value;
    made->views.push_back({{at, pair.key.size()}, {at + pair.key.size(), pair.value.size()}});
  }
  return make_resource(env, pairs_type, std::move(made));
}

/// Where values are copied to; as large as the largest so far.
class Buffer {
 public:
  void copy(std::string_view value) {
    if (value.size() > bytes_.size()) bytes_.resize(value.size());
    std::memcpy(bytes_.data(), value.data(), value.size());
    asm volatile("" : : "r"(bytes_.data()) : "memory");  // the copy is not to be optimised away
  }

 private:
  std::vector<char> bytes_ = std::vector<char>(4096);
};

[[noreturn]] void missing() {
  throw std::runtime_error("a key that was stored was not found");
}

// get(Store, Pairs, Threads) -> Nanoseconds: every thread reads every key once, each from its own
// place in the list, with renew, get, copy and reset for each.
ERL_NIF_TERM get(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const RawStore& store = resource<StoreRef>(env, argv[0], store_type);
  const std::vector<View>& views = resource<PairsRef>(env, argv[1], pairs_type).views;
  const std::size_t threads = count(env, argv[2]);
  std::vector<std::unique_ptr<RawStore::Reader>> readers;
  for (std::size_t i = 0; i < threads; ++i) {
    readers.push_back(std::make_unique<RawStore::Reader>(store));
  }
  std::vector<std::size_t> found(threads);
  const auto read_all = [&](std::size_t thread) {
    Buffer buffer;
    RawStore::Reader& reader = *readers[thread];
    std::size_t hits = 0;
    const std::size_t start = views.size() * thread / threads;
    for (std::size_t i = 0; i < views.size(); ++i) {
      const std::size_t at = start + i < views.size() ? start + i : start + i - views.size();
      hits += reader.get(views[at].key, [&](std::string_view v) { buffer.copy(v); }) ? 1 : 0;
    }
    found[thread] = hits;
  };
  const ERL_NIF_TERM took = nanoseconds(env, [&] {
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < threads; ++i) others.emplace_back(read_all, i);
    read_all(0);
    for (std::thread& other : others) other.join();
  });
  if (std::any_of(found.begin(), found.end(), [&](std::size_t n) { return n != views.size(); })) {
    missing();
  }
  return took;
}

// read_many(Store, Pairs, Size) -> Nanoseconds: `Size` gets in one transaction.
ERL_NIF_TERM read_many(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const RawStore& store = resource<StoreRef>(env, argv[0], store_type);
  const std::vector<View>& views = resource<PairsRef>(env, argv[1], pairs_type).views;
  const std::size_t size = count(env, argv[2]);
  RawStore::Reader reader(store);
  std::vector<std::string_view> keys;
  for (const View& view : views) keys.push_back(view.key);
  std::size_t found = 0;
  Buffer buffer;
  const ERL_NIF_TERM took = nanoseconds(env, [&] {
    for (std::size_t at = 0; at < keys.size(); at += size) {
      const std::span part(keys.data() + at, std::min(size, keys.size() - at));
      found += reader.read_many(part, [&](std::string_view value) { buffer.copy(value); });
    }
  });
  if (found != keys.size()) missing();
  return took;
}

// put(Store, Pairs) -> Nanoseconds: begin, put, commit for each.
ERL_NIF_TERM put(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  RawStore& store = resource<StoreRef>(env, argv[0], store_type);
  const std::vector<View>& views = resource<PairsRef>(env, argv[1], pairs_type).views;
  return nanoseconds(env, [&] {
    for (const View& view : views) store.put(view.key, view.value);
  });
}

// batch_write(Store, Pairs, Size) -> Nanoseconds: `Size` puts, unsorted, in one transaction.
ERL_NIF_TERM batch_write(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  RawStore& store = resource<StoreRef>(env, argv[0], store_type);
  const std::vector<View>& views = resource<PairsRef>(env, argv[1], pairs_type).views;
  const std::size_t size = count(env, argv[2]);
  return nanoseconds(env, [&] {
    for (std::size_t at = 0; at < views.size(); at += size) {
      store.batch_write(std::span(views.data() + at, std::min(size, views.size() - at)));
    }
  });
}

// fold(Store) -> {Nanoseconds, Entries}: one cursor over everything, each value copied.
ERL_NIF_TERM fold(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const RawStore& store = resource<StoreRef>(env, argv[0], store_type);
  RawStore::Reader reader(store);
  Buffer buffer;
  std::size_t entries = 0;
  const ERL_NIF_TERM took = nanoseconds(env, [&] {
    entries = reader.fold([&](std::string_view, std::string_view value) { buffer.copy(value); });
  });
  return enif_make_tuple2(env, took, enif_make_uint64(env, entries));
}

// holds(Store, Pairs) -> boolean(): whether every pair is there.
ERL_NIF_TERM holds(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const RawStore& store = resource<StoreRef>(env, argv[0], store_type);
  const std::vector<View>& views = resource<PairsRef>(env, argv[1], pairs_type).views;
  RawStore::Reader reader(store);
  const bool all = std::all_of(views.begin(), views.end(), [&](const View& view) {
    bool same = false;
    reader.get(view.key, [&](std::string_view value) { same = value == view.value; });
    return same;
  });
  return enif_make_atom(env, all ? "true" : "false");
}

// drop(File) -> ok: nothing of the file is in the page cache any more, where that is possible.
ERL_NIF_TERM drop(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  drop_pages(std::string(bytes_of(env, argv[0])));
  return enif_make_atom(env, "ok");
}

// resident(File) -> {Pages, Resident}
ERL_NIF_TERM resident(ErlNifEnv* env, const ERL_NIF_TERM* argv) {
  const Residence found = residence(std::string(bytes_of(env, argv[0])));
  return enif_make_tuple2(env, enif_make_uint64(env, found.pages),
                          enif_make_uint64(env, found.resident));
}

ERL_NIF_TERM empty(ErlNifEnv*, const ERL_NIF_TERM* argv) {
  return argv[0];
}

/// Nothing thrown may reach the VM.
template <ERL_NIF_TERM (*function)(ErlNifEnv*, const ERL_NIF_TERM*)>
ERL_NIF_TERM guarded(ErlNifEnv* env, int, const ERL_NIF_TERM* argv) noexcept {
  try {
    return function(env, argv);
  } catch (const BadArgument&) {
    return enif_make_badarg(env);
  } catch (const std::exception& error) {
    return enif_raise_exception(env, enif_make_string(env, error.what(), ERL_NIF_LATIN1));
  }
}

ErlNifFunc functions[] = {
    {"open", 2, guarded<open>, ERL_NIF_DIRTY_JOB_IO_BOUND},
    {"close", 1, guarded<close>, ERL_NIF_DIRTY_JOB_IO_BOUND},
    {"pairs", 1, guarded<pairs>, 0},
    {"holds", 2, guarded<holds>, 0},
    {"drop", 1, guarded<drop>, ERL_NIF_DIRTY_JOB_IO_BOUND},
    {"resident", 1, guarded<resident>, ERL_NIF_DIRTY_JOB_IO_BOUND},
    {"empty", 1, guarded<empty>, 0},
    {"busy", 1, guarded<busy>, 0},
    {"stop_busy", 1, guarded<stop_busy>, ERL_NIF_DIRTY_JOB_IO_BOUND},
    // On the caller's scheduler, where the calls they are compared with run.
    {"get", 3, guarded<get>, 0},
    {"read_many", 3, guarded<read_many>, 0},
    {"put", 2, guarded<put>, 0},
    {"batch_write", 3, guarded<batch_write>, 0},
    {"fold", 1, guarded<fold>, 0},
};

int load(ErlNifEnv* env, void**, ERL_NIF_TERM) {
  store_type = enif_open_resource_type(env, nullptr, "raw_store", destroy<StoreRef>,
                                       ERL_NIF_RT_CREATE, nullptr);
  pairs_type =
      enif_open_resource_type(env, nullptr, "pairs", destroy<PairsRef>, ERL_NIF_RT_CREATE, nullptr);
  busy_type = enif_open_resource_type(env, nullptr, "busy_thread", destroy<BusyRef>,
                                      ERL_NIF_RT_CREATE, nullptr);
  return store_type != nullptr && pairs_type != nullptr && busy_type != nullptr ? 0 : 1;
}

}  // namespace

ERL_NIF_INIT(bench_raw, functions, load, nullptr, nullptr, nullptr)
