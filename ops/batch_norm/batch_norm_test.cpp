#include "ops/batch_norm/batch_norm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <optional>

#include "autograd/recompute.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "ops/batch_norm/batch_norm_kernels.hpp"
#include "ops/cat/cat.hpp"
#include "ops/cat/concat_buffer.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

const Shape kShapes[] = {{2, 1, 1, 1},   {3, 4, 3, 5},   {2, 3, 1, 7}, {5, 16, 9, 9}, {3, 33, 5, 3},
                         {2, 130, 3, 3}, {1, 7, 90, 91}, {6, 4},       {2, 1},        {300, 65}};

Tensor random(const Shape& shape, DType dtype, Generator& generator, double mean = 0, double std = 1) {
  Tensor x = empty(shape, {.dtype = dtype, .format = shape.size() == 4 ? Format::channels_last : Format::contiguous});
  normal_(x, mean, std, generator);
  return x;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < u.size(); ++i) worst = std::max(worst, std::abs(u[i] - v[i]));
  return worst;
}

/// y, then the gradients of x, weight, bias and residual, for seeds and operands from a generator.
struct Outcome {
  std::vector<Tensor> tensors;
};
Outcome run_all(const Shape& shape, DType dtype, bool training, bool relu, bool with_residual) {
  Generator generator{3, 0};
  const std::int64_t c = shape[1];
  const Tensor x = random(shape, dtype, generator, 0.3, 2), residual = random(shape, dtype, generator),
               weight = random({c}, dtype, generator, 1, 0.3), bias = random({c}, dtype, generator),
               mean = random({c}, dtype, generator), seed = random(shape, dtype, generator);
  Tensor var = empty({c}, {.dtype = dtype});
  uniform_(var, 0.5, 2, generator);
  for (const Tensor& t : {x, residual, weight, bias}) set_requires_grad(t);
  const Tensor y =
      batch_norm(x, mean, var, weight, bias, {.training = training, .relu = relu}, with_residual ? residual : Tensor());
  std::vector<Tensor> wanted{x, weight, bias};
  if (with_residual) wanted.push_back(residual);
  Outcome all{{y.detach(), mean, var}};
  for (Tensor& g : grad({y}, wanted, {.seeds = {seed}})) all.tensors.push_back(std::move(g));
  return all;
}

struct ForceReference {
  ForceKernel stats{"batch_norm.stats", "reference"}, apply{"batch_norm.apply", "reference"},
      reduce{"batch_norm.backward_reduce", "reference"}, backward{"batch_norm.backward_apply", "reference"};
};

}  // namespace

TEST_CASE("batch_norm: every candidate agrees with the reference, forward and backward") {
  for (const Shape& shape : kShapes)
    for (DType dtype : {DType::f32, DType::f64})
      for (int variant = 0; variant < 8; ++variant) {
        const bool training = variant & 1, relu = variant & 2, residual = variant & 4;
        CAPTURE(to_string(shape));
        CAPTURE(variant);
        const Outcome fast = run_all(shape, dtype, training, relu, residual);
        const ForceReference force;
        const Outcome plain = run_all(shape, dtype, training, relu, residual);
        for (std::size_t i = 0; i < fast.tensors.size(); ++i) {
          CAPTURE(i);
          const double scale = plain.tensors[i].numel() == 0 ? 1 : [&] {
            double m = 1;
            for (double v : plain.tensors[i].to_vector<double>()) m = std::max(m, std::abs(v));
            return m;
          }();
          CHECK(largest_difference(fast.tensors[i], plain.tensors[i]) <= (dtype == DType::f32 ? 4e-6 : 1e-13) * scale);
        }
      }
}

TEST_CASE("batch_norm: training normalises every channel over N, H and W") {
  Generator generator{1, 0};
  const Tensor x = random({4, 3, 5, 6}, DType::f64, generator, 7, 3);
  const Tensor y = batch_norm(x, {}, {}, {}, {}, {.training = true});
  for (double m : mean(y, {0, 2, 3}).to_vector<double>()) CHECK(m == doctest::Approx(0).epsilon(1e-12));
  for (double v : mean(square(y), {0, 2, 3}).to_vector<double>()) CHECK(v == doctest::Approx(1).epsilon(1e-4));
}

