#include "autograd/gradcheck.hpp"

#include <cmath>

#include "core/random.hpp"

namespace gradus {
namespace {

double dot(const Tensor& a, const Tensor& b) {
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  double total = 0;
  for (std::size_t i = 0; i < u.size(); ++i) total += u[i] * v[i];
  return total;
}

/// sum(outputs * weights), one number.
using OutputsFn = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

void compare(const char* what, const OutputsFn& fn, const std::vector<Tensor>& inputs,
             const GradcheckOptions& options) {
  Generator generator{options.seed, 1};
  const std::vector<Tensor> outputs = fn(inputs);
  std::vector<Tensor> weights;
  std::vector<Tensor> differentiable;
  std::vector<Tensor> seeds;
  for (const Tensor& y : outputs) {
    weights.push_back(randn(y.shape(), {.dtype = y.dtype()}, generator));
    if (!y.requires_grad()) continue;
    differentiable.push_back(y);
    seeds.push_back(weights.back());
  }
  const auto value = [&] {
    // Recording stays on: fn may itself take gradients.
    const std::vector<Tensor> y = fn(inputs);
    double total = 0;
    for (std::size_t i = 0; i < y.size(); ++i) total += dot(y[i], weights[i]);
    return total;
  };

  std::vector<Tensor> checked;
  for (const Tensor& x : inputs)
    if (x.requires_grad()) {
      if (x.dtype() != DType::f64) fail<DTypeError>("{}: inputs must be f64, got {}", what, describe(x));
      checked.push_back(x);
    }
  check<GraphError>(!checked.empty(), "{}: no input requires a gradient", what);
  std::vector<Tensor> analytic(checked.size());
  if (!differentiable.empty()) analytic = grad(differentiable, checked, {.seeds = seeds, .allow_unused = true});

  for (std::size_t k = 0; k < checked.size(); ++k) {
    const Tensor& x = checked[k];
    std::vector<double> a(static_cast<std::size_t>(x.numel()), 0.0);
    if (analytic[k].defined()) a = analytic[k].to_vector<double>();
    double* base = static_cast<double*>(x.data_ptr());
    Dims index = Dims::filled(x.rank(), 0);
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::int64_t at = 0;
      for (int d = 0; d < x.rank(); ++d) at += index[d] * x.strides()[d];
      const double kept = base[at];
      base[at] = kept + options.step;
      const double above = value();
      base[at] = kept - options.step;
      const double below = value();
      base[at] = kept;
      const double numeric = (above - below) / (2 * options.step);
      const double allowed = options.relative * std::max(std::abs(a[i]), std::abs(numeric)) + options.absolute;
      if (!(std::abs(a[i] - numeric) <= allowed))  // so that a NaN is a difference
        fail<GraphError>("{}: input {} at {}: backward says {:.10g}, differences say {:.10g}\n  input  {}", what, k,
                         to_string(index), a[i], numeric, describe(x));
      for (int d = x.rank() - 1; d >= 0 && ++index[d] == x.shape()[d]; --d) index[d] = 0;
    }
  }
}

}  // namespace

void gradcheck(const TensorFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  compare(
      "gradcheck", [&](const std::vector<Tensor>& x) { return std::vector<Tensor>{fn(x)}; }, inputs, options);
}

void gradgradcheck(const TensorFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  compare(
      "gradgradcheck",
      [&](const std::vector<Tensor>& x) {
        const Tensor y = fn(x);
        std::vector<Tensor> wanted;
        for (const Tensor& input : x)
          if (input.requires_grad()) wanted.push_back(input);
        Generator generator{options.seed, 1000};
        const Tensor seed = randn(y.shape(), {.dtype = y.dtype()}, generator);
        std::vector<Tensor> defined;
        for (Tensor& g : grad({y}, wanted, {.seeds = {seed}, .create_graph = true, .allow_unused = true}))
          if (g.defined()) defined.push_back(std::move(g));
        return defined;
      },
      inputs, options);
}

}  // namespace gradus
