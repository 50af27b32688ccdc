#pragma once
// How the numbers of a tensor are distributed; of a network in training, layer by layer.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "nn/module.hpp"

namespace gradus::program {

/// Finite elements only; the bins are equally wide, from the least to the most.
struct Histogram {
  std::int64_t count = 0, zeros = 0, not_finite = 0;
  double least = 0, most = 0, sum = 0, sum_squares = 0;
  std::vector<std::int64_t> counts;  // kBins of them; empty where there are no elements

  static constexpr std::size_t kBins = 40;
  /// The lower end of a bin, which is the upper end of the one before.
  double edge(std::size_t bin) const;
  double mean() const;
  double deviation() const;  // from the mean, root mean square
};
Histogram histogram_of(const Tensor& x);

/// What one pass through a network left behind.
struct LayerHistograms {
  struct Layer {
    std::string name;  // of a module, or of a parameter
    Histogram histogram;
  };
  std::vector<Layer> activations;  // of layers with parameters, in the order they ran
  std::vector<Layer> gradients;    // of weights with two or more dims
};
/// One line of histograms.jsonl.
nlohmann::json to_json(const LayerHistograms& all, std::int64_t epoch, std::int64_t step);

/// While it lives, takes down what the layers put out.
class ActivationHistograms : public ForwardObserver {
 public:
  /// Of the layers of `net` that have parameters of their own and no layers below them.
  explicit ActivationHistograms(Module& net);
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor& y) override;
  std::vector<LayerHistograms::Layer> take() { return std::move(layers_); }

 private:
  std::map<const Module*, std::string> watched_;
  std::vector<LayerHistograms::Layer> layers_;
};

/// Of the gradients that backward left in the parameters.
std::vector<LayerHistograms::Layer> gradient_histograms(Module& net);

}  // namespace gradus::program
