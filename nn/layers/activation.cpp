#include "nn/layers/activation.hpp"

#include "ops/dropout/dropout.hpp"
#include "ops/local_response_norm/local_response_norm.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/upsample/upsample.hpp"
#include "ops/view/view.hpp"

namespace gradus {

Tensor ReLU::forward(const Tensor& x) { return relu(x); }
Tensor LeakyReLU::forward(const Tensor& x) { return leaky_relu(x, slope); }
Tensor Sigmoid::forward(const Tensor& x) { return sigmoid(x); }
Tensor Tanh::forward(const Tensor& x) { return tanh(x); }
Tensor Flatten::forward(const Tensor& x) { return flatten(x, start); }

Dropout::Dropout(double probability) : p(probability) {
  check(p >= 0 && p < 1, "Dropout: the probability lies in [0, 1), got {}", p);
}
Tensor Dropout::forward(const Tensor& x) { return dropout(x, p, is_training()); }
std::string Dropout::options() const { return fmt::format("{}", p); }

Tensor LocalResponseNorm::forward(const Tensor& x) {
  return local_response_norm(x, {.size = config.size, .alpha = config.alpha, .beta = config.beta, .k = config.k});
}
std::string LocalResponseNorm::options() const {
  return fmt::format("size {}, alpha {}, beta {}, k {}", config.size, config.alpha, config.beta, config.k);
}

Tensor Upsample::forward(const Tensor& x) {
  return interpolate(x, {.scale_factor = static_cast<double>(scale),
                         .mode = bilinear ? Interpolation::bilinear : Interpolation::nearest});
}

}  // namespace gradus
