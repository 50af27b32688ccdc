#pragma once
// Charts of lines, as SVG for pages and as pictures.

#include <string>
#include <vector>

#include "data/image.hpp"

namespace gradus::program {

/// A line of a chart. Colours are CSS: "var(--a)" to "var(--c)" suit both light and dark.
struct Series {
  std::string name, colour;
  std::vector<double> values;
  std::vector<double> at = {};  // where on the x axis; empty: at 1, 2, 3, … (epochs)
};

struct ChartOptions {
  double last = 0;         // end of the x axis, where that lies beyond the values
  const char* unit = "";   // of y
  bool from_zero = false;  // y begins at 0
  bool log_x = false;
  double mark = 0;  // a vertical line there; 0: none
};

/// Lines as a section with an SVG. Values that are no numbers are left out.
std::string chart(const std::string& title, const std::vector<Series>& all, const ChartOptions& options = {});

/// The same as a picture of 1040 x 500 pixels.
data::Image plot(const std::string& title, const std::vector<Series>& all, const ChartOptions& options = {});

/// The i-th of so many colours that can be told apart.
std::string colour_of(std::size_t i);

}  // namespace gradus::program
