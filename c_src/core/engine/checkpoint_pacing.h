// When the thread that applies a buffer may rest.
#pragma once

#include <chrono>
#include <cstdint>

namespace hyper_lmdb {

/// A buffer is applied in turns of work and rest where there is time for it. Else the thread has a
/// core to itself for as long as it takes, and where there is no core to spare, a scheduler of the
/// VM waits for whole slices of the system's: several milliseconds. Where writers fill the next
/// buffer so soon that a rest could hold them up, there is none.
/// Thread-safety: one thread at a time; the static functions may be called from any.
class CheckpointPacing {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Span = std::chrono::nanoseconds;

  /// How full the buffer that is written may be; writers who would fill it further are held back.
  static double allowed_fullness(double progress) noexcept;
  /// The other way round.
  static double progress_for(double fullness) noexcept;

  /// A job of so many keys is begun, or gone on with. What earlier ones took is kept.
  void begin(Time now, double progress, std::uint64_t keys) noexcept;
  /// Whether a turn of work is over.
  bool due(Time now) const noexcept { return now - turn_began_ >= kTurn; }
  /// When it is due, how long to rest: nothing, or up to three times as long as the turn has been,
  /// but milliseconds at most: a turn may be long for a disk that is slow.
  /// `progress` of the job and `fullness` of the buffer that is written are from 0 to 1.
  Span rest(Time now, double progress, double fullness) noexcept;
  /// The rest is over; it may have been cut short.
  void rested(Time now) noexcept { turn_began_ = now; }

 private:
  static constexpr Span kTurn = std::chrono::microseconds(500);

  void look_at_writers(Time now, double fullness) noexcept;

  // Of the job.
  std::uint64_t keys_ = 0;
  double begun_at_ = 0;  // progress
  Span worked_{0};
  Time turn_began_{};
  // Of the one before until it is known of this one.
  double work_of_key_ = 0;  // nanoseconds; 0 where there was none

  // Of the buffer that is written.
  Time looked_{};
  double fullness_ = 0;
  double filling_speed_ = 0;  // a nanosecond
};

}  // namespace hyper_lmdb
