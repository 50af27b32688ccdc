#include "ops/avg_pool2d/avg_pool2d.hpp"

#include "autograd/node.hpp"
#include "ops/avg_pool2d/avg_pool2d_kernels.hpp"
#include "ops/number.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

using Plan = std::shared_ptr<const PoolPlan>;

Tensor pool(const Tensor& x, const Plan& plan, bool backward);

/// The operator is linear: backward is its transpose, whose backward is the operator again.
struct AvgPoolNode final : Node {
  Plan plan;
  bool transposed = false;
  const char* name() const override { return transposed ? "avg_pool2d.backward" : "avg_pool2d"; }
  Grads backward(const Tensor& gy) override { return {pool(gy, plan, !transposed)}; }
  void release() override {}
};

Tensor pool(const Tensor& x_any, const Plan& plan, bool transposed) {
  check_number("avg_pool2d", x_any);
  const Tensor x = contiguous(x_any, Format::channels_last);
  Tensor y = empty(transposed ? plan->in : plan->out,
                   {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  dispatch_number("avg_pool2d", x.dtype(), [&]<class T>(T) {
    const AvgPoolProblem<T> p{plan.get(), x.data<T>(), y.data<T>()};
    run(
        transposed ? "avg_pool2d.backward" : "avg_pool2d", {x, y},
        [&] {
          if constexpr (kOnCpu<T>) avg_pool2d_candidates<T>(transposed).run(p);
        },
        [&] { cuda::avg_pool2d<T>(transposed).run(p); });
  });
  if (recording({x})) {
    auto node = std::make_shared<AvgPoolNode>();
    node->plan = plan;
    node->transposed = transposed;
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace

Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options) {
  if (options.dilation != Pair(1)) fail("avg_pool2d: has no dilation, got {}", to_string(options.dilation));
  return pool(x, std::make_shared<const PoolPlan>(sliding_windows("avg_pool2d", x, options)), false);
}

Tensor adaptive_avg_pool2d(const Tensor& x, Pair output_size) {
  return pool(x, std::make_shared<const PoolPlan>(adaptive_windows("adaptive_avg_pool2d", x, output_size)), false);
}

Tensor global_avg_pool2d(const Tensor& x) {
  return pool(x, std::make_shared<const PoolPlan>(adaptive_windows("global_avg_pool2d", x, 1)), false);
}

}  // namespace gradus
