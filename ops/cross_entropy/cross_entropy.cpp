#include "ops/cross_entropy/cross_entropy.hpp"

#include "autograd/node.hpp"
#include "ops/cross_entropy/cross_entropy_kernels.hpp"
#include "ops/index/index.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/view/view.hpp"
#if defined(GRADUS_HAS_CUDA)
#include "cuda/graph.hpp"
#endif

namespace gradus {
namespace {

/// x's sizes or strides over the positions: without the class dim.
Dims over_positions(Dims dims, int class_dim) {
  dims.erase(class_dim);
  return dims;
}

/// The operands once they are checked: all a kernel and the tape need to know of the target.
struct Target {
  int class_dim = 0;
  Tensor target, weight;
  double smoothing = 0;
  std::int64_t ignore_index = -100;

  bool labels() const { return target.dtype() == DType::i64; }
  CrossEntropyTarget kernel(const Tensor& x) const {
    CrossEntropyTarget t{};
    t.classes = x.shape()[class_dim];
    t.smoothing = smoothing;
    t.ignore_index = ignore_index;
    t.weight = weight.defined() ? weight.data_ptr() : nullptr;
    t.strides = target.strides();
    if (labels()) {
      t.labels = target.data<std::int64_t>();
    } else {
      t.probabilities = target.data_ptr();
      t.step = target.strides()[class_dim];
      t.strides.erase(class_dim);
    }
    return t;
  }
  /// q in full, a constant. x is not bf16 here.
  Tensor weights(const Tensor& x) const {
    const Tensor q = empty_like(x);
    const CrossEntropyWeightsProblem p{x.dtype(),
                                       over_positions(x.shape(), class_dim),
                                       over_positions(q.strides(), class_dim),
                                       q.strides()[class_dim],
                                       kernel(x),
                                       q.data_ptr()};
    run(
        "cross_entropy.weights", {x, q}, [&] { cpu::cross_entropy_weights(p); },
        [&] { cuda::cross_entropy_weights(p); });
    return q;
  }
};

/// Whether the labels cannot be looked at now, because what is queued is being recorded (cuda/graph.hpp). They are then
/// taken for classes, none of them ignored.
bool unreadable([[maybe_unused]] const Tensor& target) {
#if defined(GRADUS_HAS_CUDA)
  return target.device().type == DeviceType::cuda && cuda::capturing();
#else
  return false;
#endif
}

Target checked(const char* op, const Tensor& x, const Tensor& target, const Tensor& weight, std::int64_t ignore_index,
               double smoothing) {
  const auto operands = [&] { return describe({{"x", &x}, {"target", &target}, {"weight", &weight}}); };
  check_same_device(op, {{"x", &x}, {"target", &target}, {"weight", &weight}});
  check_number(op, x);
  const DType compute = compute_dtype(x.dtype());
  if (x.rank() < 1) fail<ShapeError>("{}: x has no class dim\n{}", op, operands());
  Target t{x.rank() == 1 ? 0 : 1, target.detach(), {}, smoothing, ignore_index};
  const std::int64_t classes = x.shape()[t.class_dim];
  if (classes <= 0) fail<ShapeError>("{}: x has no classes\n{}", op, operands());
  check(smoothing >= 0 && smoothing <= 1, "{}: label_smoothing {} is not within 0 and 1", op, smoothing);
  if (weight.defined()) {
    if (weight.shape() != Shape{classes})
      fail<ShapeError>("{}: weight needs one number for each of {} classes\n{}", op, classes, operands());
    if (weight.dtype() != compute)
      fail<DTypeError>("{}: weight and x have different dtypes (convert with to())\n{}", op, operands());
    t.weight = dense(weight, Format::contiguous);
  }
  if (!t.labels()) {
    if (target.dtype() != compute)
      fail<DTypeError>("{}: a target is i64 labels or probabilities of x's dtype\n{}", op, operands());
    if (target.shape() != x.shape()) fail<ShapeError>("{}: probabilities need x's shape\n{}", op, operands());
    return t;
  }
  const Shape positions = over_positions(x.shape(), t.class_dim);
  if (target.shape() != positions)
    fail<ShapeError>("{}: x needs labels of shape {}\n{}", op, to_string(positions), operands());
  if (target.is_meta() || unreadable(target)) return t;
  const std::vector<std::int64_t> values = target.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == ignore_index || (values[i] >= 0 && values[i] < classes)) continue;
    Dims at = Dims::filled(positions.size(), 0);
    auto rest = static_cast<std::int64_t>(i);
    for (int d = positions.size() - 1; d >= 0; --d) at[d] = rest % positions[d], rest /= positions[d];
    fail("{}: label {} at {} is no class: there are {}\n{}", op, values[i], to_string(at), classes, operands());
  }
  return t;
}

/// What a mean divides by.
double divisor(const Target& t, const Tensor& x) {
  if (!t.labels()) return static_cast<double>(x.numel() / x.shape()[t.class_dim]);
  if (x.is_meta()) return 1;
  if (unreadable(t.target)) {
    check<GraphError>(!t.weight.defined(),
                      "cross_entropy: a mean over weighted labels cannot be captured in a CUDA graph");
    return static_cast<double>(t.target.numel());
  }
  const std::vector<double> weight = t.weight.defined() ? t.weight.to_vector<double>() : std::vector<double>();
  double total = 0;
  for (std::int64_t label : t.target.to_vector<std::int64_t>())
    if (label != t.ignore_index) total += weight.empty() ? 1 : weight[static_cast<std::size_t>(label)];
  return total;
}

