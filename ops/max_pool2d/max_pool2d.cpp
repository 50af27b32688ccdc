#include "ops/max_pool2d/max_pool2d.hpp"

#include "autograd/node.hpp"
#include "ops/max_pool2d/max_pool2d_kernels.hpp"
#include "ops/number.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

using Plan = std::shared_ptr<const PoolPlan>;

constexpr const char* kKernels[] = {"max_pool2d", "max_pool2d.pick", "max_pool2d.backward"};

void run_task(MaxPoolTask task, const Plan& plan, const Tensor& from, const Tensor& to, const Tensor& position) {
  dispatch_number("max_pool2d", from.dtype(), [&]<class T>(T) {
    const auto with = [&]<class I>(I) {
      const MaxPoolProblem<T, I> p{plan.get(), from.data<T>(), to.data<T>(), position.data<I>()};
      run(
          kKernels[static_cast<int>(task)], {from, to, position},
          [&] {
            if constexpr (kOnCpu<T>) max_pool2d_candidates<T, I>(task).run(p);
          },
          [&] { cuda::max_pool2d<T, I>(task).run(p); });
    };
    if (position.dtype() == DType::u8)
      with(std::uint8_t{});
    else
      with(std::int64_t{});
  });
}

Tensor pick(const Tensor& x, const Plan& plan, const Tensor& position);

/// gx of max_pool2d, itself a recorded operator: it moves gy's elements to where the maxima were.
struct SpreadNode final : Node {
  Plan plan;
  Tensor position;
  const char* name() const override { return "max_pool2d.backward"; }
  Grads backward(const Tensor& ggx) override { return {pick(ggx, plan, position)}; }
  void release() override { position = Tensor(); }
  std::int64_t saved_bytes() const override { return position.defined() ? position.bytes() : 0; }
};

Tensor spread(const Tensor& gy_any, const Plan& plan, const Tensor& position) {
  const Tensor gy = contiguous(gy_any, Format::channels_last);
  Tensor gx = empty(plan->in, {.dtype = gy.dtype(), .device = gy.device(), .format = Format::channels_last});
  run_task(MaxPoolTask::spread, plan, gy, gx, position);
  if (recording({gy})) {
    auto node = std::make_shared<SpreadNode>();
    node->plan = plan;
    node->position = position;
    attach(gx, std::move(node), {gy});
  }
  return gx;
}

struct MaxPoolNode final : Node {
  Plan plan;
  Tensor position;
  const char* name() const override { return "max_pool2d"; }
  Grads backward(const Tensor& gy) override { return {spread(gy, plan, position)}; }
  void release() override { position = Tensor(); }
  std::int64_t saved_bytes() const override { return position.defined() ? position.bytes() : 0; }
};

Tensor on_tape(Tensor y, const Tensor& x, const Plan& plan, const Tensor& position) {
  if (recording({x})) {
    auto node = std::make_shared<MaxPoolNode>();
    node->plan = plan;
    node->position = position;
    attach(y, std::move(node), {x});
  }
  return y;
}

Tensor pick(const Tensor& x_any, const Plan& plan, const Tensor& position) {
  const Tensor x = contiguous(x_any, Format::channels_last);
  Tensor y = empty(plan->out, {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  run_task(MaxPoolTask::pick, plan, x, y, position);
  return on_tape(y, x, plan, position);
}

struct Pooled {
  Tensor y, position;
  Plan plan;
};

Pooled pool(const Tensor& x_any, PoolPlan windows) {
  check_number("max_pool2d", x_any);
  const auto plan = std::make_shared<const PoolPlan>(std::move(windows));
  const Tensor x = contiguous(x_any, Format::channels_last);
  const bool compact = plan->rows.widest * plan->cols.widest <= 256;
  Tensor y = empty(plan->out, {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  Tensor position = empty(
      plan->out, {.dtype = compact ? DType::u8 : DType::i64, .device = x.device(), .format = Format::channels_last});
  run_task(MaxPoolTask::forward, plan, x, y, position);
  return {on_tape(y, x, plan, position), position, plan};
}

/// Positions in windows as positions in the plane.
Tensor indices_of(const Pooled& pooled) {
  const PoolPlan& plan = *pooled.plan;
  Tensor indices = empty(plan.out, {.dtype = DType::i64, .device = pooled.y.device(), .format = Format::channels_last});
  indices.copy_(pooled.position);
  auto* index = indices.data<std::int64_t>();
  run(
      "max_pool2d.indices", {pooled.position, indices}, [&] { cpu::max_pool2d_indices(plan, index); },
      [&] { cuda::max_pool2d_indices(plan, index); });
  return indices;
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options) {
  return pool(x, sliding_windows("max_pool2d", x, options)).y;
}

std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& x, const Pool2dOptions& options) {
  const Pooled pooled = pool(x, sliding_windows("max_pool2d", x, options));
  return {pooled.y, indices_of(pooled)};
}

Tensor adaptive_max_pool2d(const Tensor& x, Pair output_size) {
  return pool(x, adaptive_windows("adaptive_max_pool2d", x, output_size)).y;
}

std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& x, Pair output_size) {
  const Pooled pooled = pool(x, adaptive_windows("adaptive_max_pool2d", x, output_size));
  return {pooled.y, indices_of(pooled)};
}

}  // namespace gradus