TEST_CASE("batch_norm: running statistics follow with the unbiased variance") {
  const Tensor x = from_data({1, 2, 3, 6}, {4, 1}), mean = from_data({10}, {1}), var = from_data({20}, {1});
  batch_norm(x, mean, var, {}, {}, {.training = true, .momentum = 0.25});
  CHECK(mean.item() == doctest::Approx(0.75 * 10 + 0.25 * 3));
  CHECK(var.item() == doctest::Approx(0.75 * 20 + 0.25 * 14.0 / 3));
  CHECK(std::string(mean.last_writer()) == "batch_norm");
}

TEST_CASE("batch_norm: outside training the running statistics are used and stay") {
  const Tensor x = from_data({1, 2, 3, 6}, {4, 1}), mean = from_data({2}, {1}), var = from_data({4}, {1});
  const auto y = batch_norm(x, mean, var, from_data({3}, {1}), from_data({1}, {1})).to_vector<double>();
  CHECK(y[3] == doctest::Approx((6 - 2) / std::sqrt(4 + 1e-5) * 3 + 1));
  CHECK(mean.item() == 2);
  CHECK(var.item() == 4);
}

TEST_CASE("batch_norm: a recomputed segment updates the running statistics once") {
  Generator generator{1, 0};
  const Tensor x = random({4, 3}, DType::f32, generator), mean = zeros({3}), var = ones({3});
  const Tensor once_mean = zeros({3}), once_var = ones({3});
  set_requires_grad(x);
  batch_norm(x, once_mean, once_var, {}, {}, {.training = true});
  backward(
      sum(recompute([&](const Tensor& in) { return batch_norm(in, mean, var, {}, {}, {.training = true}); }, x, {})));
  CHECK(largest_difference(mean, once_mean) == 0);
  CHECK(largest_difference(var, once_var) == 0);
}

TEST_CASE("batch_norm: statistics survive a mean far from zero and a constant channel") {
  Tensor x = empty({64, 2});
  Generator generator{1, 0};
  normal_(x, 10000, 1, generator);
  x.detach().as_strided({64}, {2}, 1).fill_(12345.678);
  const Moments fast = batch_norm_stats(x.data<float>(), 64, 2, 2);
  const ForceReference force;
  const Moments plain = batch_norm_stats(x.data<float>(), 64, 2, 2);
  CHECK(fast.mean[0] == doctest::Approx(plain.mean[0]).epsilon(1e-9));
  CHECK(fast.m2[0] == doctest::Approx(plain.m2[0]).epsilon(1e-5));
  CHECK(fast.m2[1] == 0);
}

TEST_CASE("batch_norm: moments of parts combine to those of the whole") {
  Generator generator{1, 0};
  const Tensor x = random({40, 3}, DType::f64, generator, 5, 2);
  const double* p = x.data<double>();
  const Moments whole = batch_norm_stats(p, 40, 3, 3);
  const Moments joined = combine_moments({batch_norm_stats(p, 7, 3, 3), batch_norm_stats(p + 21, 33, 3, 3)}, 3);
  CHECK(joined.count == 40);
  for (std::size_t c = 0; c < 3; ++c) {
    CHECK(joined.mean[c] == doctest::Approx(whole.mean[c]).epsilon(1e-13));
    CHECK(joined.m2[c] == doctest::Approx(whole.m2[c]).epsilon(1e-13));
  }
}

TEST_CASE("batch_norm: the fused ReLU and residual add are the separate operators, on any layout") {
  Generator generator{5, 0};
  const Tensor x = randn({3, 8, 4, 6}, {.dtype = DType::f64}, generator).clone(),
               residual = transpose(randn({3, 8, 6, 4}, {.dtype = DType::f64}, generator), 2, 3).detach(),
               weight = rand({8}, {.dtype = DType::f64}, generator),
               seed = randn({3, 8, 4, 6}, {.dtype = DType::f64}, generator);
  for (const Tensor& t : {x, residual, weight}) set_requires_grad(t);
  const Tensor fused = batch_norm(x, {}, {}, weight, {}, {.training = true, .relu = true}, residual);
  const Tensor apart = relu(batch_norm(x, {}, {}, weight, {}, {.training = true}) + residual);
  CHECK(fused.is_contiguous(Format::channels_last));
  CHECK(largest_difference(fused, apart) < 1e-14);
  const auto a = grad({fused}, {x, residual, weight}, {.seeds = {seed}}),
             b = grad({apart}, {x, residual, weight}, {.seeds = {seed}});
  for (std::size_t i = 0; i < 3; ++i) CHECK(largest_difference(a[i], b[i]) < 1e-13);
}

