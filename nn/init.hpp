#pragma once
// Initial values of weights. Each writes in place, off the tape, from the default generator.
// A weight is [out, in] or [K, C/groups, R, S]: fan_in is its elements per output, fan_out elements per input.

#include "core/random.hpp"

namespace gradus::init {

enum class Fan { in, out };

double fan_in(const Tensor& weight);
double fan_out(const Tensor& weight);

void constant(const Tensor& x, double value);
void normal(const Tensor& x, double mean, double std);
void uniform(const Tensor& x, double low, double high);
/// N(mean, std^2) with values outside [low, high] drawn again.
void truncated_normal(const Tensor& x, double mean, double std, double low, double high);
/// N(0, gain^2 / fan) (He et al. 2015, section 2.2); gain sqrt 2 suits ReLU.
void kaiming_normal(const Tensor& weight, Fan fan = Fan::in, double gain = 1.4142135623730951);
/// U(-b, b), b = gain sqrt(3 / fan).
void kaiming_uniform(const Tensor& weight, Fan fan = Fan::in, double gain = 1.4142135623730951);
/// N(0, gain^2 * 2 / (fan_in + fan_out)) (Glorot and Bengio 2010).
void xavier_normal(const Tensor& weight, double gain = 1);
void xavier_uniform(const Tensor& weight, double gain = 1);
/// PyTorch's default for convolutions and linear layers: U(-b, b), b = 1 / sqrt(fan_in), for weight and bias.
void framework_default(const Tensor& weight, const Tensor& bias);

}  // namespace gradus::init
