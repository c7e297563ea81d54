#include "image.h"

#include <algorithm>
#include <filesystem>
#include <unordered_set>

namespace hyper_lmdb::power {

namespace {

constexpr std::uint64_t kSectorBytes = 512;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = (a ^ (b + 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

/// Decides which pieces of pending writes arrived. A sector on disk is as it was at one moment:
/// what was written to it before that is there, and nothing of what came after.
class Arrival {
 public:
  Arrival(const Choice& choice, const File& file) : choice_(choice), file_(file) {
    constexpr unsigned kOdds[] = {20, 128, 235};  // of 256
    odds_ = kOdds[choice.random_seed % 3];
    for (const PendingWrite& write : file.writes) {
      if (write.number == choice.target) target_ = &write;
    }
  }

  void apply(Content* content) {
    const Choice::Kind kind = choice_.kind;
    if (kind == Choice::Kind::none) return;
    if (kind == Choice::Kind::alone && target_ == nullptr) return;
    for (const PendingWrite& write : file_.writes) {
      if (kind == Choice::Kind::all || (kind == Choice::Kind::missing && !meets_target(write))) {
        content->write(write.at, write.bytes(), write.count);
        continue;
      }
      if (kind == Choice::Kind::alone && !meets_target(write)) continue;
      for (std::uint64_t at = write.at; at < write.end();) {
        const std::uint64_t sector = at / kSectorBytes;
        const std::uint64_t end = std::min(write.end(), (sector + 1) * kSectorBytes);
        put(content, write, sector, at, end);
        at = end;
      }
    }
  }

 private:
  bool meets_target(const PendingWrite& write) const {
    return target_ != nullptr && write.at / kSectorBytes <= (target_->end() - 1) / kSectorBytes &&
           (write.end() - 1) / kSectorBytes >= target_->at / kSectorBytes;
  }
  bool in_target(std::uint64_t sector) const {
    return sector >= target_->at / kSectorBytes && sector <= (target_->end() - 1) / kSectorBytes;
  }

  void put(Content* content, const PendingWrite& write, std::uint64_t sector, std::uint64_t at,
           std::uint64_t end) {
    bool arrives = false;
    switch (choice_.kind) {
      case Choice::Kind::alone:
        arrives = in_target(sector) && write.number <= target_->number;
        break;
      case Choice::Kind::missing:
        arrives = !in_target(sector) || write.number < target_->number;
        break;
      case Choice::Kind::random:
        if (stale_.contains(sector)) return;
        end = random_end(write, sector, at, end);
        if (end == write_end(write, sector)) {
          arrives = true;
        } else {
          stale_.insert(sector);
          arrives = end > at;
        }
        break;
      default:
        break;
    }
    const char* const bytes = write.bytes();
    if (arrives) {
      content->write(at, bytes == nullptr ? nullptr : bytes + (at - write.at), end - at);
    }
  }

  static std::uint64_t write_end(const PendingWrite& write, std::uint64_t sector) {
    return std::min(write.end(), (sector + 1) * kSectorBytes);
  }

  /// Up to where the sector arrived: its end, or `at`, or between where it was stored into a map.
  std::uint64_t random_end(const PendingWrite& write, std::uint64_t sector, std::uint64_t at,
                           std::uint64_t end) const {
    const std::uint64_t lot = mix(choice_.random_seed, write.number);
    const bool whole = (lot & 255) < odds_;
    switch ((lot >> 8) & 3) {
      case 0:
      case 1:
        return whole ? end : at;
      case 2:  // torn by sectors
        return (mix(lot, sector) & 1) != 0 ? end : at;
      default:  // cut at a byte or, by sectors too, at a sector
        break;
    }
    const std::uint64_t cut = write.at + (lot >> 16) % (write.count + 1);
    if (cut >= end) return end;
    if (cut <= at) return at;
    return write.mapped ? cut : at;
  }

  const Choice& choice_;
  const File& file_;
  const PendingWrite* target_ = nullptr;
  unsigned odds_ = 0;
  std::unordered_set<std::uint64_t> stale_;  // sectors that are as they were at an earlier moment
};

std::uint64_t size_of(const Choice& choice, const File& file, std::uint64_t number) {
  switch (choice.kind) {
    case Choice::Kind::none:
      return file.durable.size();
    case Choice::Kind::all:
      return file.size();
    default: {
      const std::uint64_t version = mix(choice.size_seed, number) % (file.sizes.size() + 1);
      // The latest as often as all that were before.
      if (file.sizes.empty() || version == 0) return file.durable.size();
      return mix(choice.size_seed, number + 99) % 2 == 0 ? file.sizes[version - 1] : file.size();
    }
  }
}

bool arrives(const Choice& choice, const PendingName& name, bool target_is_name) {
  switch (choice.kind) {
    case Choice::Kind::none:
      return false;
    case Choice::Kind::all:
      return true;
    case Choice::Kind::alone:
      return target_is_name ? name.number == choice.target : choice.names_arrived;
    case Choice::Kind::missing:
      return target_is_name ? name.number != choice.target : choice.names_arrived;
    case Choice::Kind::random:
      return (mix(choice.random_seed, name.number) & 1) != 0;
  }
  return false;
}

Names names_of(const Disk& disk, const Choice& choice) {
  bool target_is_name = false;
  for (const PendingName& name : disk.pending_names()) {
    target_is_name = target_is_name || name.number == choice.target;
  }
  Names names = disk.durable_names();
  for (const PendingName& change : disk.pending_names()) {
    if (!arrives(choice, change, target_is_name)) continue;
    if (!change.gone.empty()) {
      const auto found = names.find(change.gone);
      if (found != names.end() && found->second == change.file) names.erase(found);
    }
    if (!change.come.empty()) names[change.come] = change.file;
  }
  return names;
}

}  // namespace

Choice choose(const Disk& disk, std::mt19937_64& random) {
  std::vector<std::uint64_t> targets;
  for (const PendingName& name : disk.pending_names()) targets.push_back(name.number);
  for (const FilePtr& file : disk.files()) {
    for (const PendingWrite& write : file->writes) targets.push_back(write.number);
  }
  Choice choice;
  choice.size_seed = random();
  choice.random_seed = random();
  choice.names_arrived = random() % 2 == 0;
  const std::uint64_t lot = random() % 100;
  const std::uint64_t target = random();
  if (targets.empty() || lot < 12) return choice;
  choice.target = targets[target % targets.size()];
  choice.kind = lot < 20   ? Choice::Kind::all
                : lot < 45 ? Choice::Kind::alone
                : lot < 70 ? Choice::Kind::missing
                           : Choice::Kind::random;
  return choice;
}

std::string describe(const Choice& choice) {
  switch (choice.kind) {
    case Choice::Kind::none:
      return "nothing that was not flushed";
    case Choice::Kind::all:
      return "everything";
    case Choice::Kind::alone:
      return "only change " + std::to_string(choice.target);
    case Choice::Kind::missing:
      return "everything but change " + std::to_string(choice.target);
    case Choice::Kind::random:
      return "some, torn";
  }
  return {};
}

Image build(const Disk& disk, const Choice& choice) {
  Image image;
  for (const auto& [name, file] : names_of(disk, choice)) {
    Content content = file->durable;
    // Sizes are told apart by the first write that is pending, which repeats from run to run.
    const std::uint64_t number = file->writes.empty() ? 0 : file->writes.front().number;
    const std::uint64_t bytes = size_of(choice, *file, number);
    if (bytes > content.size()) content.resize(bytes);
    Arrival(choice, *file).apply(&content);
    content.resize(bytes);
    image.push_back({name, std::move(content)});
  }
  return image;
}

std::uint64_t fingerprint(const Image& image) {
  std::uint64_t sum = 0;
  for (const ImageFile& file : image) {
    for (const char byte : file.name) sum = sum * 131 + static_cast<unsigned char>(byte);
    sum = mix(sum, file.content.fingerprint());
  }
  return sum;
}

void store(const Image& image, const std::string& directory) {
  namespace fs = std::filesystem;
  fs::create_directories(directory);
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    fs::remove_all(entry.path());
  }
  for (const ImageFile& file : image) file.content.store(directory + "/" + file.name);
}

}  // namespace hyper_lmdb::power
