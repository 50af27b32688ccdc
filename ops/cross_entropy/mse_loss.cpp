#include "ops/cross_entropy/mse_loss.hpp"

#include "ops/autocast.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"

namespace gradus {

Tensor mse_loss(const Tensor& x_any, const Tensor& target_any, Reduction reduction) {
  const Tensor x = raised(x_any), target = raised(target_any);
  if (x.shape() != target.shape())
    fail<ShapeError>("mse_loss: x and target have different shapes\n{}", describe({{"x", &x}, {"target", &target}}));
  check_same_device("mse_loss", {{"x", &x}, {"target", &target}});
  check_same_dtype("mse_loss", {{"x", &x}, {"target", &target}});
  const Tensor squares = square(x - target);
  return reduction == Reduction::none ? squares : reduction == Reduction::mean ? mean(squares) : sum(squares);
}

}  // namespace gradus
