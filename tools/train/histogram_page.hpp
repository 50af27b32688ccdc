#pragma once
// Histograms of activations and gradients, for a run's report.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gradus::program {

/// A row for every layer: its distribution in the last of the epochs (lines of histograms.jsonl), and how its spread
/// went over all of them. Empty where there are none.
std::string histogram_section(const std::vector<nlohmann::json>& epochs);

}  // namespace gradus::program
