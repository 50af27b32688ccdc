#include "ops/matmul/matmul.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.hpp"
#include "core/parallel.hpp"
#include "ops/candidates.hpp"
#include "ops/linear/linear.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

struct Case {
  const char* name;
  Shape a, b, y;
};
const Case kCases[] = {
    {"matrices", {3, 4}, {4, 5}, {3, 5}},
    {"dot product", {4}, {4}, {}},
    {"row times matrix", {4}, {4, 3}, {3}},
    {"matrix times column", {3, 4}, {4}, {3}},
    {"batch", {2, 3, 4}, {2, 4, 2}, {2, 3, 2}},
    {"batch times one matrix", {2, 3, 4}, {4, 2}, {2, 3, 2}},
    {"one matrix times batch", {3, 4}, {2, 4, 2}, {2, 3, 2}},
    {"both batches broadcast", {2, 1, 3, 4}, {3, 4, 2}, {2, 3, 3, 2}},
    {"batch times column", {2, 3, 4}, {4}, {2, 3}},
    {"row times batch", {4}, {2, 4, 3}, {2, 3}},
    {"inner size 1", {4, 1}, {1, 5}, {4, 5}},
    {"single elements", {1, 1}, {1, 1}, {1, 1}},
    {"inner size 0 gives zeros", {2, 0}, {0, 3}, {2, 3}},
    {"no rows", {0, 4}, {4, 3}, {0, 3}},
    {"no matrices", {0, 2, 4}, {0, 4, 3}, {0, 2, 3}},
};

std::vector<double> values(const Tensor& a, const Tensor& b) { return matmul(a, b).to_vector<double>(); }

}  // namespace

TEST_CASE("matmul: BLAS agrees with the reference for every kind of operands in every layout") {
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64})
      for (const Tensor& a : layouts(c.a, dtype))
        for (const Tensor& b : layouts(c.b, dtype)) {
          CAPTURE(c.name);
          CHECK(matmul(a, b).shape() == c.y);
          const auto fast = values(a, b);
          const ForceKernel reference("matmul", "reference");
          const auto slow = values(a, b);
          for (std::size_t i = 0; i < slow.size(); ++i)
            CHECK(std::abs(fast[i] - slow[i]) <= (dtype == DType::f32 ? 1e-5 : 1e-14));
        }
}

TEST_CASE("matmul: sizes beyond one tile agree with the reference") {
  const Tensor a = randn({300, 70}), b = randn({70, 1030});
  const auto fast = values(a, b);
  const ForceKernel reference("matmul", "reference");
  const auto slow = values(a, b);
  double worst = 0;
  for (std::size_t i = 0; i < slow.size(); ++i) worst = std::max(worst, std::abs(fast[i] - slow[i]));
  CHECK(worst < 1e-4);
}

TEST_CASE("matmul: with few rows on one side every form agrees with the reference") {
  struct Sizes {
    std::int64_t m, n, k;
  };
  for (const Sizes& s : {Sizes{1, 67, 1030},
                         {3, 130, 2100},
                         {8, 333, 2049},
                         {13, 64, 5000},
                         {16, 257, 300},
                         {5, 1025, 64},
                         {33, 131, 1500},
                         {64, 70, 2050}})
    for (const bool bias : {false, true}) {
      CAPTURE(s.m);
      CAPTURE(s.n);
      const Tensor x = randn({s.m, s.k}), weight = randn({s.n, s.k}), added = randn({s.n}), gy = randn({s.m, s.n});
      const auto all = [&] {
        return std::vector<std::vector<double>>{linear(x, weight, bias ? added : Tensor()).to_vector<double>(),
                                                values(gy, weight), values(transpose(gy, 0, 1), x),
                                                values(transpose(gy.clone(), 0, 1).clone(), x)};
      };
      const auto fast = all();
      const ForceKernel reference("matmul", "reference");
      const auto slow = all();
      for (std::size_t i = 0; i < slow.size(); ++i) {
        double worst = 0;
        for (std::size_t e = 0; e < slow[i].size(); ++e) worst = std::max(worst, std::abs(fast[i][e] - slow[i][e]));
        CHECK(worst < 3e-4);
      }
    }
}

TEST_CASE("matmul: few rows give the same bits with any number of threads") {
  const Tensor x = randn({7, 3000}), weight = randn({130, 3000}), gy = randn({7, 130}), more = randn({50, 3000});
  const int before = num_threads();
  std::vector<std::vector<double>> bits;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    for (const Tensor& y :
         {linear(x, weight), linear(more, weight), matmul(gy, weight), matmul(transpose(gy, 0, 1), x)})
      bits.push_back(y.to_vector<double>());
  }
  set_num_threads(before);
  for (std::size_t i = 0; i < 4; ++i) CHECK(bits[i] == bits[i + 4]);
}

TEST_CASE("matmul: a product that can be checked by hand") {
  const Tensor a = from_data({1, 2, 3, 4}, {2, 2}), b = from_data({5, 6, 7, 8}, {2, 2});
  CHECK(values(a, b) == std::vector<double>{19, 22, 43, 50});
  CHECK(values(transpose(a, 0, 1), b) == std::vector<double>{26, 30, 38, 44});
}

TEST_CASE("matmul: gradients and gradients of gradients agree with differences") {
  for (const Case& c : kCases)
    for (const Tensor& a : layouts(c.a))
      for (const Tensor& b : layouts(c.b)) {
        CAPTURE(c.name);
        set_requires_grad(a);
        set_requires_grad(b);
        const auto fn = [](const auto& in) { return matmul(in[0], in[1]); };
        CHECK_NOTHROW(gradcheck(fn, {a, b}));
        CHECK_NOTHROW(gradgradcheck(fn, {a, b}));
      }
}

TEST_CASE("matmul: an expanded operand is read like a copy of it") {
  const Tensor row = randn({1, 4}, {.dtype = DType::f64}), b = randn({4, 3}, {.dtype = DType::f64});
  CHECK(values(expand(row, {5, 4}), b) == values(expand(row, {5, 4}).clone(Format::contiguous), b));
}

TEST_CASE("matmul: errors name the rule and show both operands") {
  CHECK_THROWS_WITH_AS(matmul(zeros({2, 3}), zeros({4, 5})),
                       "matmul: a has 3 columns, b has 4 rows\n  a  f32 [2, 3]  cpu\n  b  f32 [4, 5]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(matmul(zeros({}), zeros({4})),
                       "matmul: a scalar is no matrix (use *)\n  a  f32 []  cpu\n  b  f32 [4]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(matmul(zeros({2, 2, 3}), zeros({3, 3, 2})),
                       "matmul: shapes [2] and [3] do not broadcast: sizes 2 and 3 at dim -1", ShapeError);
  CHECK_THROWS_AS(matmul(zeros({2, 2}), zeros({2, 2}, {.dtype = DType::f64})), DTypeError);
}

}  // namespace gradus
