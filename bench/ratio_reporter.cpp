#include "ratio_reporter.h"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>

namespace hyper_lmdb::bench {

namespace {

Timing timing_of(std::vector<double> samples, int ops) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median / ops, samples.front() / ops, samples.back() / ops};
}

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

std::string spread(const Timing& timing) {
  std::ostringstream text;
  text << '(' << fixed(timing.least, 0) << ".." << fixed(timing.most, 0) << ')';
  return text.str();
}

void json_timing(std::ostream& out, const char* side, const Timing& timing) {
  out << "\"" << side << "_ns\": " << fixed(timing.median, 1) << ", \"" << side << "_ns_range\": ["
      << fixed(timing.least, 1) << ", " << fixed(timing.most, 1) << "]";
}

}  // namespace

void RatioReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    if (run.error_occurred) {
      failed_ = true;
      std::cerr << run.benchmark_name() << ": " << run.error_message << '\n';
      continue;
    }
    samples_[run.run_name.function_name].push_back(run.GetAdjustedRealTime());
  }
}

std::vector<RatioReporter::Row> RatioReporter::rows() const {
  std::vector<Row> rows;
  for (const Case& meta : cases_) {
    const auto raw = samples_.find(meta.name + "/raw");
    const auto core = samples_.find(meta.name + "/core");
    if (raw == samples_.end() || core == samples_.end()) continue;
    rows.push_back({&meta, timing_of(raw->second, meta.ops), timing_of(core->second, meta.ops)});
  }
  return rows;
}

std::vector<Figure> RatioReporter::scaling() const {
  const std::vector<Row> all = rows();
  std::vector<Figure> figures;
  // How many times the operations a second of `one` the threads of `many` do together.
  const auto add = [&](const char* name, const char* title, const char* one, const char* many) {
    const auto is = [](const char* wanted) {
      return [wanted](const Row& row) { return row.meta->name == wanted; };
    };
    const auto a = std::find_if(all.begin(), all.end(), is(one));
    const auto b = std::find_if(all.begin(), all.end(), is(many));
    if (a == all.end() || b == all.end()) return;
    figures.push_back({std::string("core_") + name + "_raw", std::string(title) + ", raw",
                       a->raw.median / b->raw.median});
    figures.push_back({std::string("core_") + name, std::string(title) + ", core",
                       a->core.median / b->core.median});
  };
  add("get_scaling", "get, 2 threads / 1", "get_1", "get_2");
  add("put_map_scaling", "put, map_async, 64 threads / 1", "put_map_1", "put_map_64");
  add("put_sync_scaling", "put, sync, 64 threads / 1", "put_sync_1", "put_sync_64");
  return figures;
}

void RatioReporter::print(std::ostream& out) const {
  out << std::left << std::setw(45) << "time per operation in ns, median (range)" << std::right
      << std::setw(10) << "raw" << std::setw(18) << "" << std::setw(10) << "core" << std::setw(18)
      << "" << std::setw(11) << "core/raw" << '\n';
  for (const Row& row : rows()) {
    out << std::left << std::setw(45) << row.meta->title << std::right << std::setw(10)
        << fixed(row.raw.median, 0) << std::setw(18) << spread(row.raw) << std::setw(10)
        << fixed(row.core.median, 0) << std::setw(18) << spread(row.core) << std::setw(11)
        << fixed(row.ratio(), 2) << '\n';
  }
  const std::vector<Figure> figures = scaling();
  if (!figures.empty()) out << "\noperations a second, threads together / one alone\n";
  for (const Figure& figure : figures) {
    out << std::left << std::setw(45) << figure.title << std::right << std::setw(10)
        << fixed(figure.value, 2) << '\n';
  }
}

void RatioReporter::print_json(std::ostream& out, const Dataset& data) const {
  out << "{\"keys\": " << data.keys() << ", \"value_bytes\": " << Dataset::kValueBytes
      << ", \"seed\": " << Dataset::kSeed << ",\n \"rows\": [";
  const char* separator = "\n";
  for (const Row& row : rows()) {
    out << separator << "  {\"case\": \"" << row.meta->name
        << "\", \"threads\": " << row.meta->threads << ", ";
    json_timing(out, "raw", row.raw);
    out << ", ";
    json_timing(out, "core", row.core);
    out << ", \"ratio\": " << fixed(row.ratio(), 3)
        << ", \"repeats\": " << samples_.at(row.meta->name + "/core").size() << "}";
    separator = ",\n";
  }
  out << "],\n \"scaling\": {";
  separator = "";
  for (const Figure& figure : scaling()) {
    out << separator << "\"" << figure.name << "\": " << fixed(figure.value, 3);
    separator = ", ";
  }
  out << "}}\n";
}

void RatioReporter::print_figures(std::ostream& out) const {
  for (const Row& row : rows()) {
    out << "core_" << row.meta->name << '\t' << fixed(row.ratio(), 4) << '\n';
  }
  for (const Figure& figure : scaling()) {
    out << figure.name << '\t' << fixed(figure.value, 4) << '\n';
  }
}

}  // namespace hyper_lmdb::bench
