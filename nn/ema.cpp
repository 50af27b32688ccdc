#include "nn/ema.hpp"

#include <algorithm>

#include "nn/optim/optim_kernels.hpp"
#include "nn/optim/spans.hpp"
#include "ops/pointwise/binary.hpp"

namespace gradus {

Ema::Ema(Module& module, double decay) : decay_(decay) {
  check(decay >= 0 && decay < 1, "ema: decay must be in [0, 1), got {}", decay);
  for (const NamedState& s : module.state()) {
    pairs_.push_back({s.name, s.tensor, empty_like(*s.tensor).copy_(s.tensor->detach())});
  }
}

void Ema::update() {
  ++updates_;
  const double t = static_cast<double>(updates_);
  const double rest = 1 - std::min(decay_, (1 + t) / (10 + t));
  std::vector<std::int64_t> sizes(pairs_.size(), 0);
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    Pair& p = pairs_[i];
    if (p.value->dtype() != DType::f32 && p.value->dtype() != DType::f64) {
      p.average.copy_(p.value->detach());  // counters are not averaged
      continue;
    }
    check<ShapeError>(p.value->is_dense(), "ema: {} is a view with gaps, {}", p.name, describe(*p.value));
    if (p.value->device() != kCpu) {
      const NoGrad no_grad;
      p.average.copy_(p.average + (p.value->detach() - p.average) * rest);
      continue;
    }
    // One loop walks value and average: they must agree in where an element lies.
    if (p.value->strides() != p.average.strides()) p.average = empty_like(*p.value).copy_(p.average);
    sizes[i] = p.value->numel();
  }
  optim::parallel_spans(sizes, [&](const optim::Span& s) {
    const Pair& p = pairs_[s.tensor];
    optim_simd().lerp[p.average.dtype() == DType::f64](optim::element(p.average, s.begin),
                                                       optim::element(*p.value, s.begin), rest, s.end - s.begin);
  });
  for (const Pair& p : pairs_) p.average.written("ema");
}

void Ema::swap() {
  const NoGrad no_grad;
  for (Pair& p : pairs_) {
    const Tensor value = p.value->clone();
    p.value->copy_(p.average);
    p.average.copy_(value);
  }
}

std::vector<NamedState> Ema::state() {
  std::vector<NamedState> all;
  for (Pair& p : pairs_) all.push_back({p.name, &p.average, true});
  return all;
}

}  // namespace gradus
