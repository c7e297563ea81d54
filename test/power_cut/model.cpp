#include <xxhash.h>

#include "workload.h"

namespace hyper_lmdb::power {

namespace {

// Removals of a prefix are atomic by so many keys: TreeWriter::kMostRemovedAtOnce.
constexpr std::size_t kMostRemovedAtOnce = 1000;

}  // namespace

std::uint64_t piece_of(std::string_view key, char kind, std::string_view content) {
  const std::uint64_t seed =
      XXH3_64bits_withSeed(key.data(), key.size(), static_cast<unsigned char>(kind));
  return XXH3_64bits_withSeed(content.data(), content.size(), seed);
}

std::uint64_t Model::state() const {
  std::uint64_t sum = values_sum_;
  for (const auto& [key, target] : links_) {
    sum += piece_of(key, 'L', values_.contains(target) ? target : "nowhere");
  }
  for (const std::string& key : groups_) sum += piece_of(key, 'G', "");
  if (!links_.empty()) sum += piece_of("links", '#', std::to_string(links_.size()));
  return sum;
}

void Model::apply(const Element& element) {
  switch (element.kind) {
    case OpKind::put: {
      std::uint64_t& piece = values_[element.key];
      values_sum_ -= piece;
      piece = piece_of(element.key, 'V', element.value);
      values_sum_ += piece;
      break;
    }
    case OpKind::remove:
      if (const auto found = values_.find(element.key); found != values_.end()) {
        values_sum_ -= found->second;
        values_.erase(found);
      }
      links_.erase(element.key);
      groups_.erase(element.key);
      break;
    case OpKind::link:
      links_[element.key] = element.value;
      break;
    case OpKind::group:
      groups_.insert(element.key);
      break;
    default:
      break;
  }
}

void Model::apply(const Step& step, std::vector<std::uint64_t>* states) {
  switch (step.kind) {
    case Step::Kind::batch:
      for (const Element& element : step.elements) apply(element);
      states->push_back(state());
      break;
    case Step::Kind::remove_prefix:
      for (;;) {
        std::size_t removed = 0;
        for (auto at = values_.lower_bound(step.prefix);
             at != values_.end() && at->first.starts_with(step.prefix) &&
             removed < kMostRemovedAtOnce;
             ++removed) {
          values_sum_ -= at->second;
          at = values_.erase(at);
        }
        if (removed == 0) break;
        states->push_back(state());
      }
      break;
    case Step::Kind::reset:
      *this = Model();
      states->push_back(state());
      break;
    case Step::Kind::sync:
      break;
  }
}

std::vector<std::uint64_t> states_of(const std::vector<Session>& sessions) {
  Model model;
  std::vector<std::uint64_t> states{model.state()};
  for (const Session& session : sessions) {
    for (const Step& step : session.steps) model.apply(step, &states);
  }
  return states;
}

}  // namespace hyper_lmdb::power
