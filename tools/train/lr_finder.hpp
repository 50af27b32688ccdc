#pragma once
// The learning-rate finder (Smith 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3: the range
// test): the rate climbs from very low to too high, a step at a time, and the loss tells how far one may
// go.

#include <cstdint>
#include <string>
#include <vector>

#include "core/device.hpp"
#include "tools/train/config.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {

struct RangeTest {
  double from = 1e-5, to = 10;  // learning rates of the first and the last step
  std::int64_t steps = 100;
};

struct RangeResult {
  std::vector<double> rates, losses;  // a step each; the test ends early where the loss has grown far beyond its least
  std::vector<double> smoothed;       // exponential average of the losses, weight 0.9 on the past, without its bias
  double lowest = 0;                  // the rate at the least of `smoothed`: the most that may be asked for
  double suggested = 0;               // a tenth of it, the rule of thumb: the steepest place is lost in the noise
};

/// Runs the test with the configuration's network, data, optimiser and regularisers; its learning rate and schedule do
/// not matter. ValueError for a range that is none, Error where the loss breaks before anything can be said.
RangeResult find_rate(const TrainConfig& config, Device device, const RangeTest& test, Progress& progress);

/// The figures that follow from rates and losses: fills in the rest.
void judge_range(RangeResult& result);

/// Writes it to a picture (.png), a page (.html) or all figures (.json). ValueError for another ending, FileError.
void write_range(const std::string& path, const std::string& title, const RangeResult& result);

}  // namespace gradus::program
