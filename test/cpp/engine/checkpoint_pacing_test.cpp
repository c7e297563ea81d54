// Rests of the thread that applies buffers, with a clock and writers made up.
#include "engine/checkpoint_pacing.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <functional>

using namespace hyper_lmdb;

namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::uint64_t kKeys = 1000;
constexpr Milliseconds kKeyWork{0.1};  // so a job is 100 ms of work
constexpr Milliseconds kJobWork = kKeys * kKeyWork;

/// What came of one job.
struct Course {
  Milliseconds took{0};
  Milliseconds rested{0};
  double most_ahead = -1;  // of what the writers were allowed; above 0 they were held back
};

/// A thread that applies one buffer after the other while the next is filled.
class Rig {
 public:
  /// `speed` says how much of a buffer is filled in a millisecond, by the progress of the job.
  Course job(const std::function<double(double)>& speed) {
    Course course;
    double fullness = 0;
    const CheckpointPacing::Time begun = now_;
    const auto pass = [&](Milliseconds time, double progress) {
      now_ += std::chrono::duration_cast<CheckpointPacing::Span>(time);
      fullness = std::min(1.0, fullness + speed(progress) * time.count());
    };
    pace_.begin(now_, 0, kKeys);
    for (std::uint64_t key = 1; key <= kKeys; ++key) {
      const double progress = static_cast<double>(key) / kKeys;
      pass(kKeyWork, progress);
      course.most_ahead =
          std::max(course.most_ahead, fullness - CheckpointPacing::allowed_fullness(progress));
      if (!pace_.due(now_)) continue;
      const Milliseconds rest = pace_.rest(now_, progress, fullness);
      pass(rest, progress);
      course.rested += rest;
      pace_.rested(now_);
    }
    course.took = now_ - begun;
    return course;
  }
  Course job_beside(Milliseconds fills_in) {
    return job([&](double) { return 1 / fills_in.count(); });
  }

 private:
  CheckpointPacing pace_;
  CheckpointPacing::Time now_{std::chrono::hours(1)};
};

}  // namespace

TEST_CASE("Nobody rests before it is known what a job takes, then three times the work at most") {
  Rig rig;
  const Course first = rig.job([](double) { return 0.0; });
  CHECK(first.took > kJobWork);
  CHECK(first.took < 3.3 * kJobWork);  // less than a third is done without a rest
  const Course second = rig.job([](double) { return 0.0; });
  CHECK(second.took > 3.9 * kJobWork);
  CHECK(second.took < 4.1 * kJobWork);
}

TEST_CASE("Rests hold no steady writer back") {
  for (const double times : {1.0, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 100.0}) {
    Rig rig;
    for (int i = 0; i < 3; ++i) {
      const Course course = rig.job_beside(times * kJobWork);
      INFO("a buffer fills in " << times << " times the work, job " << i + 1);
      CHECK(course.most_ahead <= 0);
      CHECK(course.took < std::max(times, 1.01) * kJobWork);
      if (times >= 3 && i > 0) CHECK(course.rested > 0.5 * kJobWork);
    }
  }
}

TEST_CASE("Writers who are faster than the work are not slowed further by rests") {
  Rig rig;
  rig.job_beside(10 * kJobWork);
  rig.job_beside(0.5 * kJobWork);  // until the new speed is known
  const Course course = rig.job_beside(0.5 * kJobWork);
  CHECK(course.rested < 0.05 * kJobWork);
}

TEST_CASE("Rests end soon when writers become faster in the middle of a job") {
  Rig rig;
  rig.job_beside(20 * kJobWork);
  const Course course =
      rig.job([](double progress) { return (progress < 0.5 ? 0.05 : 1.2) / kJobWork.count(); });
  CHECK(course.most_ahead <= 0);
  CHECK(course.rested > kJobWork);         // of the first half
  CHECK(course.rested < 1.75 * kJobWork);  // and few of the second
}

TEST_CASE("A job that goes on after a failure is not taken for a fast one") {
  using std::chrono::milliseconds;
  CheckpointPacing pace;
  CheckpointPacing::Time now{std::chrono::hours(1)};
  // Half was done before; each hundredth takes a millisecond, in which writers fill two.
  pace.begin(now, 0.5, kKeys);
  for (int i = 1; i <= 20; ++i) {
    now += milliseconds(1);
    const CheckpointPacing::Span rest = pace.rest(now, 0.5 + 0.01 * i, 0.02 * i);
    pace.rested(now);
    INFO("after " << i << " ms");
    if (i >= 8) CHECK(rest.count() == 0);  // before that it is not known how fast they are
  }
}

TEST_CASE(
    "There is no rest where the buffer is nearly as full as it may be, though nobody writes") {
  using std::chrono::milliseconds;
  for (const double below : {0.01, 0.2}) {
    CheckpointPacing pace;
    CheckpointPacing::Time now{std::chrono::hours(1)};
    pace.begin(now, 0, kKeys);
    CheckpointPacing::Span rest{-1};
    for (int i = 1; i <= 10; ++i) {
      now += milliseconds(5);
      const double progress = 0.05 * i;
      rest = pace.rest(now, progress, CheckpointPacing::allowed_fullness(0.5) - below);
      pace.rested(now);
    }
    INFO(below << " below what is allowed");
    CHECK((rest.count() > 0) == (below > 0.1));
  }
}
