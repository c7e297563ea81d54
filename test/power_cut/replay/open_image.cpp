#include "open_image.h"

#include <cstdio>
#include <memory>

#include "hyper_lmdb/store.h"
#include "store_state.h"

namespace hyper_lmdb::power {

namespace {

constexpr std::uint64_t kBufferBytes = 64 << 10;

Outcome failed(const char* what, const Error& error) {
  Outcome outcome;
  std::snprintf(outcome.words, sizeof outcome.words, "%s: %s (%s)", what, name_of(error.code),
                error.operation);
  return outcome;
}

Outcome failed(const char* what) {
  Outcome outcome;
  std::snprintf(outcome.words, sizeof outcome.words, "%s", what);
  return outcome;
}

/// What is written on; all of it but one key is there afterwards.
Result<void> write_on(Store& store, State* state) {
  const std::string small(300, 's'), large(20'000, 'l');  // the latter past the journal
  if (auto done = store.put("0/k/gone", small); !done) return done;
  if (auto done = store.put("0/k/small", small); !done) return done;
  if (auto done = store.remove("0/k/gone"); !done) return done;
  if (auto done = store.put("0/k/large", large); !done) return done;
  if (auto done = store.put("0/k/last", small); !done) return done;
  (*state)[0] += piece_of("0/k/small", 'V', small) + piece_of("0/k/large", 'V', large) +
                 piece_of("0/k/last", 'V', small);
  return {};
}

Outcome look(Store& store) {
  auto found = state_of(store);
  if (!found) return failed("walk", found.error());
  State expected = found.value();
  if (auto done = write_on(store, &expected); !done) return failed("write on", done.error());
  auto after = state_of(store);
  if (!after) return failed("walk what was written on", after.error());
  if (after.value() != expected) return failed("what was written on is not there");
  return {.kind = Outcome::Kind::read, .state = found.value(), .words = {}};
}

Outcome look_again(const Options& options, const State& expected) {
  auto opened = Store::open(options);
  if (!opened) return failed("open again", opened.error());
  Store& store = *opened.value();
  auto found = state_of(store);
  auto closed = store.close();
  if (!found) return failed("walk again", found.error());
  if (found.value() != expected) return failed("another state when it was opened again");
  if (!closed) return failed("close again", closed.error());
  return {.kind = Outcome::Kind::read, .state = {}, .words = {}};
}

}  // namespace

Outcome open_image(const std::string& directory, Durability mode) {
  const Options options = options_for(directory, mode, kBufferBytes);
  auto opened = Store::open(options);
  if (!opened) {
    if (opened.error().code != Code::unclean_shutdown) return failed("open", opened.error());
    return {.kind = Outcome::Kind::unclean, .state = {}, .words = {}};
  }
  Store& store = *opened.value();
  const Outcome first = look(store);
  auto after = state_of(store);
  auto closed = store.close();
  if (first.kind != Outcome::Kind::read) return first;
  if (!after) return failed("walk before the close", after.error());
  if (!closed) return failed("close", closed.error());
  const Outcome second = look_again(options, after.value());
  return second.kind == Outcome::Kind::read ? first : second;
}

}  // namespace hyper_lmdb::power
