#pragma once
// Several training runs side by side.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/train/run_folder.hpp"

namespace gradus::program {

struct Run {
  std::string name;                  // as it is shown
  nlohmann::json config;             // config.json
  std::vector<EpochRecord> history;  // log.jsonl
};

/// Reads a run's folder. FileError where there is none.
Run read_run(const std::string& folder);

/// The epoch with the best validation accuracy. The history must not be empty.
const EpochRecord& best_epoch(const Run& run);

/// Mean and deviation of some figures; the deviation is the sample's (n - 1), and 0 for a single one.
struct MeanAndDeviation {
  double mean = 0, deviation = 0;
};
MeanAndDeviation mean_and_deviation(const std::vector<double>& figures);

/// Settings in which the runs differ, without those that change nothing that is computed (workers, threads,
/// histograms).
std::vector<std::string> differing_settings(const std::vector<Run>& runs);

/// A page with a table of the runs, their curves laid over each other, and the settings that differ; `extra` is HTML
/// that stands above. FileError.
void write_comparison(const std::string& path, const std::string& title, const std::vector<Run>& runs,
                      const std::string& extra = "");

}  // namespace gradus::program
