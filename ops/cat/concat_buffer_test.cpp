#include "ops/cat/concat_buffer.hpp"

#include <doctest/doctest.h>

#include "core/random.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/cat/cat.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

/// Two layers that read everything so far, as a dense block does, through a buffer or through cat.
Tensor block(const Tensor& x, const Tensor& w, bool with_buffer) {
  const auto layer = [&](const Tensor& all) { return square(sum(all * w, {1}, true)); };
  if (!with_buffer) {
    const Tensor one = cat({x, layer(x)}, 1);
    return cat({one, layer(one)}, 1);
  }
  ConcatBuffer buffer(x, x.size(1) + 2);
  buffer.append(layer(buffer.held()));
  return buffer.append(layer(buffer.held()));
}

}  // namespace

TEST_CASE("ConcatBuffer: gives what cat gives, values and gradients") {
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 1, 1, 1}, Shape{0, 2, 3, 3}}) {
    CAPTURE(to_string(shape));
    const Tensor x = randn(shape, {.dtype = DType::f64}), w = randn({}, {.dtype = DType::f64});
    set_requires_grad(x);
    set_requires_grad(w);
    const Tensor a = block(x, w, true), b = block(x, w, false);
    CHECK(a.to_vector<double>() == b.to_vector<double>());
    const Tensor seed = randn(a.shape(), {.dtype = DType::f64});
    const auto ga = grad({a}, {x, w}, {.seeds = {seed}}), gb = grad({b}, {x, w}, {.seeds = {seed}});
    for (std::size_t i = 0; i < 2; ++i) {
      const auto u = ga[i].to_vector<double>(), v = gb[i].to_vector<double>();
      for (std::size_t k = 0; k < u.size(); ++k) CHECK(u[k] == doctest::Approx(v[k]).epsilon(1e-12));
    }
  }
}

TEST_CASE("ConcatBuffer: gradients and gradients of gradients agree with differences") {
  const auto fn = [](const std::vector<Tensor>& in) { return block(in[0], in[1], true); };
  for (const Shape& shape : {Shape{2, 2, 1, 3}, Shape{1, 1, 1, 1}, Shape{0, 2, 2, 2}})
    check_gradients(fn, {randn(shape, {.dtype = DType::f64}), randn({}, {.dtype = DType::f64})}, {},
                    {.absolute = 1e-5});
}

TEST_CASE("ConcatBuffer: earlier views stay as they were, on one storage") {
  ConcatBuffer buffer(ones({1, 2, 2, 2}), 3);
  const Tensor before = buffer.held();
  const Tensor after = buffer.append(zeros({1, 1, 2, 2}));
  CHECK(before.shares_storage(after));
  CHECK(before.to_vector<double>() == std::vector<double>(8, 1.0));
  CHECK(after.shape() == Shape{1, 3, 2, 2});
}

TEST_CASE("batch_norm: reads a slice of a buffer and keeps no copy of it") {
  const Tensor x = randn({2, 3, 4, 4}, {.dtype = DType::f64});
  set_requires_grad(x);
  const auto normalised = [](const Tensor& held) {
    return batch_norm(held, Tensor(), Tensor(), Tensor(), Tensor(), {.training = true, .relu = true});
  };
  ConcatBuffer buffer(x, 7);
  const Tensor y = normalised(buffer.held()), expected = normalised(x);
  const Tensor seed = randn(y.shape(), {.dtype = DType::f64});
  const auto check_same = [](const Tensor& a, const Tensor& b) {  // but for the order of sums
    const auto u = a.to_vector<double>(), v = b.to_vector<double>();
    for (std::size_t i = 0; i < u.size(); ++i) CHECK(u[i] == doctest::Approx(v[i]).epsilon(1e-12));
  };
  check_same(y, expected);
  check_same(grad({y}, {x}, {.seeds = {seed}})[0], grad({expected}, {x}, {.seeds = {seed}})[0]);
}

TEST_CASE("ConcatBuffer: says what does not fit") {
  CHECK_THROWS_WITH_AS(ConcatBuffer(zeros({2, 3}), 4),
                       "ConcatBuffer: needs [N,C,H,W] with at most 4 channels\n  x  f32 [2, 3]  cpu", ShapeError);
  ConcatBuffer buffer(zeros({1, 2, 2, 2}), 3);
  CHECK_THROWS_AS(buffer.append(zeros({1, 1, 2, 3})), ShapeError);
  CHECK_THROWS_AS(buffer.append(zeros({1, 2, 2, 2})), ShapeError);
  CHECK_THROWS_AS(buffer.append(zeros({1, 1, 2, 2}, {.dtype = DType::f64})), DTypeError);
}

}  // namespace gradus
