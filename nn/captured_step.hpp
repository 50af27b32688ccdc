#pragma once
// Forward and backward of a training step as one CUDA graph: the same results, bit for bit, as run one by one, without
// the cost of launching each kernel.
//
//   CapturedStep step([&](const Tensor& x, const Tensor& t) { return cross_entropy(net(x), t); }, net.parameters());
//   for (…) {
//     const Tensor loss = step(images, labels);   // instead of zero_grad, forward and backward
//     sgd.step();                                 // learning rates change, so the optimiser stays outside
//   }

#include <functional>
#include <memory>
#include <vector>

#include "core/tensor.hpp"

namespace gradus {

class CapturedStep {
 public:
  using Loss = std::function<Tensor(const Tensor& x, const Tensor& target)>;
  CapturedStep(Loss loss, std::vector<Tensor> parameters);
  ~CapturedStep();

  /// The loss of the batch; the parameters' gradients are its alone. The first call runs the step one by one, the
  /// second records it, the following replay it; on another device than CUDA, or with another shape than the first,
  /// every call runs it. The result and the gradients are overwritten by the next call. GraphError where the step draws
  /// random numbers (dropout), for a replay would draw the same ones; DeviceError where it waits for the device.
  Tensor operator()(const Tensor& x, const Tensor& target);

 private:
  struct Recorded;
  Tensor run(const Tensor& x, const Tensor& target);

  Loss loss_;
  std::vector<Tensor> parameters_;
  Shape shape_;
  bool warm_ = false;
  std::unique_ptr<Recorded> recorded_;
};

}  // namespace gradus
