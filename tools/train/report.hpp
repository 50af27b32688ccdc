#pragma once
// report.html: a training run to look at, in one file that needs no other.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "nn/module.hpp"
#include "tools/train/evaluate.hpp"
#include "tools/train/run_folder.hpp"

namespace gradus::program {

struct ReportInput {
  std::string title;
  nlohmann::json config;
  std::vector<EpochRecord> history;
  std::int64_t epochs = 0;  // planned
  Evaluation evaluation;    // of the last epoch
  std::vector<std::string> classes;
  std::vector<nlohmann::json> histograms;  // lines of histograms.jsonl
};

/// Curves of loss, accuracy and learning rate; confusion matrix; first-layer filters; activations and gradients, if
/// recorded; the samples with the highest and the lowest loss. Replaces `path` whole or not at all. FileError.
void write_report(const std::string& path, const ReportInput& input, const data::Dataset& samples, Module& model);

}  // namespace gradus::program
