#include "autograd/function.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.hpp"
#include "core/random.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"

namespace gradus {
namespace {

Tensor cube(const Tensor& x) {
  return custom_op(
      "cube", {x},
      [](Context& saved, const std::vector<Tensor>& in) {
        saved.save(in[0]);
        return in[0] * in[0] * in[0];
      },
      [](const Context& saved, const Tensor& gy) -> Grads {
        const Tensor k = saved.get(0);
        return {gy * k * k * 3};
      });
}

/// exp, written by hand on memory, keeping its own result.
Tensor own_exp(const Tensor& x) {
  return custom_op(
      "own_exp", {x},
      [](Context& saved, const std::vector<Tensor>& in) {
        Tensor y = dense(in[0], Format::contiguous).clone();
        for (std::int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = std::exp(y.data<double>()[i]);
        saved.save_output(y);
        return y;
      },
      [](const Context& saved, const Tensor& gy) -> Grads { return {gy * saved.get(0)}; });
}

/// a * b; refuses gradients of gradients.
Tensor once_only(const Tensor& a, const Tensor& b) {
  return custom_op(
      "once_only", {a, b},
      [](Context& saved, const std::vector<Tensor>& in) {
        saved.save(in[0]);
        saved.save(in[1]);
        return in[0] * in[1];
      },
      [](const Context& saved, const Tensor& gy) -> Grads {
        Grads g(2);
        if (saved.needs(0)) g[0] = gy * saved.get(1);
        if (saved.needs(1)) g[1] = gy * saved.get(0);
        return g;
      },
      {.twice_differentiable = false});
}

Tensor input(const Shape& shape, std::uint64_t seed = 1) {
  Generator g{seed, 0};
  const Tensor x = randn(shape, {.dtype = DType::f64}, g);
  set_requires_grad(x);
  return x;
}

}  // namespace

TEST_CASE("custom_op: gradients, and gradients of gradients, agree with differences") {
  const Tensor x = input({3, 4});
  for (const auto fn : {cube, own_exp}) {
    gradcheck([&](const std::vector<Tensor>& in) { return fn(in[0]); }, {x});
    gradgradcheck([&](const std::vector<Tensor>& in) { return fn(in[0]); }, {x});
  }
  gradcheck([](const std::vector<Tensor>& in) { return once_only(in[0], in[1]); }, {input({2, 3}), input({2, 3}, 2)});
}

TEST_CASE("custom_op: has its name on the tape and in messages") {
  const Tensor x = input({2});
  const Tensor y = cube(x);
  CHECK(std::string(y.node()->name()) == "cube");
  CHECK(y.node()->saved_bytes() == 16);
  Tensor(x).fill_(1);
  CHECK_THROWS_WITH_AS(backward(sum(y)),
                       "cube: a tensor it saved for backward was written in place by fill_ (version 3, saved at 2)\n"
                       "  saved  f64 [2]  cpu",
                       GraphError);
}

TEST_CASE("custom_op: records nothing where no input needs a gradient or recording is off") {
  const Tensor x = ones({2}, {.dtype = DType::f64});
  CHECK_FALSE(cube(x).requires_grad());
  const Tensor w = input({2});
  const NoGrad off;
  CHECK_FALSE(cube(w).requires_grad());
}

TEST_CASE("custom_op: backward sees which inputs need a gradient") {
  const Tensor a = input({2}), b = ones({2}, {.dtype = DType::f64});
  backward(sum(once_only(a, b)));
  CHECK(grad_of(a).to_vector<double>() == std::vector<double>{1, 1});
}

TEST_CASE("custom_op: refuses create_graph where its backward is not recorded") {
  const Tensor a = input({2});
  const Tensor y = sum(once_only(a, a));
  CHECK_THROWS_WITH_AS(grad({y}, {a}, {.create_graph = true}),
                       "once_only: has no gradient of its gradient (create_graph)", GraphError);
}

TEST_CASE("custom_op: an identity is an operator too, and leaves its input alone") {
  const Tensor x = input({2});
  const Tensor y = custom_op(
      "identity", {x}, [](Context&, const std::vector<Tensor>& in) { return in[0]; },
      [](const Context&, const Tensor& gy) -> Grads { return {gy * 2}; });
  CHECK(is_leaf(x));
  backward(sum(y));
  CHECK(grad_of(x).to_vector<double>() == std::vector<double>{2, 2});
}

TEST_CASE("custom_op: mistakes in a rule are named") {
  const Tensor x = input({2});
  const auto forward = [](Context& saved, const std::vector<Tensor>& in) {
    saved.save(in[0]);
    return in[0] * 2;
  };
  const auto run = [&](const CustomBackward& rule) { backward(sum(custom_op("mine", {x}, forward, rule))); };
  CHECK_THROWS_WITH_AS(run([](const Context& saved, const Tensor&) -> Grads { return {saved.get(1)}; }),
                       "mine: backward asks for saved tensor 1 of 1", GraphError);
  CHECK_THROWS_WITH_AS(run([](const Context&, const Tensor& gy) -> Grads {
                         return {gy, gy};
                       }),
                       "mine: its backward returned 2 gradients for 1 inputs", GraphError);
  CHECK_THROWS_WITH_AS(run([](const Context&, const Tensor& gy) -> Grads { return {sum(gy)}; }),
                       "mine: its backward gave input 0 a gradient of another shape or dtype\n"
                       "  gradient  f64 []  cpu\n  input     f64 [2]",
                       GraphError);
  CHECK_THROWS_WITH_AS(custom_op(
                           "mine", {x}, [](Context&, const std::vector<Tensor>&) { return Tensor(); },
                           [](const Context&, const Tensor&) { return Grads(); }),
                       "mine: forward returned no tensor", GraphError);
  CHECK_THROWS_WITH_AS(custom_op(
                           "mine", {x},
                           [](Context& saved, const std::vector<Tensor>& in) {
                             saved.save_output(in[0] * 3);
                             return in[0] * 2;
                           },
                           [](const Context&, const Tensor&) { return Grads(); }),
                       "mine: save_output() was called with a tensor that forward did not return\n"
                       "  returned  f64 [2]  cpu",
                       GraphError);
}

}  // namespace gradus
