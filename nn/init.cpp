#include "nn/init.hpp"

#include <cmath>

namespace gradus::init {

double fan_in(const Tensor& weight) {
  check<ShapeError>(weight.rank() >= 2, "init: fan needs at least 2 dimensions, got {}", describe(weight));
  return weight.size(0) == 0 ? 0 : static_cast<double>(weight.numel() / weight.size(0));
}
double fan_out(const Tensor& weight) {
  check<ShapeError>(weight.rank() >= 2, "init: fan needs at least 2 dimensions, got {}", describe(weight));
  return weight.size(1) == 0 ? 0 : static_cast<double>(weight.numel() / weight.size(1));
}

void constant(const Tensor& x, double value) { Tensor(x).fill_(value); }
void normal(const Tensor& x, double mean, double std) { normal_(x, mean, std); }
void uniform(const Tensor& x, double low, double high) { uniform_(x, low, high); }
void truncated_normal(const Tensor& x, double mean, double std, double low, double high) {
  truncated_normal_(x, mean, std, low, high);
}
void kaiming_normal(const Tensor& weight, Fan fan, double gain) {
  normal_(weight, 0, gain / std::sqrt(fan == Fan::in ? fan_in(weight) : fan_out(weight)));
}
void kaiming_uniform(const Tensor& weight, Fan fan, double gain) {
  const double bound = gain * std::sqrt(3 / (fan == Fan::in ? fan_in(weight) : fan_out(weight)));
  uniform_(weight, -bound, bound);
}
void xavier_normal(const Tensor& weight, double gain) {
  normal_(weight, 0, gain * std::sqrt(2 / (fan_in(weight) + fan_out(weight))));
}
void xavier_uniform(const Tensor& weight, double gain) {
  const double bound = gain * std::sqrt(6 / (fan_in(weight) + fan_out(weight)));
  uniform_(weight, -bound, bound);
}
void framework_default(const Tensor& weight, const Tensor& bias) {
  const double bound = 1 / std::sqrt(fan_in(weight));
  uniform_(weight, -bound, bound);
  if (bias.defined()) uniform_(bias, -bound, bound);
}

}  // namespace gradus::init
