#pragma once
// Ema: an exponential moving average of a network's weights, which often tests better than the weights themselves.
//
//   average = decay average + (1 - decay) weight,   decay at update t = min(decay, (1 + t) / (10 + t))
//
// The ramp lets the average forget its random start (TensorFlow's ExponentialMovingAverage, as used for the Inception
// networks). Batch norm's running statistics are averaged alike.

#include <string>
#include <vector>

#include "nn/module.hpp"

namespace gradus {

class Ema {
 public:
  /// Starts from the module's values. The module must outlive the average. ValueError unless decay is in [0, 1).
  Ema(Module& module, double decay);

  /// To be called after each step of the optimiser.
  void update();
  /// Exchanges the module's values with the average: once to evaluate the average, once more to go on training.
  void swap();
  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t n) { updates_ = n; }

  /// The averages under the module's names, for checkpoints.
  std::vector<NamedState> state();

 private:
  struct Pair {
    std::string name;
    Tensor* value;
    Tensor average;
  };
  std::vector<Pair> pairs_;
  double decay_;
  std::int64_t updates_ = 0;
};

}  // namespace gradus
