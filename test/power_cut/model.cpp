#include "model.h"

#include <xxhash.h>

namespace hyper_lmdb::power {

namespace {

// Removals of a prefix are atomic by so many keys: MappedEngine::kMostRemovedAtOnce.
constexpr std::size_t kMostRemovedAtOnce = 1000;

bool is_something(const std::map<std::string, std::uint64_t>& values, const std::string& path) {
  if (values.contains(path)) return true;
  const auto below = values.lower_bound(path + '/');
  return below != values.end() && below->first.starts_with(path + '/');
}

}  // namespace

std::uint64_t piece_of(std::string_view key, char kind, std::string_view content) {
  const std::uint64_t seed =
      XXH3_64bits_withSeed(key.data(), key.size(), static_cast<unsigned char>(kind));
  return XXH3_64bits_withSeed(content.data(), content.size(), seed);
}

std::uint64_t Model::state_of(const Part& part) {
  std::uint64_t sum = part.values_sum;
  for (const auto& [key, target] : part.links) {
    sum += piece_of(key, 'L', is_something(part.values, target) ? target : "nowhere");
  }
  for (const std::string& key : part.groups) sum += piece_of(key, 'G', "");
  return sum;
}

State Model::state() const {
  State all;
  for (unsigned i = 0; i < kWriters; ++i) all[i] = history_[i].back();
  return all;
}

Place Model::place() const {
  Place all;
  for (unsigned i = 0; i < kWriters; ++i) all[i] = history_[i].size() - 1;
  return all;
}

void Model::apply(const Element& element, Part* part) {
  switch (element.kind) {
    case OpKind::put: {
      std::uint64_t& piece = part->values[element.key];
      part->values_sum -= piece;
      piece = piece_of(element.key, 'V', element.value);
      part->values_sum += piece;
      break;
    }
    case OpKind::remove:
      if (const auto found = part->values.find(element.key); found != part->values.end()) {
        part->values_sum -= found->second;
        part->values.erase(found);
      }
      part->links.erase(element.key);
      part->groups.erase(element.key);
      break;
    case OpKind::link:
      part->links[element.key] = element.value;
      break;
    case OpKind::group:
      part->groups.insert(element.key);
      break;
    default:
      break;
  }
}

bool Model::removed_some(const std::string& prefix, Part* part) {
  std::size_t removed = 0;
  auto at = part->values.lower_bound(prefix);
  while (at != part->values.end() && at->first.starts_with(prefix) &&
         removed < kMostRemovedAtOnce) {
    part->values_sum -= at->second;
    at = part->values.erase(at);
    ++removed;
  }
  return removed > 0;
}

void Model::apply(const Step& step) {
  Part& part = parts_[step.writer];
  std::vector<std::uint64_t>& states = history_[step.writer];
  switch (step.kind) {
    case Step::Kind::batch:
      for (const Element& element : step.elements) apply(element, &part);
      states.push_back(state_of(part));
      break;
    case Step::Kind::remove_prefix:
      while (removed_some(step.prefix, &part)) states.push_back(state_of(part));
      break;
    case Step::Kind::reset:
      for (unsigned i = 0; i < kWriters; ++i) {
        parts_[i] = Part();
        history_[i].push_back(0);
      }
      break;
    case Step::Kind::sync:
      break;
  }
}

History history_of(const std::vector<Session>& sessions) {
  Model model;
  for (const Session& session : sessions) {
    for (const Step& step : session.steps) model.apply(step);
  }
  return model.history();
}

}  // namespace hyper_lmdb::power
