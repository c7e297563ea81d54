#include "workload.h"

#include <random>

namespace hyper_lmdb::power {

namespace {

constexpr std::uint64_t kKiB = 1024;

/// Makes steps; one for all sessions, so that later ones go on with what earlier ones wrote.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  void begin(Session* session) { session_ = session; }

  void overwrite(unsigned batches) {
    while (batches-- > 0) {
      Step& step = batch();
      for (unsigned i = below(5) + 1; i > 0; --i) put(step, hot(), value(20 + below(700)));
      if (below(6) == 0) put(step, hot(), value(1000 + below(4000)));
    }
  }
  void grow(unsigned batches) {
    while (batches-- > 0) {
      Step& step = batch();
      for (unsigned i = below(3) + 1; i > 0; --i) put(step, fresh(), value(50 + below(1500)));
    }
  }
  void crowd(unsigned batches) {  // many small keys
    while (batches-- > 0) {
      Step& step = batch();
      for (unsigned i = 0; i < 200; ++i) put(step, fresh(), value(4));
    }
  }
  void remove(unsigned batches) {
    while (batches-- > 0) {
      Step& step = batch();
      for (unsigned i = below(4) + 1; i > 0; --i) {
        step.elements.push_back({OpKind::remove, below(2) == 0 ? hot() : old(), {}});
      }
    }
  }
  void link(unsigned batches) {
    while (batches-- > 0) {
      Step& step = batch();
      const std::string link = "l/" + std::to_string(below(12));
      const std::string group = "g/" + std::to_string(below(kGroups));
      step.elements.push_back({below(4) == 0 ? OpKind::remove : OpKind::link, link, hot()});
      step.elements.push_back({below(3) == 0 ? OpKind::remove : OpKind::group, group, {}});
      put(step, hot(), value(60));
    }
  }
  void large(unsigned batches) {  // past a quarter of the buffer: not through the journal
    while (batches-- > 0) {
      Step& step = batch();
      put(step, hot(), value(session_->buffer_bytes / 4 + below(30'000)));
      put(step, hot(), value(100));
    }
  }
  void remove_prefix() {
    const std::string prefix = "n/" + std::to_string(1 + below(9));
    add({.kind = Step::Kind::remove_prefix, .elements = {}, .prefix = prefix});
  }
  void remove_all_fresh() {
    add({.kind = Step::Kind::remove_prefix, .elements = {}, .prefix = "n/"});
  }
  void reset() { add({.kind = Step::Kind::reset, .elements = {}, .prefix = {}}); }
  void sync() { add({.kind = Step::Kind::sync, .elements = {}, .prefix = {}}); }

  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

 private:
  void add(Step step) { session_->steps.push_back(std::move(step)); }
  /// Each batch changes one key for itself, so that no two states are the same.
  Step& batch() {
    if (below(40) == 0) sync();
    add({});
    put(session_->steps.back(), "k/count", std::to_string(++count_));
    return session_->steps.back();
  }
  static void put(Step& step, std::string key, std::string value) {
    step.elements.push_back({OpKind::put, std::move(key), std::move(value)});
  }
  std::string hot() { return "k/" + std::to_string(below(60)); }
  std::string fresh() { return "n/" + std::to_string(++fresh_); }
  std::string old() { return "n/" + std::to_string(1 + below(fresh_ + 1)); }
  std::string value(std::uint64_t bytes) {
    std::string text(bytes, '\0');
    std::uint64_t word = random_();
    for (std::size_t i = 0; i < bytes; ++i) {
      if (i % 8 == 0) word = word * 6364136223846793005 + 1442695040888963407;
      text[i] = static_cast<char>(word >> 56) | 1;  // no sector of it is all zeros
    }
    return text;
  }

  std::mt19937_64 random_;
  Session* session_ = nullptr;
  unsigned count_ = 0;
  unsigned fresh_ = 0;
};

struct Plan {
  Durability mode;
  std::uint64_t buffer_bytes;
  bool dies;
};

Durability other_than(Durability mode) {
  return mode == Durability::sync ? Durability::async : Durability::sync;
}

}  // namespace

std::vector<Session> sessions_of(Durability mode, std::uint64_t seed) {
  const Durability other = other_than(mode);
  const Plan plans[] = {
      {mode, 64 * kKiB, false},  {mode, 128 * kKiB, true}, {mode, 64 * kKiB, true},
      {other, 64 * kKiB, false}, {mode, 256 * kKiB, true}, {other, 64 * kKiB, true},
      {mode, 2048 * kKiB, true}, {mode, 64 * kKiB, false},
  };
  Maker make(seed);
  std::vector<Session> sessions;
  for (const Plan& plan : plans) {
    Session& session = sessions.emplace_back(Session{
        .mode = plan.mode, .buffer_bytes = plan.buffer_bytes, .dies = plan.dies, .steps = {}});
    make.begin(&session);
    make.overwrite(60);
    make.grow(30);
    make.link(20);
    make.remove(15);
    switch (sessions.size()) {
      case 2:
        make.crowd(6);
        make.overwrite(30);
        make.remove_all_fresh();  // more than one transaction takes
        make.grow(20);
        break;
      case 3:
        make.large(4);
        make.overwrite(20);
        make.reset();
        make.link(6);
        break;
      case 5:
        make.overwrite(120);
        make.large(2);
        make.remove_prefix();
        break;
      case 7:  // past the first MiB of a segment
        make.overwrite(750);
        break;
      default:
        make.remove_prefix();
        make.large(2);
        break;
    }
    make.overwrite(30);
    make.sync();
    make.link(10);
    make.overwrite(10);
  }
  return sessions;
}

}  // namespace hyper_lmdb::power
