#include "ops/se_scale/se_scale.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "core/parallel.hpp"
#include "core/random.hpp"
#include "ops/candidates.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

const Shape kShapes[] = {{2, 3, 4, 5}, {1, 1, 1, 1}, {3, 33, 5, 3}, {2, 130, 7, 7}, {2, 64, 56, 57}, {0, 3, 4, 4}};

std::vector<Tensor> operands(const Shape& shape, DType dtype) {
  Generator generator{6, 0};
  std::vector<Tensor> all{randn(shape, {.dtype = dtype}, generator),
                          rand({shape[0], shape[1], 1, 1}, {.dtype = dtype}, generator),
                          randn(shape, {.dtype = dtype}, generator)};
  return all;
}

std::vector<std::vector<double>> run_all(const std::vector<Tensor>& values, bool relu, bool with_residual) {
  std::vector<Tensor> in;
  for (const Tensor& v : values) in.push_back(v.detach());
  if (!with_residual) in.pop_back();
  for (const Tensor& t : in) set_requires_grad(t);
  const Tensor y = se_scale(in[0], in[1], {.relu = relu}, with_residual ? in[2] : Tensor());
  Generator generator{7, 0};
  const Tensor seed = randn(y.shape(), {.dtype = y.dtype()}, generator);
  std::vector<std::vector<double>> all{y.to_vector<double>()};
  for (const Tensor& g : grad({y}, in, {.seeds = {seed}})) all.push_back(g.to_vector<double>());
  return all;
}

}  // namespace

TEST_CASE("se_scale: every candidate agrees with the reference, on every layout") {
  for (const Shape& shape : kShapes)
    for (DType dtype : {DType::f32, DType::f64})
      for (int variant = 0; variant < 4; ++variant) {
        CAPTURE(to_string(shape));
        CAPTURE(variant);
        std::vector<Tensor> in = operands(shape, dtype);
        if (shape[2] < 50) in[0] = transpose(transpose(in[0], 2, 3).clone(), 2, 3).detach();
        const auto fast = run_all(in, variant & 1, variant & 2);
        in[0] = channels_last(in[0]);
        CHECK(run_all(in, variant & 1, variant & 2) == fast);
        const ForceKernel forward("se_scale.forward", "reference"), backward("se_scale.backward", "reference");
        const auto plain = run_all(in, variant & 1, variant & 2);
        for (std::size_t k = 0; k < plain.size(); ++k) {
          double worst = 0, largest = 1;
          for (std::size_t i = 0; i < plain[k].size(); ++i) {
            worst = std::max(worst, std::abs(fast[k][i] - plain[k][i]));
            largest = std::max(largest, std::abs(plain[k][i]));
          }
          CHECK(worst <= (dtype == DType::f32 ? 2e-6 : 1e-13) * largest);
        }
      }
}

TEST_CASE("se_scale: is the three separate operators") {
  const std::vector<Tensor> in = operands({2, 3, 4, 5}, DType::f64);
  const auto fused = se_scale(in[0], in[1], {.relu = true}, in[2]).to_vector<double>(),
             apart = relu(in[0] * in[1] + in[2]).to_vector<double>();
  for (std::size_t i = 0; i < apart.size(); ++i) CHECK(fused[i] == doctest::Approx(apart[i]).epsilon(1e-14));
}

TEST_CASE("se_scale: gradients, and gradients of gradients, agree with differences") {
  for (const Shape& shape : {Shape{2, 3, 2, 3}, Shape{1, 1, 1, 1}, Shape{0, 2, 2, 2}})
    for (int variant = 0; variant < 4; ++variant) {
      CAPTURE(to_string(shape));
      CAPTURE(variant);
      std::vector<Tensor> in = operands(shape, DType::f64);
      const bool with_residual = variant & 2;
      if (!with_residual) in.pop_back();
      const auto fn = [&](const std::vector<Tensor>& x) {
        return se_scale(x[0], x[1], {.relu = (variant & 1) != 0}, with_residual ? x[2] : Tensor());
      };
      check_gradients(fn, in);
    }
}

TEST_CASE("se_scale: any number of threads gives the same bits") {
  const int before = num_threads();
  const std::vector<Tensor> in = operands({3, 40, 33, 31}, DType::f32);
  set_num_threads(1);
  const auto one = run_all(in, true, true);
  set_num_threads(2);
  CHECK(one == run_all(in, true, true));
  set_num_threads(before);
}

TEST_CASE("se_scale: says what does not fit") {
  CHECK_THROWS_WITH_AS(
      se_scale(zeros({2, 3, 4, 4}), zeros({2, 3})),
      "se_scale: takes x [N,C,H,W], s [N,C,1,1] and a residual like x\n  x         f32 [2, 3, 4, 4]  cpu\n"
      "  s         f32 [2, 3]  cpu",
      ShapeError);
}

}  // namespace gradus
