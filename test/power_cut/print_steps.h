// The steps of a session with what is said before and after each, and in a form for another
// program.
#pragma once

#include <cstdint>
#include <vector>

#include "events.h"
#include "model.h"

namespace hyper_lmdb::power {

struct MarkedStep {
  const Step* step;
  Mark before;
  Mark after;
  std::uint64_t number;  ///< of both
};

/// Lets the model do the session.
std::vector<MarkedStep> marked_steps(const Session& session, Model* model);

/// Prints one session to the standard output, as power_cut_session.erl reads it: numbers of 32
/// bits, little-endian, and bytes behind their number.
void print_steps(const std::vector<Session>& sessions, std::size_t number);

}  // namespace hyper_lmdb::power
