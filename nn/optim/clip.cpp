#include "nn/optim/clip.hpp"

#include <cmath>

#include "autograd/node.hpp"
#include "nn/optim/optim_kernels.hpp"
#include "nn/optim/spans.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"

namespace gradus::optim {
namespace {

struct Gradients {
  std::vector<Tensor> tensors;
  std::vector<std::int64_t> sizes;
};

Gradients gradients(const char* caller, const std::vector<Tensor>& parameters) {
  Gradients all;
  for (const Tensor& p : parameters) {
    const Tensor g = p.requires_grad() ? grad_of(p) : Tensor();
    if (!g.defined() || g.numel() == 0) continue;
    check<DTypeError>(g.dtype() == DType::f32 || g.dtype() == DType::f64, "{}: takes f32 or f64 gradients, got {}",
                      caller, describe(g));
    // What has gaps is made dense: all below is element by element, in any order.
    if (!g.is_dense()) set_grad(p, g.clone());
    all.tensors.push_back(grad_of(p));
    all.sizes.push_back(g.numel());
  }
  return all;
}

bool on_cpu(const Gradients& all) { return all.tensors.empty() || all.tensors[0].device() == kCpu; }

/// Elsewhere: every gradient by operators.
template <class Fn>
void replace(const Gradients& all, Fn&& fn) {
  const NoGrad no_grad;
  for (const Tensor& g : all.tensors) Tensor(g.detach()).copy_(fn(g.detach()));
}

/// fn(kernel's element type, address, elements) over all gradients in parallel.
template <class Fn>
void each(const Gradients& all, const char* writer, Fn&& fn) {
  parallel_spans(all.sizes, [&](const Span& s) {
    const Tensor& g = all.tensors[s.tensor];
    fn(g.dtype() == DType::f64, element(g, s.begin), s.end - s.begin);
  });
  for (const Tensor& g : all.tensors) g.written(writer);
}

double norm_of(const Gradients& all) {
  if (!on_cpu(all)) {
    const NoGrad no_grad;
    Tensor total = zeros({}, {.dtype = DType::f64, .device = all.tensors[0].device()});
    for (const Tensor& g : all.tensors) total.accumulate_(to(gradus::sum(square(g.detach())), DType::f64));
    return std::sqrt(total.item());
  }
  double sum = 0;
  for (const Tensor& g : all.tensors) {
    // One partial sum per chunk, added in order: the same bits for any number of threads.
    const std::int64_t n = g.numel(), chunks = (n + kTaskElements - 1) / kTaskElements;
    std::vector<double> partial(static_cast<std::size_t>(chunks));
    parallel_ranges(n, kTaskElements, [&](std::int64_t begin, std::int64_t end) {
      partial[static_cast<std::size_t>(begin / kTaskElements)] =
          optim_simd().sum_of_squares[g.dtype() == DType::f64](element(g, begin), end - begin);
    });
    for (const double p : partial) sum += p;
  }
  return std::sqrt(sum);
}

}  // namespace

double grad_norm(const std::vector<Tensor>& parameters) { return norm_of(gradients("grad_norm", parameters)); }

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm: max_norm must be positive, got {}", max_norm);
  const Gradients all = gradients("clip_grad_norm", parameters);
  const double norm = norm_of(all);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  if (on_cpu(all))
    each(all, "clip_grad_norm",
         [&](bool f64, void* g, std::int64_t n) { optim_simd().scale[f64](g, max_norm / norm, n); });
  else
    replace(all, [&](const Tensor& g) { return g * (max_norm / norm); });
  return norm;
}

void clip_grad_value(const std::vector<Tensor>& parameters, double bound) {
  check(bound > 0, "clip_grad_value: bound must be positive, got {}", bound);
  const Gradients all = gradients("clip_grad_value", parameters);
  if (on_cpu(all))
    each(all, "clip_grad_value", [&](bool f64, void* g, std::int64_t n) { optim_simd().clamp[f64](g, bound, n); });
  else
    replace(all, [&](const Tensor& g) { return clamp(g, -bound, bound); });
}

void clip_filter_rms(const std::vector<Tensor>& parameters, double radius) {
  check(radius > 0, "clip_filter_rms: radius must be positive, got {}", radius);
  const NoGrad no_grad;
  for (const Tensor& p : parameters) {
    if (p.rank() != 4 || !p.requires_grad()) continue;
    const Tensor w = p.detach();
    const Tensor rms = sqrt(mean(square(w), {1, 2, 3}, true));  // [K, 1, 1, 1]
    const Tensor bound = full(rms.shape(), radius, {.dtype = rms.dtype(), .device = rms.device()});
    Tensor(w).copy_(w * clamp(bound / rms, 0.0, 1.0));  // within the radius: times one, the same bits
  }
}

}  // namespace gradus::optim
