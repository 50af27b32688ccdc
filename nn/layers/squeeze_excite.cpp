#include "nn/layers/squeeze_excite.hpp"

#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/se_scale/se_scale.hpp"

namespace gradus {
namespace {
std::int64_t squeezed(std::int64_t channels, std::int64_t reduction) {
  check(reduction > 0 && channels / reduction > 0, "SqueezeExcite: {} channels cannot be reduced {} times", channels,
        reduction);
  return channels / reduction;
}
}  // namespace

SqueezeExcite::SqueezeExcite(std::int64_t channels, std::int64_t reduction)
    : fc1(channels, squeezed(channels, reduction), {.kernel = 1}),
      fc2(squeezed(channels, reduction), channels, {.kernel = 1}) {}

Tensor SqueezeExcite::gate(const Tensor& x) { return sigmoid(fc2(relu(fc1(global_avg_pool2d(x))))); }

Tensor SqueezeExcite::forward(const Tensor& x) { return se_scale(x, gate(x)); }

Tensor SqueezeExcite::add_relu(const Tensor& x, const Tensor& residual) {
  return observed(x, [&] { return se_scale(x, gate(x), {.relu = true}, residual); });
}

std::string SqueezeExcite::options() const { return fmt::format("{} -> {}", fc1.weight.size(1), fc1.weight.size(0)); }

}  // namespace gradus
