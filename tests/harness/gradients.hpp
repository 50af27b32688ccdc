#pragma once
// Gradients against finite differences, in every memory layout.

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "autograd/gradcheck.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {

/// gradcheck and gradgradcheck of fn at `values` (f64), which are given in each layout of in_layouts() in turn, all of
/// them in the same one.
inline void check_gradients(const TensorFn& fn, const std::vector<Tensor>& values, const GradcheckOptions& once = {},
                            const GradcheckOptions& twice = {}) {
  std::vector<std::vector<Tensor>> forms;
  std::size_t most = 1;
  for (const Tensor& x : values) {
    forms.push_back(in_layouts(x));
    most = std::max(most, forms.back().size());
  }
  for (std::size_t k = 0; k < most; ++k) {
    std::vector<Tensor> inputs;
    for (const auto& form : forms) {
      inputs.push_back(form[std::min(k, form.size() - 1)]);
      set_requires_grad(inputs.back());
    }
    CAPTURE(k);  // which layout
    CHECK_NOTHROW(gradcheck(fn, inputs, once));
    CHECK_NOTHROW(gradgradcheck(fn, inputs, twice));
  }
}

}  // namespace gradus
