#include "ops/max_unpool2d/max_unpool2d.hpp"

#include <doctest/doctest.h>

#include "core/random.hpp"
#include "ops/candidates.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {

TEST_CASE("max_unpool2d: puts maxima back where they were, zero elsewhere") {
  const Tensor x = from_data({1, 9, 3, 4, 5, 6, 7, 8}, {1, 1, 2, 4});
  const auto [y, indices] = max_pool2d_with_indices(x, {.kernel = 2});
  CHECK(max_unpool2d(y, indices, {2, 4}).to_vector<float>() == std::vector<float>{0, 9, 0, 0, 0, 0, 0, 8});
}

TEST_CASE("max_unpool2d: overlapping windows that share an element restore it once") {
  Generator generator{2, 0};
  const Tensor x = randn({2, 3, 7, 9}, {}, generator);
  const auto [y, indices] = max_pool2d_with_indices(x, {.kernel = 3, .stride = 2});
  const auto restored = max_unpool2d(y, indices, {7, 9}).to_vector<float>(), original = x.to_vector<float>();
  int kept = 0;
  for (std::size_t i = 0; i < restored.size(); ++i) {
    CHECK((restored[i] == 0 || restored[i] == original[i]));
    kept += restored[i] != 0;
  }
  CHECK(kept > 20);
}

TEST_CASE("max_unpool2d: images in parallel agree with the reference, forward, backward and twice") {
  Generator generator{2, 0};
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{3, 5, 7, 9}, Shape{1, 1, 3, 3}, Shape{2, 1, 8, 3}}) {
      const auto [y, indices] =
          max_pool2d_with_indices(randn(shape, {.dtype = dtype}, generator), {.kernel = 3, .stride = 2, .padding = 1});
      const Tensor seed = randn(shape, {.dtype = dtype}, generator),
                   again = randn(y.shape(), {.dtype = dtype}, generator);
      for (const Tensor& x : in_layouts(y)) {
        const auto all = [&, at = indices] {
          set_requires_grad(x);
          const Tensor gy = seed.detach();
          set_requires_grad(gy);
          const Tensor restored = max_unpool2d(x, at, {shape[2], shape[3]});
          const Tensor gx = grad({restored}, {x}, {.seeds = {gy}, .create_graph = true})[0];
          const Tensor ggy = grad({gx}, {gy}, {.seeds = {again}})[0];
          return std::vector{restored.to_vector<double>(), gx.to_vector<double>(), ggy.to_vector<double>()};
        };
        const auto fast = all();
        const ForceKernel force("max_unpool2d", "reference");
        CHECK(fast == all());
      }
    }
}

TEST_CASE("max_unpool2d: gradients, and gradients of gradients, agree with differences, on any layout") {
  Generator generator{2, 0};
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 1, 2, 2}, Shape{3, 1, 2, 3}, Shape{0, 2, 4, 4}}) {
    const auto [y, indices] = max_pool2d_with_indices(randn(shape, {.dtype = DType::f64}, generator), {.kernel = 2});
    const auto fn = [&, at = indices](const std::vector<Tensor>& in) {
      return max_unpool2d(in[0], at, {shape[2], shape[3]});
    };
    check_gradients(fn, {y});
  }
}

TEST_CASE("max_unpool2d: an empty batch gives an empty batch") {
  CHECK(max_unpool2d(zeros({0, 2, 1, 1}), zeros({0, 2, 1, 1}, {.dtype = DType::i64}), 2).shape() == Shape{0, 2, 2, 2});
}

TEST_CASE("max_unpool2d: says what does not fit") {
  const Tensor x = zeros({1, 1, 1, 1});
  CHECK_THROWS_WITH_AS(max_unpool2d(x, full({1, 1, 1, 1}, 4, {.dtype = DType::i64}), 2),
                       "max_unpool2d: index 4 is outside a plane of 2 x 2", ValueError);
  CHECK_THROWS_WITH_AS(max_unpool2d(x, zeros({1, 1, 1, 1}), 2), "max_unpool2d: indices are i64, got f32", DTypeError);
  CHECK_THROWS_WITH_AS(
      max_unpool2d(x, zeros({1, 1, 1, 2}, {.dtype = DType::i64}), 2),
      "max_unpool2d: takes x [N,C,P,Q] and indices of the same shape\n  x        f32 [1, 1, 1, 1]  cpu\n"
      "  indices  i64 [1, 1, 1, 2]  cpu",
      ShapeError);
}

}  // namespace gradus
