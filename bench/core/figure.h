// One measured number.
#pragma once

#include <cmath>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace hyper_lmdb::bench {

/// `name` is its place in the table of goals and in the JSON.
struct Figure {
  std::string name;
  std::string title;
  double value = 0;
};

inline std::string fixed(double value, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

inline void print_figures(std::ostream& out, const std::vector<Figure>& figures) {
  for (const Figure& figure : figures) {
    out << std::left << std::setw(70) << figure.title << std::right << std::setw(10)
        << fixed(figure.value, std::abs(figure.value) < 1000 ? 2 : 0) << '\n';
  }
}

}  // namespace hyper_lmdb::bench
