// What the workload does to a store: all of it follows from a seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/options.h"

namespace hyper_lmdb::power {

/// Each has keys of its own, which begin with its digit: "0/k/" and "0/n/" values, "0/l/" links to
/// "0/k/" keys, "0/g/" marks of groups. Several at once never meet.
inline constexpr unsigned kWriters = 4;
inline constexpr unsigned kGroups = 6;  // of each

struct Element {
  OpKind kind;
  std::string key;
  std::string value;
  std::string path;  ///< that leads to the key, through a link; empty: the key itself
};

struct Step {
  enum class Kind { batch, remove_prefix, reset, sync };
  Kind kind = Kind::batch;
  unsigned writer = 0;
  bool by_path = false;           // of a batch: by the functions that follow links
  std::vector<Element> elements;  // of a batch
  std::string prefix;
};

/// The life of one process: it opens the store, its writers do their steps, each its own in order,
/// and it closes the store or dies. Everybody's reset is a step only where there is one writer.
struct Session {
  Durability mode;
  std::uint64_t buffer_bytes;
  unsigned writers;
  bool dies;
  std::vector<Step> steps;
};

/// The sessions of a run that is mostly in that mode.
std::vector<Session> sessions_of(Durability mode, std::uint64_t seed);

}  // namespace hyper_lmdb::power
