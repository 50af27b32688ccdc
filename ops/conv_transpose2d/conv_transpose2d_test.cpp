#include "ops/conv_transpose2d/conv_transpose2d.hpp"

#include <doctest/doctest.h>

#include "autograd/node.hpp"
#include "core/random.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

struct Case {
  const char* name;
  Shape x;
  Shape weight;
  ConvTranspose2dOptions options;
  Shape y;
};

const Case kCases[] = {
    {"1x1", {1, 1, 1, 1}, {1, 1, 1, 1}, {}, {1, 1, 1, 1}},
    {"doubling", {2, 3, 3, 4}, {3, 2, 2, 2}, {.stride = 2}, {2, 2, 6, 8}},
    {"3x3 with output padding",
     {1, 2, 3, 3},
     {2, 3, 3, 3},
     {.stride = 2, .padding = 1, .output_padding = 1},
     {1, 3, 6, 6}},
    {"uneven pairs",
     {1, 2, 3, 4},
     {2, 2, 3, 2},
     {.stride = {3, 1}, .padding = {1, 0}, .output_padding = {2, 0}},
     {1, 2, 9, 5}},
    {"dilation", {1, 2, 4, 3}, {2, 1, 2, 3}, {.padding = {0, 1}, .dilation = {3, 2}}, {1, 1, 7, 5}},
    {"groups", {2, 4, 2, 3}, {4, 3, 2, 2}, {.stride = 2, .groups = 2}, {2, 6, 4, 6}},
    {"a gap between windows", {1, 2, 3, 3}, {2, 2, 1, 1}, {.stride = 3, .output_padding = 1}, {1, 2, 8, 8}},
    {"empty batch", {0, 2, 3, 3}, {2, 3, 2, 2}, {}, {0, 3, 4, 4}},
};

Tensor random(const Shape& shape, std::uint64_t seed) {
  Generator generator{seed, 0};
  Tensor x = empty(shape, {.dtype = DType::f64});
  uniform_(x, -1, 1, generator);
  return x;
}

}  // namespace

TEST_CASE("conv_transpose2d: is the adjoint of conv2d: <conv2d(u, w), x> = <u, conv_transpose2d(x, w)>") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const ConvTranspose2dOptions& o = c.options;
    const Tensor x = random(c.x, 1), w = random(c.weight, 2), u = random(c.y, 3);
    const Tensor y = conv_transpose2d(x, w, {}, o);
    CHECK(y.shape() == c.y);
    const Tensor v = conv2d(u, w, {}, {o.stride, o.padding, o.dilation, o.groups});
    CHECK(sum(mul(v, x)).item() == doctest::Approx(sum(mul(u, y)).item()).epsilon(1e-12));
  }
}

TEST_CASE("conv_transpose2d: known values, every pixel adds a weighted window, the bias once") {
  const Tensor x = from_data({1, 2, 3, 4}, {1, 1, 2, 2}), w = from_data({1, 10, 100, 1000}, {1, 1, 2, 2});
  CHECK(conv_transpose2d(x, w, from_data({0.5}, {1})).to_vector<float>() ==
        std::vector<float>{1.5, 12.5, 20.5, 103.5, 1234.5, 2040.5, 300.5, 3400.5, 4000.5});
}

TEST_CASE("conv_transpose2d: gradients and gradients of gradients agree with finite differences") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    const auto fn = [&](const std::vector<Tensor>& in) { return conv_transpose2d(in[0], in[1], in[2], c.options); };
    check_gradients(fn, {random(c.x, 1), random(c.weight, 2), random({c.y[1]}, 3)});
  }
}

TEST_CASE("conv_transpose2d: its errors say the rule, what came, and the operands") {
  const Tensor x = zeros({1, 4, 5, 5}), w = zeros({4, 2, 3, 3});
  CHECK_THROWS_WITH_AS(conv_transpose2d(x, zeros({3, 2, 3, 3})),
                       "conv_transpose2d: weight reads 3 input channels, x has 4\n"
                       "  x       f32 [1, 4, 5, 5]  cpu\n"
                       "  weight  f32 [3, 2, 3, 3]  cpu     stride 1, padding 0, groups 1, output_padding 0",
                       ShapeError);
  CHECK_THROWS_WITH_AS(conv_transpose2d(x, w, {}, {.stride = 2, .output_padding = 2}),
                       doctest::Contains("output_padding is at least 0 and below the stride, got 2"), ValueError);
  CHECK_THROWS_WITH_AS(conv_transpose2d(x, w, zeros({3})),
                       doctest::Contains("bias is [2], one for each output channel"), ShapeError);
  CHECK_THROWS_WITH_AS(conv_transpose2d(x, w, {}, {.padding = 4}),
                       doctest::Contains("padding leaves an output of -1x-1"), ShapeError);
  CHECK_THROWS_AS(conv_transpose2d(zeros({4, 5, 5}), w), ShapeError);
}

}  // namespace gradus
