#pragma once
// Operators of one's own in a few lines: two lambdas and a name.
//
//   Tensor cube(const Tensor& x) {
//     return custom_op(
//         "cube", {x},
//         [](Context& saved, const std::vector<Tensor>& in) {
//           saved.save(in[0]);
//           return in[0] * in[0] * in[0];
//         },
//         [](const Context& saved, const Tensor& gy) -> Grads {
//           const Tensor x = saved.get(0);
//           return {gy * x * x * 3};
//         });
//   }
//
// forward runs off the tape: write it with operators, or with loops over data(). If backward is written with operators,
// the gradient of the gradient exists too; if it fills memory by hand, say so with CustomOptions, and create_graph is
// refused with an error instead of giving a wrong answer. Check both with gradcheck() and gradgradcheck().

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/node.hpp"

namespace gradus {

/// What forward keeps for backward.
class Context {
 public:
  /// Keeps a tensor and returns its number. A later in-place write to it is found by get().
  int save(const Tensor& x);
  /// The same for forward's own result; to be called with the tensor that forward returns.
  int save_output(const Tensor& y);
  /// The tensor of that number, on the tape as it was. GraphError if it was written since.
  Tensor get(int number) const;
  /// Whether the gradient of input i will be used; backward may leave it undefined otherwise.
  bool needs(std::size_t i) const;

 private:
  friend struct CustomNode;
  Node* node_ = nullptr;
  std::vector<Saved> saved_;
  int output_ = -1;  // which of saved_ is forward's result
};

using CustomForward = std::function<Tensor(Context&, const std::vector<Tensor>& inputs)>;
/// From d loss / d y to d loss / d input, one per input; undefined where there is none.
using CustomBackward = std::function<Grads(const Context&, const Tensor& gy)>;

struct CustomOptions {
  bool twice_differentiable = true;  // backward is made of recorded operators
};

/// Runs forward, and records backward under `name` if an input needs a gradient.
Tensor custom_op(const std::string& name, const std::vector<Tensor>& inputs, const CustomForward& forward,
                 CustomBackward backward, const CustomOptions& options = {});

}  // namespace gradus
