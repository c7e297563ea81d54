// Makes disk images of a recording and has each opened.
// usage: power_cut_replay LOG MODE SEED IMAGES CONTROL WORK KEEP
//        power_cut_replay LOG MODE SEED COUNT select WORK DIRECTORY   (see select.h)
//   CONTROL is none, marks, checksums or flushes; images are opened below WORK; bad ones go to
//   KEEP.
// Prints "IMAGES images, CUTS cuts, BAD bad"; the exit code is 0 whether there are bad ones or not.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>

#include "cuts.h"
#include "select.h"
#include "store_state.h"
#include "worker.h"

namespace {

using namespace hyper_lmdb;
using namespace hyper_lmdb::power;

constexpr unsigned kMostPasses = 6;
constexpr std::size_t kMostKept = 5;

/// Cuts that come to the same image are opened once, and each asks its own of what was found.
struct Opened {
  Outcome outcome;
  std::vector<Cut> cuts;
};

class Replay {
 public:
  Replay(char** words, Control control)
      : mode_(*mode_named(words[2])),
        seed_(std::strtoull(words[3], nullptr, 10)),
        wanted_(std::strtoull(words[4], nullptr, 10)),
        control_(control),
        work_(words[6]),
        keep_(words[7]),
        events_(read_log(words[1])),
        cuts_(events_, directory_of(words[1]) + "/initial", control, seed_),
        states_(history_of(sessions_of(mode_, seed_)), events_) {}

  void select() const { select_images(cuts_, wanted_, keep_); }

  int run() {
    // Much of the time a worker waits for threads that begin and end.
    Workers workers(work_, 2 * std::max(1U, std::thread::hardware_concurrency()));
    std::vector<Workers::Done> done;
    std::uint64_t all_cuts = 0;
    // Later passes make up for cuts that came to the same image.
    for (unsigned pass = 0; pass < kMostPasses && opened_.size() < wanted_; ++pass) {
      counts_.push_back(pass == 0 ? wanted_ : 2 * (wanted_ - opened_.size()) + 10);
      cuts_.go(pass, counts_.back(), [&](const Cut& cut, Image image) {
        ++all_cuts;
        const std::uint64_t key = fingerprint(image) * 3 + static_cast<unsigned>(cut.open_mode);
        const auto [found, is_new] = opened_.try_emplace(key);
        found->second.cuts.push_back(cut);
        if (is_new) workers.start(key, image, cut.open_mode, &done);
        return pass == 0 || opened_.size() < wanted_;
      });
    }
    workers.finish(&done);
    for (const Workers::Done& one : done) opened_.at(one.job).outcome = one.outcome;
    std::uint64_t bad_images = 0;
    for (const auto& [key, opened] : opened_) {
      std::size_t bad_cuts = 0;
      for (const Cut& cut : opened.cuts) {
        if (is_good(opened.outcome, cut.bounds)) continue;
        if (bad_cuts++ == 0) bad_.emplace(cut.number, opened.outcome);
      }
      if (bad_cuts > 0) ++bad_images;
    }
    if (control_ == Control::none) keep_bad();
    std::printf("%zu images, %llu cuts, %llu bad\n", opened_.size(),
                static_cast<unsigned long long>(all_cuts),
                static_cast<unsigned long long>(bad_images));
    return 0;
  }

 private:
  static std::string directory_of(const std::string& path) {
    return path.substr(0, path.find_last_of('/'));
  }

  bool is_good(const Outcome& outcome, const Bounds& bounds) const {
    switch (outcome.kind) {
      case Outcome::Kind::read:
        return states_.holds(bounds, outcome.state);
      case Outcome::Kind::unclean:
        return bounds.may_be_unclean && control_ == Control::none;
      default:
        return false;
    }
  }

  /// Makes the first bad images again, this time to stay.
  void keep_bad() {
    std::size_t kept = 0;
    for (unsigned pass = 0; pass < counts_.size() && !bad_.empty() && kept < kMostKept; ++pass) {
      cuts_.go(pass, counts_[pass], [&](const Cut& cut, const Image& image) {
        const auto found = bad_.find(cut.number);
        if (found == bad_.end()) return true;
        const std::string directory = keep_ + "/image" + std::to_string(cut.number);
        store(image, directory);
        tell(cut, found->second, directory);
        return ++kept < kMostKept;
      });
    }
  }

  void tell(const Cut& cut, const Outcome& outcome, const std::string& directory) const {
    const bool read = outcome.kind == Outcome::Kind::read;
    std::printf(
        "bad image %s\n  cut before event %llu, with %s; opened in %s\n  found: %s%s\n"
        "  promised: states %s to %s%s\n",
        directory.c_str(), static_cast<unsigned long long>(cut.before_event),
        describe(cut.choice).c_str(), name_of(cut.open_mode),
        read                                     ? states_.describe(outcome.state).c_str()
        : outcome.kind == Outcome::Kind::unclean ? "unclean_shutdown"
                                                 : "",
        outcome.words, describe(cut.bounds.low).c_str(), describe(cut.bounds.high).c_str(),
        cut.bounds.may_be_unclean ? ", or unclean_shutdown" : "");
  }

  const Durability mode_;
  const std::uint64_t seed_;
  const std::uint64_t wanted_;
  const Control control_;
  const std::string work_;
  const std::string keep_;
  const std::vector<LogEvent> events_;
  const Cuts cuts_;
  const States states_;
  std::vector<std::uint64_t> counts_;                 // of cuts, by pass
  std::unordered_map<std::uint64_t, Opened> opened_;  // by fingerprint and mode
  std::map<std::uint64_t, Outcome> bad_;              // by the number of a cut
};

}  // namespace

int main(int count, char** words) try {
  if (count != 8 || !mode_named(words[2])) return 2;
  if (std::string(words[5]) == "select") {
    Replay(words, Control::none).select();
    return 0;
  }
  constexpr const char* kControls[] = {"none", "marks", "checksums", "flushes"};
  for (std::size_t i = 0; i < std::size(kControls); ++i) {
    if (std::string(words[5]) == kControls[i]) return Replay(words, static_cast<Control>(i)).run();
  }
  return 2;
} catch (const std::exception& thrown) {
  std::fprintf(stderr, "replay: %s\n", thrown.what());
  return 1;
}
