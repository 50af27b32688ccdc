#include "nn/captured_step.hpp"

#include "autograd/autocast.hpp"
#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/run.hpp"
#if defined(GRADUS_HAS_CUDA)
#include "cuda/graph.hpp"
#endif

namespace gradus {

/// The graph, and the tensors it reads and writes.
struct CapturedStep::Recorded {
  Tensor x, target, loss;
  std::vector<Tensor> gradients;
#if defined(GRADUS_HAS_CUDA)
  std::unique_ptr<cuda::Graph> graph;
#endif
};

CapturedStep::CapturedStep(Loss loss, std::vector<Tensor> parameters)
    : loss_(std::move(loss)), parameters_(std::move(parameters)) {}
CapturedStep::~CapturedStep() = default;

Tensor CapturedStep::run(const Tensor& x, const Tensor& target) {
  for (const Tensor& p : parameters_)
    if (p.requires_grad()) set_grad(p, {});
  const Autocast fresh(autocast_dtype());  // a replay must cast the weights as they are then: no casts from outside
  const Tensor loss = loss_(x, target);
  backward(loss);
  return loss.detach();
}

Tensor CapturedStep::operator()(const Tensor& x, const Tensor& target) {
  if (!warm_) shape_ = x.shape();
  if (!kHasCuda || x.device().type != DeviceType::cuda || !std::exchange(warm_, true) || x.shape() != shape_)
    return run(x, target);
#if defined(GRADUS_HAS_CUDA)
  if (!recorded_) {
    auto step = std::make_unique<Recorded>();
    step->x = x.detach().clone();
    step->target = target.detach().clone();
    const Generator before = default_generator();
    step->graph = std::make_unique<cuda::Graph>([&] { step->loss = run(step->x, step->target); });
    check<GraphError>(default_generator().next_stream == before.next_stream,
                      "CapturedStep: the step draws random numbers, and a replay would draw the same ones again");
    for (const Tensor& p : parameters_) step->gradients.push_back(p.requires_grad() ? grad_of(p) : Tensor());
    recorded_ = std::move(step);
  }
  recorded_->x.copy_(x.detach());
  recorded_->target.copy_(target.detach());
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (recorded_->gradients[i].defined()) set_grad(parameters_[i], recorded_->gradients[i]);
  recorded_->graph->replay();
#endif
  return recorded_->loss;
}

}  // namespace gradus