TEST_CASE("batch_norm: in a dense block it reads the channels where they lie, and adds to their gradient there") {
  for (const std::int64_t channels : {1, 5, 24, 130})
    for (DType dtype : {DType::f32, DType::f64})
      for (bool relu : {false, true})
        for (bool forced : {false, true}) {
          CAPTURE(channels);
          CAPTURE(relu);
          CAPTURE(forced);
          std::optional<ForceReference> force;
          if (forced) force.emplace();
          // Two layers of growth 3, the first of them read twice; in one buffer, and with every channel copied.
          const auto block = [&](bool one_buffer) {
            Generator generator{5, 0};
            const Tensor x = random({3, channels, 6, 5}, dtype, generator, 1, 2);
            set_requires_grad(x);
            ConcatBuffer all(x, channels + 6);
            Tensor held = x;
            const auto norm = [&](const Tensor& t) {
              return batch_norm(one_buffer ? t : channels_last(t), {}, {}, {}, {}, {.training = true, .relu = relu});
            };
            const auto append = [&](const Tensor& y) { held = one_buffer ? all.append(y) : cat({held, y}, 1); };
            const auto three = [](const Tensor& t) {
              return narrow(t, 1, 0, 1) * ones({1, 3, 1, 1}, {.dtype = t.dtype()});
            };
            if (one_buffer) held = all.held();
            append(three(norm(held) * norm(held)));
            append(three(norm(held)));
            const Tensor y = norm(held);
            const Tensor seed = random(y.shape(), dtype, generator);
            return std::vector<Tensor>{y.detach(), grad({y}, {x}, {.seeds = {seed}})[0]};
          };
          const auto here = block(true), copied = block(false);
          for (std::size_t i = 0; i < here.size(); ++i)
            CHECK(largest_difference(here[i], copied[i]) < (dtype == DType::f32 ? 1e-5 : 1e-13));
        }
}

TEST_CASE("batch_norm: gradients, and gradients of gradients, agree with differences") {
  for (const Shape& shape : {Shape{3, 2, 2, 3}, Shape{5, 3}, Shape{4, 2, 1, 1}, Shape{1, 1, 3, 1}, Shape{0, 2, 3, 3}})
    for (int variant = 0; variant < 16; ++variant) {
      const bool training = variant & 1, relu = variant & 2, with_residual = variant & 4, affine = variant & 8;
      if (training && numel(shape) == 0) continue;  // no statistics
      CAPTURE(to_string(shape));
      CAPTURE(variant);
      Generator generator{11, 0};
      const std::int64_t c = shape[1];
      std::vector<Tensor> inputs{random(shape, DType::f64, generator)};
      if (with_residual) inputs.push_back(random(shape, DType::f64, generator));
      if (affine) {
        inputs.push_back(random({c}, DType::f64, generator, 1, 0.2));
        inputs.push_back(random({c}, DType::f64, generator));
      }
      const Tensor mean = random({c}, DType::f64, generator), var = ones({c}, {.dtype = DType::f64});
      const auto fn = [&](const std::vector<Tensor>& in) {
        const std::size_t after = with_residual ? 2 : 1;
        return batch_norm(in[0], mean.clone(), var.clone(), affine ? in[after] : Tensor(),
                          affine ? in[after + 1] : Tensor(), {.training = training, .relu = relu},
                          with_residual ? in[1] : Tensor());
      };
      check_gradients(fn, inputs, {}, {.relative = 1e-4, .absolute = 1e-6});
    }
}

TEST_CASE("batch_norm: any number of threads gives the same bits") {
  const int before = num_threads();
  for (const Shape& shape : {Shape{16, 16, 32, 32}, Shape{8, 100, 30, 31}, Shape{3000, 65}}) {
    set_num_threads(1);
    const Outcome one = run_all(shape, DType::f32, true, true, true);
    set_num_threads(2);
    const Outcome two = run_all(shape, DType::f32, true, true, true);
    for (std::size_t i = 0; i < one.tensors.size(); ++i) CHECK(largest_difference(one.tensors[i], two.tensors[i]) == 0);
  }
  set_num_threads(before);
}

