#include "cuts.h"

#include <algorithm>
#include <random>

#include "damage.h"

namespace hyper_lmdb::power {

namespace {

bool is_flush(const LogEvent& event) {
  return event.event == Event::flush || event.event == Event::flush_range ||
         event.event == Event::flush_write || event.event == Event::sync_directory;
}

bool is_name(const LogEvent& event) {
  return event.event == Event::create || event.event == Event::rename ||
         event.event == Event::unlink;
}

unsigned weight_between(const LogEvent& before, const LogEvent& after) {
  if (is_flush(after)) return 4;
  if (is_flush(before)) return 3;
  if (is_name(before) || is_name(after)) return 3;
  return before.is(Mark::ack) ? 2 : 1;
}

bool journal_is_pending(const Disk& disk) {
  for (const FilePtr& file : disk.files()) {
    if (file->name.starts_with("journal-") && !file->writes.empty()) return true;
  }
  return false;
}

Durability mode_to_open(Durability mode, std::uint64_t lot) {
  if (lot % 4 != 3) return mode;
  return static_cast<Durability>((lot >> 8) % 3);
}

}  // namespace

Cuts::Cuts(const std::vector<LogEvent>& events, std::string initial, Control control,
           std::uint64_t seed)
    : events_(events), initial_(std::move(initial)), control_(control), seed_(seed) {
  // What happens seldom is cut as well: openings, and stores that nobody has open.
  unsigned times = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (i > 0 && events[i - 1].is(Mark::opening)) times = 12;
    if (i > 0 && events[i - 1].is(Mark::opened)) times = 1;
    if (i > 0 && events[i - 1].is(Mark::closed)) times = 20;
    weights_.push_back(times == 0 ? 0 : times * weight_between(events[i - 1], events[i]));
    all_weights_ += weights_.back();
  }
}

void Cuts::go(std::uint64_t pass, std::uint64_t count,
              const std::function<bool(const Cut&, Image)>& on_cut) const {
  std::mt19937_64 random(seed_ * 1'000'003 + pass);
  std::vector<std::uint64_t> places(count);
  for (std::uint64_t& place : places) place = random() % std::max<std::uint64_t>(all_weights_, 1);
  std::sort(places.begin(), places.end());
  Disk disk(initial_, control_ == Control::flushes);
  Promise promise;
  std::uint64_t number = pass * 10'000'000, weight = 0;
  auto place = places.begin();
  for (std::size_t i = 0; i < events_.size(); ++i) {
    weight += weights_[i];
    for (; place != places.end() && *place < weight; ++place) {
      const std::uint64_t lot = random();
      Cut cut{.number = number++,
              .before_event = i,
              .choice = choose(disk, random),
              .bounds = promise.bounds(),
              .open_mode = mode_to_open(promise.bounds().mode, lot)};
      const bool whole =
          cut.choice.kind == Choice::Kind::none || cut.choice.kind == Choice::Kind::all;
      if (control_ == Control::checksums && (whole || !journal_is_pending(disk))) continue;
      if (control_ == Control::flushes && cut.bounds.mode != Durability::sync) continue;
      if (control_ == Control::marks && !cut.bounds.may_be_unclean) continue;
      Image image = build(disk, cut.choice);
      if (control_ == Control::marks) pretend_clean(&image);
      if (control_ == Control::checksums) forge_checksums(&image);
      boot_again(&image);
      if (!on_cut(cut, std::move(image))) return;
    }
    promise.take(events_[i], disk);
    disk.take(events_[i]);
  }
}

}  // namespace hyper_lmdb::power
