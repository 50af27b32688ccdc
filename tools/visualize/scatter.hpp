#pragma once
// Points in the plane, coloured by class.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/visualize/embedding.hpp"

namespace gradus::program {

struct ScatterPoint {
  Point at;
  std::int64_t label = 0;
  std::string caption;
};

/// Draws points to `path`: a PNG, or a page (.html) with a legend and, where the pointer rests, a point's class and
/// caption. ValueError for another ending, FileError.
void write_scatter(const std::string& path, const std::string& title, const std::string& note,
                   const std::vector<ScatterPoint>& points, const std::vector<std::string>& classes);

}  // namespace gradus::program
