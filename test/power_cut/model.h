// What the store holds after each write of the workload.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "workload.h"

namespace hyper_lmdb::power {

/// A number for each writer's part of a store: what it holds. It is a sum of numbers, one for each
/// thing in it; nothing is 0.
using State = std::array<std::uint64_t, kWriters>;
/// A number for each writer: how many states it has gone through.
using Place = std::array<std::uint64_t, kWriters>;
/// For each writer the states of its part, in order; the first is of nothing.
using History = std::array<std::vector<std::uint64_t>, kWriters>;

std::uint64_t piece_of(std::string_view key, char kind, std::string_view content);

class Model {
 public:
  /// Does a step; the history gets the state after each atomic part of it.
  void apply(const Step& step);
  const History& history() const { return history_; }
  State state() const;
  Place place() const;

 private:
  struct Part {
    std::map<std::string, std::uint64_t> values;  // the piece of each
    std::map<std::string, std::string> links;
    std::set<std::string> groups;
    std::uint64_t values_sum = 0;
  };
  static void apply(const Element& element, Part* part);
  static bool removed_some(const std::string& prefix, Part* part);
  static std::uint64_t state_of(const Part& part);

  std::array<Part, kWriters> parts_;
  History history_{{{0}, {0}, {0}, {0}}};
};

/// Of all the sessions.
History history_of(const std::vector<Session>& sessions);

}  // namespace hyper_lmdb::power
