#include "workload.h"

#include <array>
#include <deque>
#include <map>
#include <random>
#include <set>

namespace hyper_lmdb::power {

namespace {

constexpr std::uint64_t kKiB = 1024;

/// What a writer has done so far that later steps depend on.
struct Tree {
  std::string root;
  unsigned count = 0;
  unsigned fresh = 0;
  std::map<std::string, std::string> links;
  std::set<std::string> groups;
  std::deque<std::string> singles;  // keys there are by steps of one element
};

/// Makes steps; one for all sessions, so that later ones go on with what earlier ones wrote.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {
    for (unsigned i = 0; i < kWriters; ++i) trees_[i].root = std::to_string(i) + '/';
  }

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
      for (unsigned i = below(4) + 1; i > 0; --i) remove(step, below(2) == 0 ? hot() : old());
    }
  }
  void link(unsigned batches) {
    while (batches-- > 0) {
      Step& step = batch();
      const std::string name = link_name();
      if (below(4) == 0) {
        remove(step, name);
      } else {
        link(step, name, hot());
      }
      const std::string marked = group_name();
      if (below(3) == 0) {
        remove(step, marked);
      } else {
        group(step, marked);
      }
      put(step, hot(), value(60));
    }
  }
  void path(unsigned batches) {  // elements that go through links, those just made too
    while (batches-- > 0) {
      Step& step = batch();
      step.by_path = true;
      link(step, link_name(), hot());
      for (unsigned i = below(3) + 1; i > 0; --i) put_through_link(step, value(20 + below(300)));
      if (below(2) == 0) group(step, group_name());
    }
  }
  void single(unsigned steps) {  // of one element, by the function for just that
    while (steps-- > 0) {
      Step& step = next();
      switch (below(5)) {
        case 0:
          step.by_path = below(2) == 0;
          link(step, link_name(), hot());
          break;
        case 1:
          step.by_path = true;
          if (!tree_->links.empty()) {
            put_through_link(step, value(20 + below(300)));
            break;
          }
          put(step, hot(), value(40));
          break;
        case 2:
          if (tree_->singles.size() > 2) {
            remove(step, std::string(tree_->singles.front()));
            tree_->singles.pop_front();
            break;
          }
          [[fallthrough]];
        default: {
          const std::string key = tree_->root + "k/s" + std::to_string(++tree_->count);
          tree_->singles.push_back(key);
          put(step, key, value(20 + below(200)));
          break;
        }
      }
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
    Step& step = next();
    step.kind = Step::Kind::remove_prefix;
    step.prefix = tree_->root + "n/" + std::to_string(1 + below(9));
  }
  void remove_all_fresh() {
    Step& step = next();
    step.kind = Step::Kind::remove_prefix;
    step.prefix = tree_->root + "n/";
  }
  void reset() {
    next().kind = Step::Kind::reset;
    for (Tree& tree : trees_) {
      tree.links.clear();
      tree.groups.clear();
      tree.singles.clear();
    }
  }
  void sync() { next().kind = Step::Kind::sync; }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  /// Somebody's next step.
  Step& next() {
    const unsigned writer = below(session_->writers);
    tree_ = &trees_[writer];
    session_->steps.push_back({.writer = writer, .elements = {}, .prefix = {}});
    return session_->steps.back();
  }
  /// Each batch changes one key for itself, so that no two states are the same.
  Step& batch() {
    if (below(40) == 0) sync();
    Step& step = next();
    put(step, tree_->root + "k/count", std::to_string(++tree_->count));
    return step;
  }

  static void put(Step& step, std::string key, std::string value, std::string path = {}) {
    step.elements.push_back({OpKind::put, std::move(key), std::move(value), std::move(path)});
  }
  void put_through_link(Step& step, std::string value) {
    auto link = tree_->links.begin();
    std::advance(link, below(static_cast<unsigned>(tree_->links.size())));
    const std::string rest = "/x" + std::to_string(below(5));
    put(step, link->second + rest, std::move(value), link->first + rest);
  }
  void remove(Step& step, const std::string& key) {
    tree_->links.erase(key);
    tree_->groups.erase(key);
    step.elements.push_back({OpKind::remove, key, {}, {}});
  }
  void link(Step& step, const std::string& name, const std::string& target) {
    tree_->links[name] = target;
    step.elements.push_back({OpKind::link, name, target, {}});
  }
  void group(Step& step, const std::string& name) {
    tree_->groups.insert(name);
    step.elements.push_back({OpKind::group, name, {}, {}});
  }

  std::string hot() { return tree_->root + "k/" + std::to_string(below(60)); }
  std::string fresh() { return tree_->root + "n/" + std::to_string(++tree_->fresh); }
  std::string old() { return tree_->root + "n/" + std::to_string(1 + below(tree_->fresh + 1)); }
  std::string link_name() { return tree_->root + "l/" + std::to_string(below(12)); }
  std::string group_name() { return tree_->root + "g/" + std::to_string(below(kGroups)); }
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
  std::array<Tree, kWriters> trees_;
  Tree* tree_ = nullptr;
};

struct Plan {
  Durability mode;
  std::uint64_t buffer_bytes;
  unsigned writers;
  bool dies;
};

Durability other_than(Durability mode) {
  return mode == Durability::sync ? Durability::async : Durability::sync;
}

}  // namespace

std::vector<Session> sessions_of(Durability mode, std::uint64_t seed) {
  const Durability other = other_than(mode);
  const Plan plans[] = {
      {mode, 64 * kKiB, kWriters, false}, {mode, 128 * kKiB, 1, true},
      {mode, 64 * kKiB, 1, true},         {other, 64 * kKiB, kWriters, false},
      {mode, 256 * kKiB, 1, true},        {other, 64 * kKiB, kWriters, true},
      {mode, 2048 * kKiB, 2, true},       {mode, 64 * kKiB, kWriters, false},
  };
  Maker make(seed);
  std::vector<Session> sessions;
  for (const Plan& plan : plans) {
    Session& session = sessions.emplace_back(Session{.mode = plan.mode,
                                                     .buffer_bytes = plan.buffer_bytes,
                                                     .writers = plan.writers,
                                                     .dies = plan.dies,
                                                     .steps = {}});
    make.begin(&session);
    make.overwrite(50);
    make.grow(30);
    make.link(20);
    make.path(10);
    make.single(15);
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
    make.overwrite(20);
    make.single(10);
    make.sync();
    make.link(10);
    make.overwrite(10);
  }
  return sessions;
}

}  // namespace hyper_lmdb::power
