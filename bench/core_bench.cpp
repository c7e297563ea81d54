// The core beside raw LMDB:
//   core_bench [--smoke] [--only REGEX] [--rounds N] [--dir DIR] [--json FILE] [--figures FILE]
// --only takes the cases whose name matches, as in the JSON: get_1, put_map_64, batch_sync, ...
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "core_cases.h"
#include "ratio_reporter.h"

namespace {

using namespace hyper_lmdb::bench;

constexpr std::size_t kKeys = 100'000;
constexpr std::size_t kSmokeKeys = 10'000;
constexpr double kSmokeSeconds = 0.005;

struct Arguments {
  bool smoke = false;
  int rounds = 0;  // as many as the pace of a case says
  std::string directory;
  std::string json_file;
  std::string figures_file;
  std::string only;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  const char* tmp = std::getenv("TMPDIR");
  arguments.directory = tmp != nullptr && *tmp != '\0' ? tmp : "/tmp";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw std::invalid_argument(word + " needs a value");
      return argv[++i];
    };
    if (word == "--smoke") {
      arguments.smoke = true;
      arguments.rounds = 1;
    } else if (word == "--rounds") {
      arguments.rounds = std::stoi(value());
    } else if (word == "--dir") {
      arguments.directory = value();
    } else if (word == "--json") {
      arguments.json_file = value();
    } else if (word == "--figures") {
      arguments.figures_file = value();
    } else if (word == "--only") {
      arguments.only = value();
    } else {
      throw std::invalid_argument("unknown option " + word);
    }
  }
  return arguments;
}

/// Runs the benchmarks of one pace once: both sides of a case one right after the other. `prepare`
/// says how long; `core_first` takes turns, so that neither side always runs in the other's wake.
template <typename Prepare>
void run_round(const std::vector<Case>& cases, const Pace& pace, bool core_first,
               RatioReporter& reporter, Prepare prepare) {
  for (const Case& each : cases) {
    if (each.pace != &pace) continue;
    for (const bool core : {core_first, !core_first}) {
      const std::string name = each.name + (core ? "/core" : "/raw");
      auto* made = benchmark::RegisterBenchmark(name.c_str(), core ? each.core : each.raw);
      made->Threads(each.threads)->UseRealTime();
      prepare(name, made);
    }
  }
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();
}

void run_rounds(const std::vector<Case>& cases, const Pace& pace, const Arguments& arguments,
                RatioReporter& reporter) {
  using benchmark::internal::Benchmark;
  const auto has_pace = [&](const Case& each) { return each.pace == &pace; };
  if (std::none_of(cases.begin(), cases.end(), has_pace)) return;
  // The library finds out how many iterations take that long; then all rounds do as many.
  reporter.calibrate(true);
  run_round(cases, pace, false, reporter, [&](const std::string&, Benchmark* made) {
    made->MinTime(arguments.smoke ? kSmokeSeconds : pace.seconds);
  });
  reporter.calibrate(false);
  const int rounds = arguments.rounds != 0 ? arguments.rounds : pace.rounds;
  for (int round = 0; round < rounds && !reporter.failed(); ++round) {
    run_round(cases, pace, round % 2 == 1, reporter, [&](const std::string& name, Benchmark* made) {
      made->Iterations(std::max<std::int64_t>(1, reporter.iterations(name)));
    });
  }
}

void write_file(const std::string& path, const std::function<void(std::ostream&)>& print) {
  if (path.empty()) return;
  std::ofstream out(path);
  print(out);
  out.close();
  if (!out) throw std::runtime_error("could not write " + path);
}

int run(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  int none = 1;
  benchmark::Initialize(&none, argv);
  const TempDir dir(arguments.directory);
  std::cout << "core_bench: " << hyper_lmdb::lmdb_version() << ", in " << arguments.directory
            << '\n';
  Stores stores(dir, arguments.smoke ? kSmokeKeys : kKeys);
  std::vector<Case> cases = make_cases(stores);
  std::erase_if(cases, [only = std::regex(arguments.only)](const Case& each) {
    return !std::regex_search(each.name, only);
  });
  RatioReporter reporter(cases);
  for (const Pace* pace : {&kReads, &kMapWrites, &kSyncWrites}) {
    run_rounds(cases, *pace, arguments, reporter);
  }
  reporter.print(std::cout);
  std::cout.flush();
  write_file(arguments.json_file,
             [&](std::ostream& out) { reporter.print_json(out, stores.data); });
  write_file(arguments.figures_file, [&](std::ostream& out) { reporter.print_figures(out); });
  benchmark::Shutdown();
  return reporter.failed() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "core_bench: " << error.what() << '\n';
    return 1;
  }
}
