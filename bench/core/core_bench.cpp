// The core beside raw LMDB and RocksDB:
//   core_bench [--smoke] [--only REGEX] [--rounds N] [--sustained SECONDS] [--dir DIR]
//              [--json FILE] [--figures FILE]
//   core_bench --cell KEYS:BYTES [--rounds N] [--dir DIR] [--json FILE] [--figures FILE]
// --only takes the cases whose name matches, as in the JSON: get_1, put_map_64, batch_sync, ...;
// the reads beside the write buffer are "buffer", those of many keys and of large values "size".
// --sustained adds the long run of overwrites. --cell: only reads, of so many keys with such
// values.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <list>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "buffer_reads.h"
#include "core_cases.h"
#include "ratio_reporter.h"
#include "sustained.h"

namespace {

using namespace hyper_lmdb::bench;

constexpr std::size_t kKeys = 100'000;
constexpr std::size_t kSmokeKeys = 10'000;
constexpr double kSmokeSeconds = 0.005;
/// How many keys there are in the stores of few, many and large values.
struct Sizes {
  std::size_t few, many, large;
};
constexpr Sizes kSizes{100'000, 10'000'000, 2000};
constexpr Sizes kSmokeSizes{2000, 20'000, 20};
constexpr std::size_t kLargeBytes = 256 << 10;
constexpr Sustained kSmokeSustained{.seconds = 0, .keys = 20'000, .journal_bytes = 4 << 20};
constexpr BufferReads kSmokeBufferReads{
    .rounds = 1, .written_keys = 20'000, .write_buffer_bytes = 8 << 20, .reads = 1000};

struct Arguments {
  bool smoke = false;
  int rounds = 0;  // as many as the pace of a case says
  std::string directory;
  std::string json_file;
  std::string figures_file;
  std::string only;
  double sustained_seconds = 0;  // 0: not at all
  std::size_t cell_keys = 0;     // 0: no cell
  std::size_t cell_bytes = 0;
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
    } else if (word == "--sustained") {
      arguments.sustained_seconds = std::stod(value());
    } else if (word == "--only") {
      arguments.only = value();
    } else if (word == "--cell") {
      const std::string cell = value();
      std::size_t colon = 0;
      arguments.cell_keys = std::stoul(cell, &colon);
      if (colon + 1 >= cell.size() || cell[colon] != ':') {
        throw std::invalid_argument("--cell wants KEYS:BYTES");
      }
      arguments.cell_bytes = std::stoul(cell.substr(colon + 1));
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
      if (each.before) each.before();
      const std::string name = each.name + "/" + (core ? "core" : each.other);
      auto* made = benchmark::RegisterBenchmark(name.c_str(), core ? each.core : each.beside);
      made->Threads(each.threads)->UseRealTime();
      prepare(name, made);
      benchmark::RunSpecifiedBenchmarks(&reporter);
      benchmark::ClearRegisteredBenchmarks();
    }
  }
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

void print_section(const char* title, const std::vector<Figure>& figures) {
  if (figures.empty()) return;
  std::cout << '\n' << title << '\n';
  print_figures(std::cout, figures);
}

/// Prints what was measured and writes the files that were asked for.
int report(const Arguments& arguments, const RatioReporter& reporter, const Dataset& data,
           const std::vector<Figure>& more) {
  std::cout.flush();
  write_file(arguments.json_file, [&](std::ostream& out) { reporter.print_json(out, data, more); });
  write_file(arguments.figures_file, [&](std::ostream& out) {
    reporter.print_figures(out);
    for (const Figure& figure : more) out << figure.name << '\t' << fixed(figure.value, 4) << '\n';
  });
  return reporter.failed() ? 1 : 0;
}

int run_cell(const Arguments& arguments) {
  const TempDir dir(arguments.directory);
  SizedStores stores(dir, "cell", arguments.cell_keys, arguments.cell_bytes);
  const std::vector<Case> cases = make_cell_cases(stores);
  RatioReporter reporter(cases);
  run_rounds(cases, kReads, arguments, reporter);
  reporter.print(std::cout);
  return report(arguments, reporter, stores.data, {});
}

int run(const Arguments& arguments) {
  const TempDir dir(arguments.directory);
  std::cout << "core_bench: " << hyper_lmdb::lmdb_version() << ", in " << arguments.directory
            << '\n';
  std::vector<Figure> long_run;  // first: the memory it reports is the whole process's
  if (arguments.sustained_seconds > 0) {
    Sustained settings = arguments.smoke ? kSmokeSustained : Sustained{};
    settings.seconds = arguments.sustained_seconds;
    const TempDir apart(arguments.directory);
    long_run = sustained(apart, settings);
  }
  Stores stores(dir, arguments.smoke ? kSmokeKeys : kKeys);
  std::vector<Case> cases = make_cases(stores);
  if (!add_rocks_cases(stores, dir, cases)) {
    std::cout << "built without RocksDB (Debian: librocksdb-dev): its cases are left out\n";
  }
  const std::regex only(arguments.only);
  std::list<SizedStores> sized;
  if (std::regex_search("size", only)) {
    const Sizes sizes = arguments.smoke ? kSmokeSizes : kSizes;
    SizedStores& few = sized.emplace_back(dir, "few", sizes.few, Dataset::kValueBytes);
    SizedStores& many = sized.emplace_back(dir, "many", sizes.many, Dataset::kValueBytes);
    add_size_cases(few, many, sized.emplace_back(dir, "large", sizes.large, kLargeBytes), cases);
  }
  std::erase_if(cases, [&](const Case& each) { return !std::regex_search(each.name, only); });
  RatioReporter reporter(cases);
  for (const Pace* pace : {&kReads, &kLongReads, &kMapWrites, &kAsyncWrites, &kSyncWrites}) {
    run_rounds(cases, *pace, arguments, reporter);
  }
  std::vector<Figure> reads;
  if (std::regex_search("buffer", only)) {
    BufferReads settings = arguments.smoke ? kSmokeBufferReads : BufferReads{};
    if (arguments.rounds != 0) settings.rounds = arguments.rounds;
    reads = buffer_reads(dir, stores.data, settings);
  }
  reporter.print(std::cout);
  print_section("reads and the write buffer, async", reads);
  print_section("random overwrites, async, one thread; then a killed process", long_run);
  std::vector<Figure> more = std::move(reads);
  more.insert(more.end(), long_run.begin(), long_run.end());
  return report(arguments, reporter, stores.data, more);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 5 && std::string(argv[1]) == kFillAndDie) {
      Sustained settings;
      settings.keys = static_cast<std::uint32_t>(std::stoul(argv[3]));
      settings.journal_bytes = std::stoull(argv[4]);
      fill_and_die(argv[2], settings);
    }
    const Arguments arguments = parse(argc, argv);
    int none = 1;
    benchmark::Initialize(&none, argv);
    const int code = arguments.cell_keys > 0 ? run_cell(arguments) : run(arguments);
    benchmark::Shutdown();
    return code;
  } catch (const std::exception& error) {
    std::cerr << "core_bench: " << error.what() << '\n';
    return 1;
  }
}
