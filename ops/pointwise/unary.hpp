#pragma once
// Pointwise functions of one tensor: y has x's shape, dtype and memory order. x is f32 or f64 (DTypeError otherwise).
// Formulas and derivatives: unary_list.hpp. All of them can be differentiated any number of times.

#include <limits>

#include "core/tensor.hpp"

namespace gradus {

Tensor affine(const Tensor& x, double scale, double shift);  // scale * x + shift
Tensor neg(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);  // x^-1/2
Tensor square(const Tensor& x);
Tensor pow(const Tensor& x, double exponent);
Tensor abs(const Tensor& x);
/// x within [low, high]; leave one out for a one-sided bound. ValueError if low > high.
Tensor clamp(const Tensor& x, double low = -std::numeric_limits<double>::infinity(),
             double high = std::numeric_limits<double>::infinity());
Tensor relu(const Tensor& x);
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);

}  // namespace gradus
