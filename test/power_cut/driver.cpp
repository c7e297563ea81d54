// Runs one session of the workload under the recorder.
// usage: power_cut_driver DIRECTORY MODE SEED SESSION
//        power_cut_driver DIRECTORY MODE SEED recover OPEN_MODE LOW HIGH
// The second opens and closes what a power cut left, which holds a state from LOW to HIGH.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "events.h"
#include "hyper_lmdb/store.h"
#include "store_state.h"
#include "workload.h"

namespace {

using namespace hyper_lmdb;
using namespace hyper_lmdb::power;

constexpr std::uint64_t kRecoverBufferBytes = 64 << 10;

[[noreturn]] void give_up(const char* what, const Error& error) {
  std::fprintf(stderr, "driver: %s: %s (%s)\n", what, name_of(error.code), error.operation);
  std::exit(1);
}

/// The recorder's functions, which are there only where it is preloaded.
template <typename Function>
Function recorder(const char* name) {
  const auto found = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
  if (found == nullptr) {
    std::fprintf(stderr, "driver: not under the recorder\n");
    std::exit(1);
  }
  return found;
}

void mark(Mark mark, std::uint64_t number) {
  static const auto say = recorder<void (*)(std::uint32_t, std::uint64_t)>("power_cut_mark");
  say(static_cast<std::uint32_t>(mark), number);
}

Result<void> do_step(Store& store, const Step& step) {
  switch (step.kind) {
    case Step::Kind::batch: {
      std::vector<Op> ops;
      for (const Element& element : step.elements) {
        ops.push_back({.kind = element.kind, .key = element.key, .value = element.value});
      }
      return store.batch_write(ops);
    }
    case Step::Kind::remove_prefix: {
      auto removed = store.remove_prefix(step.prefix);
      return removed ? Result<void>() : removed.error();
    }
    case Step::Kind::reset:
      return store.reset();
    case Step::Kind::sync:
      return store.sync();
  }
  return {};
}

/// What was acknowledged before the process before this one ended must all be there.
void expect(const Store& store, std::uint64_t state) {
  auto found = state_of(store);
  if (!found) give_up("read", found.error());
  if (found.value() == state) return;
  std::fprintf(stderr, "driver: the store does not hold what was written\n");
  std::exit(1);
}

/// Which of the states it is, and no other one will do from now on.
std::uint64_t place_of(std::uint64_t state, const std::vector<std::uint64_t>& states,
                       std::uint64_t low, std::uint64_t high) {
  for (std::uint64_t place = high; place + 1 > low; --place) {
    if (states[place] == state) return place;
  }
  std::fprintf(stderr, "driver: the store does not hold what was promised\n");
  std::exit(1);
}

int recover(const std::string& directory, const std::vector<std::uint64_t>& states, char** words) {
  const auto mode = mode_named(words[0]);
  const std::uint64_t low = std::strtoull(words[1], nullptr, 10);
  const std::uint64_t high = std::strtoull(words[2], nullptr, 10);
  if (!mode || high >= states.size()) return 2;
  mark(Mark::kept, low);
  mark(Mark::begin, high);
  mark(Mark::opening, static_cast<std::uint64_t>(*mode));
  auto opened = Store::open(options_for(directory, *mode, kRecoverBufferBytes));
  if (!opened) give_up("open", opened.error());
  auto found = state_of(*opened.value());
  if (!found) give_up("read", found.error());
  const std::uint64_t place = place_of(found.value(), states, low, high);
  mark(Mark::begin, place);
  mark(Mark::ack, place);
  mark(Mark::opened, static_cast<std::uint64_t>(*mode));
  if (auto done = opened.value()->close(); !done) give_up("close", done.error());
  mark(Mark::closed, place);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 5 && count != 8) return 2;
  const std::string directory = words[1];
  const auto mode = mode_named(words[2]);
  const std::uint64_t seed = std::strtoull(words[3], nullptr, 10);
  const std::size_t number = std::strtoull(words[4], nullptr, 10);
  if (!mode) return 2;
  const auto sessions = sessions_of(*mode, seed);
  if (count == 8) return recover(directory, states_of(sessions), words + 5);
  if (number >= sessions.size()) return 3;  // there are no more

  Model model;
  std::vector<std::uint64_t> states{model.state()};
  for (std::size_t i = 0; i < number; ++i) {
    for (const Step& step : sessions[i].steps) model.apply(step, &states);
  }
  const Session& session = sessions[number];
  mark(Mark::opening, static_cast<std::uint64_t>(session.mode));
  auto opened = Store::open(options_for(directory, session.mode, session.buffer_bytes));
  if (!opened) give_up("open", opened.error());
  mark(Mark::opened, static_cast<std::uint64_t>(session.mode));
  Store& store = *opened.value();
  expect(store, model.state());
  for (const Step& step : session.steps) {
    const bool sync = step.kind == Step::Kind::sync;
    model.apply(step, &states);
    mark(sync ? Mark::sync_begin : Mark::begin, states.size() - 1);
    if (auto done = do_step(store, step); !done) give_up("write", done.error());
    mark(sync ? Mark::sync_end : Mark::ack, states.size() - 1);
  }
  expect(store, model.state());
  if (session.dies) recorder<void (*)()>("power_cut_die")();
  if (auto done = store.close(); !done) give_up("close", done.error());
  mark(Mark::closed, states.size() - 1);
  return 0;
}
