#include "ratio_reporter.h"

#include <algorithm>
#include <initializer_list>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <utility>

namespace hyper_lmdb::bench {

namespace {

Summary summary(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median, samples.front(), samples.back()};
}

Summary summary(std::vector<double> samples, int ops) {
  for (double& sample : samples) sample /= ops;
  return summary(std::move(samples));
}

/// Of each round `above` / `below`.
Summary quotient(const std::vector<double>& above, const std::vector<double>& below) {
  std::vector<double> quotients;
  for (std::size_t i = 0; i < std::min(above.size(), below.size()); ++i) {
    quotients.push_back(above[i] / below[i]);
  }
  return summary(std::move(quotients));
}

std::string spread(const Summary& values, int digits) {
  std::ostringstream text;
  text << '(' << fixed(values.least, digits) << ".." << fixed(values.most, digits) << ')';
  return text.str();
}

void json_summary(std::ostream& out, const char* name, const Summary& values, int digits) {
  out << "\"" << name << "\": " << fixed(values.median, digits) << ", \"" << name << "_range\": ["
      << fixed(values.least, digits) << ", " << fixed(values.most, digits) << "], ";
}

void json_figures(std::ostream& out, const char* name, const std::vector<Figure>& figures) {
  out << ",\n \"" << name << "\": {";
  const char* separator = "";
  for (const Figure& figure : figures) {
    out << separator << "\"" << figure.name << "\": " << fixed(figure.value, 4);
    separator = ", ";
  }
  out << '}';
}

/// Why a run failed; nothing where it did not. Google Benchmark 1.8 gave both fields other names.
template <typename Run>
std::optional<std::string> failure(const Run& run) {
  if constexpr (requires { run.error_occurred; }) {
    if (run.error_occurred) return run.error_message;
  } else {
    if (run.skipped != decltype(run.skipped){}) return run.skip_message;
  }
  return std::nullopt;
}

}  // namespace

void RatioReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    if (const auto why = failure(run)) {
      failed_ = true;
      std::cerr << run.benchmark_name() << ": " << *why << '\n';
      continue;
    }
    const std::string& name = run.run_name.function_name;
    if (calibrating_) {
      iterations_[name] = run.iterations / run.threads;
    } else {
      samples_[name].push_back(run.GetAdjustedRealTime());
    }
  }
}

std::int64_t RatioReporter::iterations(const std::string& benchmark) const {
  const auto found = iterations_.find(benchmark);
  return found == iterations_.end() ? 0 : found->second;
}

const std::vector<double>& RatioReporter::samples(const std::string& benchmark) const {
  static const std::vector<double> kNone;
  const auto found = samples_.find(benchmark);
  return found == samples_.end() ? kNone : found->second;
}

std::vector<RatioReporter::Row> RatioReporter::rows() const {
  std::vector<Row> rows;
  for (const Case& meta : cases_) {
    const std::vector<double>& other = samples(meta.name + "/" + meta.other);
    const std::vector<double>& core = samples(meta.name + "/core");
    if (other.empty() || core.empty()) continue;
    rows.push_back({&meta, summary(other, meta.ops), summary(core, meta.ops), quotient(core, other),
                    quotient(other, core).median, core.size()});
  }
  return rows;
}

std::vector<Figure> RatioReporter::scaling() const {
  std::vector<Figure> figures;
  // The time an operation of `one` takes over that of `many`, which is how many times the
  // operations a second the threads of `many` do together.
  const auto add = [&](const std::string& name, const std::string& title, const char* one,
                       const char* many) {
    for (const char* side : {"raw", "rocksdb", "core"}) {
      const std::vector<double>& alone = samples(std::string(one) + "/" + side);
      const std::vector<double>& together = samples(std::string(many) + "/" + side);
      if (alone.empty() || together.empty()) continue;
      figures.push_back(
          {"core_" + name + "_" + side, title + ", " + side, quotient(alone, together).median});
    }
  };
  add("get_scaling", "get, 2 threads / 1, operations a second", "get_1", "get_2");
  add("put_map_scaling", "put, map_async, 64 threads / 1, operations a second", "put_map_1",
      "put_map_64");
  add("put_sync_scaling", "put, sync, 64 threads / 1, operations a second", "put_sync_1",
      "put_sync_64");
  add("rocks_put_async_scaling", "put, async, 64 threads / 1, operations a second",
      "rocks_put_async_1", "rocks_put_async_64");
  add("get_growth", "get, 10^7 keys / 10^5 keys, time", "size_get_10m", "size_get_100k");
  return figures;
}

void RatioReporter::print(std::ostream& out) const {
  const auto row = [&](const std::string& title, std::initializer_list<std::string> cells) {
    out << std::left << std::setw(51) << title << std::right;
    int width = 9;
    for (const std::string& cell : cells) {
      out << std::setw(width) << cell;
      width = width == 9 ? 17 : 9;
    }
    out << '\n';
  };
  const char* separator = "";
  for (const char* other : {"raw", "rocksdb"}) {
    std::vector<Row> all = rows();
    std::erase_if(all, [&](const Row& r) { return r.meta->other != other; });
    if (all.empty()) continue;
    out << separator;
    row("ns per operation, median (range)",
        {other, "", "core", "", std::string("core/") + other, ""});
    for (const Row& r : all) {
      row(r.meta->title, {fixed(r.other.median, 0), spread(r.other, 0), fixed(r.core.median, 0),
                          spread(r.core, 0), fixed(r.ratio.median, 2), spread(r.ratio, 2)});
    }
    separator = "\n";
  }
  const std::vector<Figure> figures = scaling();
  if (!figures.empty()) out << "\ncases beside each other\n";
  for (const Figure& figure : figures) row(figure.title, {fixed(figure.value, 2)});
}

void RatioReporter::print_json(std::ostream& out, const Dataset& data,
                               const std::vector<Figure>& more) const {
  out << "{\"keys\": " << data.keys() << ", \"value_bytes\": " << data.value_bytes()
      << ", \"seed\": " << Dataset::kSeed << ",\n \"rows\": [";
  const char* separator = "\n";
  for (const Row& row : rows()) {
    out << separator << "  {\"case\": \"" << row.meta->name
        << "\", \"threads\": " << row.meta->threads << ", ";
    json_summary(out, (row.meta->other + "_ns").c_str(), row.other, 1);
    json_summary(out, "core_ns", row.core, 1);
    json_summary(out, "ratio", row.ratio, 3);
    out << "\"rounds\": " << row.rounds << "}";
    separator = ",\n";
  }
  out << "]";
  json_figures(out, "scaling", scaling());
  json_figures(out, "more", more);
  out << "}\n";
}

void RatioReporter::print_figures(std::ostream& out) const {
  for (const Row& row : rows()) {
    const std::string name = "core_" + row.meta->name;
    out << name << '\t' << fixed(row.ratio.median, 4) << '\n'
        << name << "_ns\t" << fixed(row.core.median, 4) << '\n'
        << name << '_' << row.meta->other << "_ns\t" << fixed(row.other.median, 4) << '\n';
    if (row.meta->other == "rocksdb") {
      out << "core_" << row.meta->name << "_gain\t" << fixed(row.gain, 4) << '\n';
    }
  }
  for (const Figure& figure : scaling()) {
    out << figure.name << '\t' << fixed(figure.value, 4) << '\n';
  }
}

}  // namespace hyper_lmdb::bench
