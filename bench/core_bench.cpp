// The core beside raw LMDB: core_bench [--smoke] [--dir DIR] [--json FILE] [--figures FILE]
// and any option of Google Benchmark (--benchmark_filter=get, --benchmark_repetitions=5, ...).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "core_cases.h"
#include "ratio_reporter.h"

namespace {

using namespace hyper_lmdb::bench;

constexpr std::size_t kKeys = 100'000;
constexpr std::size_t kSmokeKeys = 10'000;

struct Arguments {
  bool smoke = false;
  std::string directory;
  std::string json_file;
  std::string figures_file;
  std::vector<std::string> for_google;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  const char* tmp = std::getenv("TMPDIR");
  arguments.directory = tmp != nullptr && *tmp != '\0' ? tmp : "/tmp";
  std::vector<std::string> rest;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw std::invalid_argument(word + " needs a value");
      return argv[++i];
    };
    if (word == "--smoke") {
      arguments.smoke = true;
    } else if (word == "--dir") {
      arguments.directory = value();
    } else if (word == "--json") {
      arguments.json_file = value();
    } else if (word == "--figures") {
      arguments.figures_file = value();
    } else {
      rest.push_back(word);
    }
  }
  // Repeats of all benchmarks are shuffled, so that a slow minute of the machine hits both sides.
  arguments.for_google = {
      argv[0], "--benchmark_enable_random_interleaving=true",
      arguments.smoke ? "--benchmark_repetitions=1" : "--benchmark_repetitions=15",
      arguments.smoke ? "--benchmark_min_time=0.01" : "--benchmark_min_time=0.1"};
  arguments.for_google.insert(arguments.for_google.end(), rest.begin(), rest.end());
  return arguments;
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
  std::vector<char*> words;
  for (const std::string& word : arguments.for_google) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  int count = static_cast<int>(words.size());
  benchmark::Initialize(&count, words.data());
  if (benchmark::ReportUnrecognizedArguments(count, words.data())) return 2;

  const TempDir dir(arguments.directory);
  std::cout << "core_bench: " << hyper_lmdb::lmdb_version() << ", in " << arguments.directory
            << '\n';
  Stores stores(dir, arguments.smoke ? kSmokeKeys : kKeys);
  RatioReporter reporter(register_cases(stores));
  benchmark::RunSpecifiedBenchmarks(&reporter);
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
