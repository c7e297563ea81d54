#include "select.h"

#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "format/journal_record.h"
#include "store_state.h"

namespace hyper_lmdb::power {

namespace {

constexpr std::uint64_t kCutsForOne = 8;

bool has_records(const Image& image) {
  for (const ImageFile& file : image) {
    if (!journal::generation_of(file.name)) continue;
    const std::string begin = file.content.read(journal::kPageBytes, journal::kHeadBytes);
    if (begin.find_first_not_of('\0') != std::string::npos) return true;
  }
  return false;
}

}  // namespace

void select_images(const Cuts& cuts, std::uint64_t count, const std::string& directory) {
  std::vector<std::pair<Cut, Image>> all;
  cuts.go(0, count * kCutsForOne, [&](const Cut& cut, Image image) {
    if (!cut.bounds.may_be_unclean && has_records(image)) all.emplace_back(cut, std::move(image));
    return true;
  });
  for (std::uint64_t i = 0; i < count && !all.empty(); ++i) {
    const auto& [cut, image] = all[i * all.size() / count];
    const std::string below = directory + "/" + std::to_string(i);
    store(image, below + "/store");
    store(image, below + "/initial");
    std::ofstream bounds(below + "/bounds");
    bounds << name_of(cut.open_mode);
    for (const std::uint64_t low : cut.bounds.low) bounds << ' ' << low;
    for (const std::uint64_t high : cut.bounds.high) bounds << ' ' << high;
    bounds << '\n';
    if (!bounds.flush()) throw std::runtime_error("cannot write bounds");
  }
}

}  // namespace hyper_lmdb::power
