// Runs one session of the workload under the recorder.
// usage: power_cut_driver DIRECTORY MODE SEED run SESSION
//        power_cut_driver DIRECTORY MODE SEED steps SESSION    what to do, for
//        power_cut_session.erl power_cut_driver DIRECTORY MODE SEED check            whether all
//        that was written is there power_cut_driver DIRECTORY MODE SEED recover OPEN_MODE LOW...
//        HIGH...
// The last opens and closes what a power cut left, which holds for each writer a state from LOW to
// HIGH. `steps` and `check` are not recorded.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "events.h"
#include "hyper_lmdb/store.h"
#include "print_steps.h"
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
[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "driver: %s\n", what);
  std::exit(1);
}

/// The recorder's function, which is there only where it is preloaded.
void mark(Mark mark, unsigned writer, std::uint64_t number) {
  using Say = void (*)(std::uint32_t, std::uint32_t, std::uint64_t);
  static const auto say = reinterpret_cast<Say>(::dlsym(RTLD_DEFAULT, "power_cut_mark"));
  if (say == nullptr) give_up("not under the recorder");
  say(static_cast<std::uint32_t>(mark), writer, number);
}

Result<void> do_step(Store& store, const Step& step) {
  switch (step.kind) {
    case Step::Kind::batch: {
      std::vector<Op> ops;
      for (const Element& element : step.elements) {
        ops.push_back({.kind = element.kind,
                       .key = element.path.empty() ? element.key : element.path,
                       .value = element.value,
                       .is_path = step.by_path});
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

void do_marked(Store& store, const MarkedStep& step) {
  mark(step.before, step.step->writer, step.number);
  if (auto done = do_step(store, *step.step); !done) give_up("write", done.error());
  mark(step.after, step.step->writer, step.number);
}

/// What was acknowledged before the process before this one ended must all be there.
void expect(const Store& store, const State& state) {
  auto found = state_of(store);
  if (!found) give_up("read", found.error());
  if (found.value() != state) give_up("the store does not hold what was written");
}

std::shared_ptr<Store> must_open(const std::string& directory, Durability mode,
                                 std::uint64_t buffer_bytes) {
  auto opened = Store::open(options_for(directory, mode, buffer_bytes));
  if (!opened) give_up("open", opened.error());
  return std::move(opened).value();
}

void run(const std::string& directory, const std::vector<Session>& sessions, std::size_t number) {
  Model model;
  for (std::size_t i = 0; i < number; ++i) {
    for (const Step& step : sessions[i].steps) model.apply(step);
  }
  const Session& session = sessions[number];
  mark(Mark::opening, 0, static_cast<std::uint64_t>(session.mode));
  const std::shared_ptr<Store> store = must_open(directory, session.mode, session.buffer_bytes);
  mark(Mark::opened, 0, static_cast<std::uint64_t>(session.mode));
  expect(*store, model.state());
  const std::vector<MarkedStep> steps = marked_steps(session, &model);
  std::vector<std::thread> writers;
  for (unsigned writer = 0; writer < session.writers; ++writer) {
    writers.emplace_back([&, writer] {
      for (const MarkedStep& step : steps) {
        if (step.step->writer == writer) do_marked(*store, step);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  expect(*store, model.state());
  if (!session.dies) {
    if (auto done = store->close(); !done) give_up("close", done.error());
    mark(Mark::closed, 0, 0);
  }
  mark(Mark::end, 0, 0);
}

void check(const std::string& directory, const std::vector<Session>& sessions) {
  Model model;
  for (const Session& session : sessions) {
    for (const Step& step : session.steps) model.apply(step);
  }
  const std::shared_ptr<Store> store =
      must_open(directory, sessions.back().mode, kRecoverBufferBytes);
  expect(*store, model.state());
  if (auto done = store->close(); !done) give_up("close", done.error());
}

/// Which of the writer's states it is, and no other one will do from now on.
std::uint64_t place_of(std::uint64_t state, const std::vector<std::uint64_t>& states,
                       std::uint64_t low, std::uint64_t high) {
  for (std::uint64_t place = high; place + 1 > low; --place) {
    if (states[place] == state) return place;
  }
  give_up("the store does not hold what was promised");
}

int recover(const std::string& directory, const History& history, char** words) {
  const auto mode = mode_named(words[0]);
  if (!mode) return 2;
  Place low, high;
  for (unsigned i = 0; i < kWriters; ++i) {
    low[i] = std::strtoull(words[1 + i], nullptr, 10);
    high[i] = std::strtoull(words[1 + kWriters + i], nullptr, 10);
    if (high[i] >= history[i].size()) return 2;
    mark(Mark::kept, i, low[i]);
    mark(Mark::begin, i, high[i]);
  }
  mark(Mark::opening, 0, static_cast<std::uint64_t>(*mode));
  const std::shared_ptr<Store> store = must_open(directory, *mode, kRecoverBufferBytes);
  auto found = state_of(*store);
  if (!found) give_up("read", found.error());
  for (unsigned i = 0; i < kWriters; ++i) {
    const std::uint64_t place = place_of(found.value()[i], history[i], low[i], high[i]);
    mark(Mark::begin, i, place);
    mark(Mark::ack, i, place);
  }
  mark(Mark::opened, 0, static_cast<std::uint64_t>(*mode));
  if (auto done = store->close(); !done) give_up("close", done.error());
  mark(Mark::closed, 0, 0);
  mark(Mark::end, 0, 0);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count < 5) return 2;
  const std::string directory = words[1], verb = words[4];
  const auto mode = mode_named(words[2]);
  if (!mode) return 2;
  const auto sessions = sessions_of(*mode, std::strtoull(words[3], nullptr, 10));
  if (verb == "check") {
    check(directory, sessions);
    return 0;
  }
  if (verb == "recover" && count == 6 + 2 * static_cast<int>(kWriters)) {
    return recover(directory, history_of(sessions), words + 5);
  }
  const std::size_t number = count == 6 ? std::strtoull(words[5], nullptr, 10) : sessions.size();
  if (number >= sessions.size()) return 2;
  if (verb == "run") {
    run(directory, sessions, number);
  } else if (verb == "steps") {
    print_steps(sessions, number);
  } else {
    return 2;
  }
  return 0;
}
