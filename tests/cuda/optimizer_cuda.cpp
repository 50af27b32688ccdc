// Optimisers, gradient clipping and weight averaging on cuda:0 against the CPU.

#include "tests/cuda/both.hpp"

#include "nn/losses.hpp"
#include "nn/optim/adam.hpp"
#include "nn/optim/clip.hpp"
#include "nn/optim/sgd.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"
#include "tests/cuda/pictures.hpp"
#include "zoo/registry.hpp"

namespace gradus {

using test::kCuda;

TEST_CASE("optimizer: every optimiser's steps, clipping and averaging are the CPU's") {
  const auto run = [](Device device, DType dtype, int kind) {
    manual_seed(1);
    const auto net = zoo::build("mlp", {.classes = 4, .image_size = 6});
    net->to(dtype);
    net->to(device);
    const auto groups = optim::one_group(*net);
    std::unique_ptr<optim::Optimizer> optimizer;
    if (kind == 0)
      optimizer = std::make_unique<optim::Sgd>(
          groups, optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-2, .nesterov = true});
    if (kind == 1) optimizer = std::make_unique<optim::Adam>(groups, optim::AdamOptions{.lr = 0.01, .amsgrad = true});
    if (kind == 2) optimizer = std::make_unique<optim::Sgd>(groups, optim::SgdOptions{.lr = 0.1});
    const test::Pictures batch(6, 6, 4, 5);
    for (int i = 0; i < 3; ++i) {
      optimizer->zero_grad();
      backward(cross_entropy((*net)(to(to(batch.images, dtype), device)), to(batch.labels, device)));
      optim::clip_grad_norm(net->parameters(), 0.5);
      optimizer->step();
    }
    std::vector<Tensor> all;
    for (const NamedState& s : net->state()) all.push_back(to(s.tensor->detach(), kCpu));
    return all;
  };
  for (int kind = 0; kind < 3; ++kind) {
    test::check_same(run(kCuda, DType::f64, kind), run(kCpu, DType::f64, kind), 1e-9);
    test::check_same(run(kCuda, DType::f32, kind), run(kCpu, DType::f32, kind), 5e-4);  // Adam enlarges small gradients
  }
}

}  // namespace gradus