TEST_CASE("batch_norm: an incoming gradient that somebody holds is left alone") {
  Generator generator{1, 0};
  const Tensor x = random({4, 3, 2, 2}, DType::f32, generator), seed = random({4, 3, 2, 2}, DType::f32, generator);
  const auto before = seed.to_vector<float>();
  set_requires_grad(x);
  backward(batch_norm(x, {}, {}, {}, {}, {.training = true, .relu = true}), seed);
  CHECK(seed.to_vector<float>() == before);
}

TEST_CASE("batch_norm: of a dense block's channels only the new ones are looked at, unless somebody wrote") {
  Generator generator{1, 0};
  const Tensor block = random({3, 30, 5, 4}, DType::f32, generator);
  const auto first = [&](std::int64_t channels) { return block.as_strided({3, channels, 5, 4}, block.strides(), 0); };
  const auto normalised = [](const Tensor& x) { return batch_norm(x, {}, {}, {}, {}, {.training = true}); };
  const auto check_fresh = [&](const Tensor& x) {  // against a copy, of which nothing is known
    const auto got = normalised(x).to_vector<double>(), want = normalised(x.clone()).to_vector<double>();
    for (std::size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-5));
  };
  for (const std::int64_t channels : {10, 14, 29, 14, 30}) check_fresh(first(channels));
  CHECK(block.storage().derived != nullptr);
  Tensor writable = block;
  writable.copy_(random({3, 30, 5, 4}, DType::f32, generator));
  for (const std::int64_t channels : {14, 30}) check_fresh(first(channels));
  // Channels from elsewhere in the block, and other rows.
  check_fresh(narrow(block, 1, 5, 14));
  check_fresh(narrow(block, 0, 0, 2));
  check_fresh(narrow(narrow(block, 0, 0, 2), 1, 0, 14));
}

TEST_CASE("batch_norm: an empty batch passes outside training") {
  const Tensor x = zeros({0, 3, 4, 4});
  set_requires_grad(x);
  const Tensor y = batch_norm(x, zeros({3}), ones({3}), ones({3}), zeros({3}), {.relu = true});
  CHECK(y.shape() == x.shape());
  backward(sum(y));
  CHECK(grad_of(x).shape() == x.shape());
  CHECK(batch_norm(zeros({2, 0, 3, 3}), zeros({0}), ones({0}), {}, {}, {.training = true}).numel() == 0);
}

TEST_CASE("batch_norm: on the meta device only the shape is known") {
  const Tensor x = zeros({2, 3, 4, 4}, {.device = kMeta}), c = zeros({3}, {.device = kMeta});
  CHECK(batch_norm(x, c, c, c, c, {.training = true}).shape() == x.shape());
}

TEST_CASE("batch_norm: says what does not fit") {
  const Tensor x = zeros({1, 3, 1, 1}), c = ones({3});
  CHECK_THROWS_WITH_AS(batch_norm(x, c, c, {}, {}, {.training = true}),
                       "batch_norm: training needs more than 1 value per channel, got 1\n  x  f32 [1, 3, 1, 1]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(batch_norm(x, c, c, ones({4})),
                       "batch_norm: weight is not [3], one value per channel of x\n  x       f32 [1, 3, 1, 1]  cpu\n"
                       "  weight  f32 [4]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(batch_norm(zeros({3}), c, c), "batch_norm: takes [N,C] or [N,C,H,W]\n  x  f32 [3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(batch_norm(x, c, c, {}, {}, {}, zeros({1, 3, 1, 2})),
                       "batch_norm: residual does not have x's shape\n  x         f32 [1, 3, 1, 1]  cpu\n"
                       "  residual  f32 [1, 3, 1, 2]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(batch_norm(x, {}, {}),
                       "batch_norm: outside training it needs running_mean and running_var\n  x  f32 [1, 3, 1, 1]  cpu",
                       ValueError);
  CHECK_THROWS_WITH_AS(batch_norm(x, c, {}), "batch_norm: of running_mean and running_var one is missing", ValueError);
  CHECK_THROWS_WITH_AS(batch_norm(x, c, c, {}, {}, {.eps = 0}), "batch_norm: eps 0 is not above 0", ValueError);
  CHECK_THROWS_WITH_AS(batch_norm(x, c, c, {}, {}, {.momentum = 2}), "batch_norm: momentum 2 is not in [0, 1]",
                       ValueError);
}

}  // namespace gradus
