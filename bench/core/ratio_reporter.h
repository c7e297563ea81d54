// Collects the runs of Google Benchmark. A ratio is the median over the rounds of the ratio inside
// a round, where both sides ran one right after the other: what slows the machine for longer than
// that slows both.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "core_cases.h"
#include "figure.h"

namespace hyper_lmdb::bench {

/// One benchmark over all rounds: wall nanoseconds per operation, or a ratio of two of them.
struct Summary {
  double median = 0;
  double least = 0;
  double most = 0;
};

class RatioReporter : public benchmark::BenchmarkReporter {
 public:
  explicit RatioReporter(const std::vector<Case>& cases) : cases_(cases) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override;

  /// What a calibration found for each thread; 0 for a benchmark that has not run.
  std::int64_t iterations(const std::string& benchmark) const;
  /// What comes while this is set tells the iterations and is no sample.
  void calibrate(bool calibrating) noexcept { calibrating_ = calibrating; }

  /// The table for people. Cases left out by a filter are left out here.
  void print(std::ostream& out) const;
  /// One object with all rows and, as "more", the figures others measured, ending in a newline.
  void print_json(std::ostream& out, const Dataset& data, const std::vector<Figure>& more) const;
  /// "name<TAB>value" a line: of each row the ratio and, as name_ns and name_raw_ns, both sides.
  /// For a row beside RocksDB there is name_gain too: how many times its operations a second the
  /// core does.
  void print_figures(std::ostream& out) const;
  /// Whether a benchmark answered an error; the message has been printed.
  bool failed() const noexcept { return failed_; }

 private:
  struct Row {
    const Case* meta;
    Summary other;
    Summary core;
    Summary ratio;
    double gain;
    std::size_t rounds;
  };
  std::vector<Row> rows() const;
  std::vector<Figure> scaling() const;
  const std::vector<double>& samples(const std::string& benchmark) const;

  const std::vector<Case>& cases_;
  std::map<std::string, std::vector<double>> samples_;  // nanoseconds an iteration, a round each
  std::map<std::string, std::int64_t> iterations_;
  bool calibrating_ = false;
  bool failed_ = false;
};

}  // namespace hyper_lmdb::bench