Tensor reduced(const Tensor& losses, Reduction reduction, double mean_divisor) {
  if (reduction == Reduction::none) return losses;
  const Tensor total = sum(losses);
  return reduction == Reduction::sum ? total : affine(total, 1 / mean_divisor, 0);
}

/// The loss with its reduction as one node: backward is one pass that writes gx.
struct CrossEntropyNode final : Node {
  Target target;
  Reduction reduction = Reduction::mean;
  double scale = 1;  // 1 / divisor for a mean
  Saved x;
  Tensor log_total;  // f64, one per position
  const char* name() const override { return "cross_entropy"; }
  std::int64_t saved_bytes() const override { return x.bytes() + (log_total.defined() ? log_total.bytes() : 0); }
  void release() override {
    x.reset();
    target.target = target.weight = log_total = Tensor();
  }

  Grads backward(const Tensor& gy) override {
    const Tensor input = x.get(*this);
    const int dim = target.class_dim;
    if (grad_enabled()) {
      const Tensor wide = to(input, compute_dtype(input.dtype()));
      const Tensor q = target.weights(wide);
      const Tensor g = reduction == Reduction::none ? unsqueeze(gy, dim) : gy;
      return {to(affine(g, scale, 0) * (softmax(wide, dim) * sum(q, {dim}, true) - q), input.dtype())};
    }
    Tensor gx = empty_like(input);
    const Shape positions = over_positions(input.shape(), dim);
    const CrossEntropyGradProblem p{input.dtype(),
                                    positions,
                                    over_positions(input.strides(), dim),
                                    over_positions(gx.strides(), dim),
                                    reduction == Reduction::none ? gy.strides() : Strides::filled(positions.size(), 0),
                                    log_total.strides(),
                                    input.strides()[dim],
                                    gx.strides()[dim],
                                    input.data_ptr(),
                                    target.kernel(input),
                                    log_total.data<double>(),
                                    gy.data_ptr(),
                                    scale,
                                    gx.data_ptr()};
    run(
        "cross_entropy.backward", {gy, input, gx}, [&] { cpu::cross_entropy_backward().run(p); },
        [&] { cuda::cross_entropy_backward().run(p); });
    return {gx};
  }
};

}  // namespace

Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& options) {
  const Target t = checked("cross_entropy", x, target, options.weight, options.ignore_index, options.label_smoothing);
  const int dim = t.class_dim;
  const double mean_divisor = divisor(t, x);
  if (recording({target})) {  // learned probabilities: by operators
    Tensor q =
        affine(target, 1 - options.label_smoothing, options.label_smoothing / static_cast<double>(x.shape()[dim]));
    if (t.weight.defined()) {
      Shape along = Shape::filled(x.rank(), 1);
      along[dim] = x.shape()[dim];
      q = q * reshape(t.weight, along);
    }
    return reduced(neg(sum(q * log_softmax(to(x, q.dtype()), dim), {dim})), options.reduction, mean_divisor);
  }

  const Shape positions = over_positions(x.shape(), dim);
  const Tensor losses = empty(positions, {.dtype = compute_dtype(x.dtype()), .device = x.device()});
  Tensor log_total = empty(positions, {.dtype = DType::f64, .device = x.device()});
  const CrossEntropyProblem p{x.dtype(),        positions,         over_positions(x.strides(), dim),
                              losses.strides(), x.strides()[dim],  x.data_ptr(),
                              t.kernel(x),      losses.data_ptr(), log_total.data<double>()};
  run(
      "cross_entropy", {x, target, losses}, [&] { cpu::cross_entropy().run(p); },
      [&] { cuda::cross_entropy().run(p); });
  const Tensor y = reduced(losses, options.reduction, mean_divisor);
  if (recording({x})) {
    auto node = std::make_shared<CrossEntropyNode>();
    node->target = t;
    node->reduction = options.reduction;
    node->scale = options.reduction == Reduction::mean ? 1 / mean_divisor : 1;
    node->x = x;
    node->log_total = std::move(log_total);
    attach(y, std::move(node), {x});
  }
  return y;
}

Tensor nll_loss(const Tensor& x_any, const Tensor& target, const NllLossOptions& options) {
  if (target.dtype() != DType::i64)
    fail<DTypeError>("nll_loss: labels are i64\n{}", describe({{"x", &x_any}, {"target", &target}}));
  check_number("nll_loss", x_any);
  const Tensor x = to(x_any, compute_dtype(x_any.dtype()));
  const Target t = checked("nll_loss", x, target, options.weight, options.ignore_index, 0);
  // The label's element alone is read: times a weight of 0, an infinite one elsewhere would spoil the sum.
  Tensor index = empty(target.shape(), {.dtype = DType::i64, .device = x.device()});
  Tensor weight = ones(target.shape(), {.dtype = x.dtype(), .device = x.device()});
  run_anywhere("nll_loss", {x, target}, [&] {
    std::vector<std::int64_t> labels = target.to_vector<std::int64_t>();
    std::vector<double> weights(labels.size(), 1.0);
    const auto of_class = t.weight.defined() ? t.weight.to_vector<double>() : std::vector<double>();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] == t.ignore_index)
        labels[i] = 0, weights[i] = 0;
      else if (!of_class.empty())
        weights[i] = of_class[static_cast<std::size_t>(labels[i])];
    }
    index.copy_(from_data(std::span<const std::int64_t>(labels), target.shape(), {.dtype = DType::i64}));
    weight.copy_(from_data(std::span<const double>(weights), target.shape(), {.dtype = x.dtype()}));
  });
  const Tensor picked = squeeze(gather(x, t.class_dim, unsqueeze(index, t.class_dim)), t.class_dim);
  return reduced(neg(picked * weight), options.reduction, divisor(t, x));
}

}  // namespace gradus
