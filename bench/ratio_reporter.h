// Turns the runs of Google Benchmark into medians, and pairs of medians into ratios.
#pragma once

#include <benchmark/benchmark.h>

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "core_cases.h"

namespace hyper_lmdb::bench {

/// Wall time per operation over the repeats of one benchmark, in nanoseconds.
struct Timing {
  double median = 0;
  double least = 0;
  double most = 0;
};

/// One figure: `name` is its place in the table of goals and in the JSON.
struct Figure {
  std::string name;
  std::string title;
  double value = 0;
};

class RatioReporter : public benchmark::BenchmarkReporter {
 public:
  explicit RatioReporter(std::vector<Case> cases) : cases_(std::move(cases)) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override;

  /// The table for people. Cases left out by a filter are left out here.
  void print(std::ostream& out) const;
  /// One object with all rows, ending in a newline.
  void print_json(std::ostream& out, const Dataset& data) const;
  /// "name<TAB>value" a line.
  void print_figures(std::ostream& out) const;
  /// Whether a benchmark answered an error; the message has been printed.
  bool failed() const noexcept { return failed_; }

 private:
  struct Row {
    const Case* meta;
    Timing raw;
    Timing core;
    double ratio() const noexcept { return core.median / raw.median; }
  };
  std::vector<Row> rows() const;
  std::vector<Figure> scaling() const;

  std::vector<Case> cases_;
  std::map<std::string, std::vector<double>> samples_;  // nanoseconds an iteration, by benchmark
  bool failed_ = false;
};

}  // namespace hyper_lmdb::bench
