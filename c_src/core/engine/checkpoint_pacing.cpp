#include "engine/checkpoint_pacing.h"

#include <algorithm>

namespace hyper_lmdb {

namespace {

// The buffer that is written may be so full when the work on the one before has not begun, and full
// when it is done.
constexpr double kHeadStart = 0.25;
// Who rests stays so far from holding writers back.
constexpr double kMargin = 0.1;
// Turns of rest for one of work, and how few are not worth the switches.
constexpr double kMostRests = 3;
constexpr double kLeastRests = 0.5;
// Writers may become faster.
constexpr double kCaution = 1.5;
// Of what is known about how fast they are, so much is new with each look.
constexpr double kNews = 0.1;
// From here on a job says itself what a key takes.
constexpr double kKnownFrom = 0.3;

}  // namespace

double CheckpointPacing::allowed_fullness(double progress) noexcept {
  return kHeadStart + (1 - kHeadStart) * progress;
}

double CheckpointPacing::progress_for(double fullness) noexcept {
  return (fullness - kHeadStart) / (1 - kHeadStart);
}

void CheckpointPacing::begin(Time now, double progress, std::uint64_t keys) noexcept {
  keys_ = keys;
  begun_at_ = progress;
  worked_ = Span(0);
  turn_began_ = now;
  looked_ = now;
  fullness_ = 1;  // the first look only says where it stands
}

void CheckpointPacing::look_at_writers(Time now, double fullness) noexcept {
  if (now <= looked_) return;
  const double grown = std::max(0.0, fullness - fullness_);
  const double speed = grown / static_cast<double>(Span(now - looked_).count());
  filling_speed_ += kNews * (speed - filling_speed_);
  fullness_ = fullness;
  looked_ = now;
}

CheckpointPacing::Span CheckpointPacing::rest(Time now, double progress, double fullness) noexcept {
  const Span turn = now - turn_began_;
  turn_began_ = now;
  worked_ += turn;
  look_at_writers(now, fullness);
  if (progress >= kKnownFrom && progress < 1 && progress > begun_at_ && keys_ != 0) {
    work_of_key_ = static_cast<double>(worked_.count()) /
                   ((progress - begun_at_) * static_cast<double>(keys_));
  }
  if (work_of_key_ == 0 || fullness + kMargin > allowed_fullness(progress)) return Span(0);
  const double work_left = work_of_key_ * static_cast<double>(keys_) * (1 - progress);
  // How many times what is left could be done before the buffer is full.
  const double times = (1 - fullness) / std::max(filling_speed_ * work_left, 1e-9);
  const double rests = std::min(kMostRests, times / kCaution - 1);
  if (rests < kLeastRests) return Span(0);
  return std::chrono::duration_cast<Span>(rests * std::min(turn, 2 * kTurn));
}

}  // namespace hyper_lmdb
