// What the workload does to a store, and what the store then holds: all of it follows from a seed.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/options.h"

namespace hyper_lmdb::power {

/// Keys by what they hold: "k/" and "n/" values, "l/" links to "k/" keys, "g/" marks of groups.
inline constexpr unsigned kGroups = 12;

struct Element {
  OpKind kind;
  std::string key;
  std::string value;
};

struct Step {
  enum class Kind { batch, remove_prefix, reset, sync };
  Kind kind = Kind::batch;
  std::vector<Element> elements;  // of a batch
  std::string prefix;
};

/// The life of one process: it opens the store, does the steps, and closes it or dies.
struct Session {
  Durability mode;
  std::uint64_t buffer_bytes;
  bool dies;
  std::vector<Step> steps;
};

/// The sessions of a run that is mostly in that mode.
std::vector<Session> sessions_of(Durability mode, std::uint64_t seed);

/// A state is a sum of numbers, one for each thing a store holds; nothing is 0.
std::uint64_t piece_of(std::string_view key, char kind, std::string_view content);

class Model {
 public:
  /// Does a step; appends the state after each atomic part of it.
  void apply(const Step& step, std::vector<std::uint64_t>* states);
  std::uint64_t state() const;

 private:
  void apply(const Element& element);

  std::map<std::string, std::uint64_t> values_;  // the piece of each
  std::map<std::string, std::string> links_;
  std::set<std::string> groups_;
  std::uint64_t values_sum_ = 0;
};

/// The states of all the sessions in order; the first is the empty store.
std::vector<std::uint64_t> states_of(const std::vector<Session>& sessions);

}  // namespace hyper_lmdb::power
