#include "tools/train/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/node.hpp"
#include "ops/view/view.hpp"

namespace gradus::program {
namespace {

constexpr std::size_t kBins = 15;

/// Keeps the `count` samples that come first under `before`, in that order.
template <class Before>
void keep_extreme(std::vector<Judged>& kept, const Judged& sample, std::size_t count, Before before) {
  if (kept.size() == count && (count == 0 || !before(sample, kept.back()))) return;
  kept.insert(std::upper_bound(kept.begin(), kept.end(), sample, before), sample);
  if (kept.size() > count) kept.pop_back();
}

}  // namespace

Scorer::Scorer(std::int64_t classes, std::size_t extremes) : extremes_(extremes) {
  sum_.classes = classes;
  sum_.bins.resize(kBins);
  sum_.confusion.assign(static_cast<std::size_t>(classes * classes), 0);
}

void Scorer::add(const Tensor& logits, const Tensor& labels, const std::vector<std::int64_t>& indices) {
  const std::int64_t classes = sum_.classes, n = logits.size(0);
  const std::vector<double> x = logits.to_vector<double>();
  const std::vector<std::int64_t> t = labels.to_vector<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) {
    const double* row = x.data() + i * classes;
    const std::int64_t label = t[static_cast<std::size_t>(i)];
    const double* highest = std::max_element(row, row + classes);
    double total = 0;
    std::int64_t above = 0;  // classes ranked before the label
    for (std::int64_t c = 0; c < classes; ++c) {
      total += std::exp(row[c] - *highest);
      above += row[c] > row[label];
    }
    const Judged sample{.index = indices[static_cast<std::size_t>(i)],
                        .label = label,
                        .predicted = highest - row,
                        .confidence = 1 / total,
                        .loss = std::log(total) + *highest - row[label]};
    loss_ += sample.loss;
    hits1_ += sample.predicted == label;
    hits5_ += above < 5;
    ++sum_.confusion[static_cast<std::size_t>(label * classes + sample.predicted)];
    const auto place = static_cast<std::size_t>(sample.confidence * static_cast<double>(kBins));
    ConfidenceBin& bin = sum_.bins[std::min(place, kBins - 1)];
    ++bin.samples;
    bin.right += sample.predicted == label;
    bin.confidence += sample.confidence;
    keep_extreme(sum_.worst, sample, extremes_, [](const Judged& a, const Judged& b) { return a.loss > b.loss; });
    keep_extreme(sum_.best, sample, extremes_, [](const Judged& a, const Judged& b) { return a.loss < b.loss; });
  }
  sum_.images += n;
}

double Scorer::loss() const { return loss_ / static_cast<double>(std::max<std::int64_t>(1, sum_.images)); }
double Scorer::top1() const {
  return 100 * static_cast<double>(hits1_) / static_cast<double>(std::max<std::int64_t>(1, sum_.images));
}

double class_accuracy(const Evaluation& e, std::int64_t label) {
  const auto row = e.confusion.begin() + label * e.classes;
  const auto samples = std::accumulate(row, row + e.classes, std::int64_t{0});
  return samples == 0 ? -1 : 100 * static_cast<double>(row[label]) / static_cast<double>(samples);
}

Evaluation Scorer::result() const {
  Evaluation e = sum_;
  e.loss = loss();
  e.top1 = top1();
  for (ConfidenceBin& bin : e.bins) {
    if (bin.samples == 0) continue;
    const auto n = static_cast<double>(bin.samples);
    e.calibration_error +=
        100 * std::abs(bin.confidence - static_cast<double>(bin.right)) / static_cast<double>(e.images);
    bin.confidence /= n;
  }
  e.top5 = 100 * static_cast<double>(hits5_) / static_cast<double>(std::max<std::int64_t>(1, sum_.images));
  return e;
}

void move_to(data::Batch& batch, Device device) {
  if (batch.bytes) batch.images = batch.bytes->upload(device);
  for (Tensor* t : {&batch.images, &batch.labels, &batch.targets})
    if (t->defined()) *t = to(*t, device);
}

Evaluation evaluate(Module& model, data::Loader& loader, const std::function<bool(const Scorer&)>& each) {
  const NoGrad no_grad;
  const bool training = model.is_training();
  model.eval();
  Scorer scorer(static_cast<std::int64_t>(loader.dataset().classes().size()));
  const Device device = model.parameters().front().device();
  loader.start(0);
  while (std::optional<data::Batch> batch = loader.next()) {
    move_to(*batch, device);
    const Tensor logits = model(batch->images);
    check<ShapeError>(
        logits.rank() == 2 && logits.size(1) == static_cast<std::int64_t>(loader.dataset().classes().size()),
        "eval: the data has {} classes, the network gives {}", loader.dataset().classes().size(), describe(logits));
    scorer.add(logits, batch->labels, batch->indices);
    if (each && !each(scorer)) throw Interrupted("stopped");
  }
  model.train(training);
  return scorer.result();
}

}  // namespace gradus::program
