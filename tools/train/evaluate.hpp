#pragma once
// How well a network does on held-out data.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/tensor.hpp"
#include "data/loader.hpp"
#include "nn/module.hpp"

namespace gradus::program {

/// One sample and what the network made of it.
struct Judged {
  std::int64_t index = 0;  // in the data set
  std::int64_t label = 0, predicted = 0;
  double confidence = 0;  // probability of `predicted`
  double loss = 0;        // -log of the label's probability
};

/// Of the samples whose prediction had a confidence in one interval: how many, how many of them right, and the mean
/// confidence.
struct ConfidenceBin {
  std::int64_t samples = 0, right = 0;
  double confidence = 0;
};

struct Evaluation {
  std::int64_t images = 0;
  double loss = 0;            // mean
  double top1 = 0, top5 = 0;  // per cent; with fewer than five classes top5 counts them all
  std::int64_t classes = 0;
  std::vector<std::int64_t> confusion;  // [label * classes + predicted]
  /// Fifteen intervals of confidence from 0 to 1, and the expected calibration error over them: the mean difference
  /// between confidence and accuracy, per cent (Guo et al. 2017, "On Calibration of Modern Neural Networks").
  std::vector<ConfidenceBin> bins;
  double calibration_error = 0;
  std::vector<Judged> worst, best;  // the highest and the lowest losses, most extreme first
};

/// Per cent of a class's samples that were named right; negative where there are none.
double class_accuracy(const Evaluation& evaluation, std::int64_t label);

/// Adds a batch of logits [N, C] (f32 or f64) to the figures.
class Scorer {
 public:
  explicit Scorer(std::int64_t classes, std::size_t extremes = 12);
  /// `indices` name the samples; labels are i64 [N].
  void add(const Tensor& logits, const Tensor& labels, const std::vector<std::int64_t>& indices);
  Evaluation result() const;
  std::int64_t images() const { return sum_.images; }
  double loss() const;
  double top1() const;

 private:
  Evaluation sum_;
  double loss_ = 0;
  std::int64_t hits1_ = 0, hits5_ = 0;
  std::size_t extremes_;
};

/// The batch's tensors, moved to the device.
void move_to(data::Batch& batch, Device device);

/// Runs the module in eval mode, off the tape, on the device it lives on, over one epoch of the loader; the module's
/// mode is restored. `each` is called after every batch with the figures so far; if it returns false evaluation stops
/// with Interrupted.
Evaluation evaluate(Module& model, data::Loader& loader, const std::function<bool(const Scorer&)>& each = {});

}  // namespace gradus::program
