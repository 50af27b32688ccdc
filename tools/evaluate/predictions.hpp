#pragma once
// What networks make of the samples of a data set, under any test protocol; averages over networks; and files of it.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "data/views.hpp"
#include "nn/module.hpp"
#include "tools/train/evaluate.hpp"

namespace gradus::program {

/// Log-probabilities of samples: logarithms, so that the loss of a certain mistake is no infinity.
struct Predictions {
  std::int64_t classes = 0;
  std::vector<std::int64_t> indices, labels;  // of the samples, in the data set
  std::vector<float> log_probabilities;       // [samples, classes]
  double seconds = 0, forward_seconds = 0;    // in all, and in the network alone

  std::int64_t samples() const { return static_cast<std::int64_t>(indices.size()); }
  const float* row(std::int64_t sample) const { return log_probabilities.data() + sample * classes; }
};

/// Called now and then with the number of samples done and of those that were named right; false stops.
using PredictProgress = std::function<bool(std::int64_t done, std::int64_t right)>;

/// One view per sample, as the loader makes it. The network runs in eval mode, off the tape; its mode is restored.
/// ShapeError unless it tells as many classes apart as the data has; Interrupted where `progress` says so.
Predictions predict(Module& net, data::Loader& loader, const PredictProgress& progress = {});
/// Many views per sample, the probabilities of which are averaged. `dense`: through dense_logits(). About `batch`
/// views run at a time.
Predictions predict(Module& net, data::ViewLoader& loader, bool dense, std::int64_t batch,
                    const PredictProgress& progress = {});

/// The mean of the probabilities. ValueError unless all are about the same samples and classes.
Predictions average(const std::vector<Predictions>& members);

/// The figures of it.
Evaluation score(const Predictions& predictions);

/// Writes one row per sample: index, origin, label, and the five likeliest classes with their probabilities. JSON lines
/// where `path` ends in .jsonl, else CSV with a header. FileError.
void write_predictions(const std::string& path, const Predictions& predictions, const data::Dataset& dataset);

/// Writes the confusion matrix as CSV: a row per true class, a column per prediction. FileError.
void write_confusion(const std::string& path, const Evaluation& evaluation, const std::vector<std::string>& classes);

}  // namespace gradus::program
