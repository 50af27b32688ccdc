// What a convolution does for the batch norm before or behind it: normalises as it reads, takes the sums of its
// gradient, the moments of its own result.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/engine.hpp"
#include "autograd/node.hpp"
#include "core/parallel.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/channel_rows/gradient_sums.hpp"
#include "ops/channel_rows/moments.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/profile.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/conv2d_cases.hpp"

namespace gradus {

using namespace convolutions;

TEST_CASE("conv2d: behind a batch norm the weight's gradient normalises as it packs, and makes nothing again") {
  struct Chain {
    std::int64_t channels, block, outputs;  // channels read, of a dense block of so many
    std::int64_t stride;
    bool relu;
    std::int64_t window = 1, groups = 1;
  };
  const auto check = [](const Chain& c, const std::string& candidate, bool normalises) {
    CAPTURE(c.channels);
    CAPTURE(c.window);
    CAPTURE(candidate);
    const ForceKernel force("conv2d.backward_weight", candidate);
    const Tensor block = random({3, c.block, 9, 7}, DType::f32, 1);
    const Tensor x = block.as_strided({3, c.channels, 9, 7}, block.strides(), 0);
    const Tensor w = random({c.outputs, c.channels / c.groups, c.window, c.window}, DType::f32, 2);
    for (const Tensor& leaf : {x, w}) set_requires_grad(leaf);
    const Conv2dOptions o{.stride = c.stride, .padding = c.window / 2, .groups = c.groups};
    // A shift above zero: on padding there are zeros nevertheless.
    const Tensor scale = random({c.channels}, DType::f32, 4, Format::contiguous), shift = full({c.channels}, 0.7);
    const Tensor normal = batch_norm(x, scale, shift, {}, {}, {.training = true, .relu = c.relu});
    const Tensor y = conv2d(normal, w, {}, o), gy = random(y.shape(), DType::f32, 3);
    int again = 0;
    {
      const Profile profile;
      backward(y, gy);
      for (const KernelEvent& event : profile.events())
        again += event.kernel == std::string("batch_norm.rematerialise");
    }
    CHECK(again == (normalises ? 0 : 1));
    CHECK(difference(grad_of(w), conv2d_weight_grad(normal.detach(), gy, w.shape(), o)) < 1e-6);
  };
  for (const Chain& c : {Chain{40, 40, 33, 1, true}, Chain{13, 20, 24, 1, true}, Chain{100, 131, 96, 1, true},
                         Chain{96, 96, 100, 2, true}, Chain{30, 30, 20, 2, false}}) {
    for (const char* candidate : {"packed", "direct"}) check(c, candidate, true);
    for (const char* candidate : {"im2col_gemm", "reference"}) check(c, candidate, false);
  }
  for (const Chain& c : {Chain{48, 48, 12, 1, true, 3}, Chain{13, 20, 40, 1, false, 3}, Chain{24, 24, 70, 2, true, 3},
                         Chain{66, 66, 130, 1, true, 3}, Chain{40, 45, 40, 1, true, 3, 5}})
    check(c, "direct", true);
  check({66, 66, 130, 1, true, 3}, "packed", false);  // has zeros for padding
  check({5, 5, 12, 1, true, 3}, "direct", false);     // of few channels whole windows are copied
  for (const Chain& c :
       {Chain{40, 40, 40, 1, true, 3, 5}, Chain{40, 53, 40, 2, true, 3, 10}, Chain{24, 24, 24, 1, false, 3, 24}})
    check(c, "lane_groups", true);
}

TEST_CASE("conv2d: of a deferred batch norm, the values and gradients of one in memory") {
  struct Chain {
    Shape x;
    std::int64_t block, outputs;  // channels of the dense block that x is the first channels of
    bool relu, bias;
  };
  const ForceKernel force("conv2d.forward", "direct");
  for (const Chain& c : {Chain{{3, 40, 9, 7}, 40, 33, true, false}, Chain{{2, 13, 5, 8}, 20, 24, true, true},
                         Chain{{2, 100, 30, 31}, 131, 96, true, false}, Chain{{40, 24, 2, 3}, 60, 48, false, false},
                         Chain{{5, 1, 1, 3}, 2, 1, true, true}, Chain{{70, 300, 1, 1}, 300, 130, true, false}})
    for (const bool training : {true, false}) {
      CAPTURE(to_string(c.x));
      CAPTURE(training);
      const Tensor block = random({c.x[0], c.block, c.x[2], c.x[3]}, DType::f32, 1);
      const Tensor w = random({c.outputs, c.x[1], 1, 1}, DType::f32, 2);
      const auto per_channel = [&](std::int64_t channels, std::uint64_t seed) {
        return random({channels}, DType::f32, seed, Format::contiguous);
      };
      const Tensor gamma = per_channel(c.x[1], 3), beta = per_channel(c.x[1], 4), mean = per_channel(c.x[1], 5);
      const Tensor var = square(per_channel(c.x[1], 6)) + 0.5;
      const Tensor bias = c.bias ? per_channel(c.outputs, 7) : Tensor();
      const BatchNormOptions o{.training = training, .relu = c.relu};
      // y, and the gradients of everything; the running statistics at the end.
      const auto results = [&](bool deferred) {
        const Tensor x = block.clone().as_strided(c.x, block.strides(), 0);
        const Tensor own_mean = mean.clone(), own_var = var.clone();
        std::vector<Tensor> leaves{x, w.clone(), gamma.clone(), beta.clone()};
        if (bias.defined()) leaves.push_back(bias.clone());
        for (const Tensor& leaf : leaves) set_requires_grad(leaf);
        const Tensor b = bias.defined() ? leaves[4] : Tensor();
        Tensor y;
        if (deferred) {
          REQUIRE(conv2d_reads_affine(x, w, {}));
          const auto normal = batch_norm_deferred(x, own_mean, own_var, leaves[2], leaves[3], o);
          CHECK(normal.y.shape() == x.shape());
          y = conv2d(normal.y, normal.from, leaves[1], b, {});
        } else {
          y = conv2d(batch_norm(x, own_mean, own_var, leaves[2], leaves[3], o), leaves[1], b, {});
        }
        backward(y, random(y.shape(), DType::f32, 8));
        std::vector<Tensor> all{y.detach()};
        for (const Tensor& leaf : leaves) all.push_back(grad_of(leaf));
        all.push_back(own_mean), all.push_back(own_var);
        return all;
      };
      const auto in_memory = results(false), by_reader = results(true);
      for (std::size_t i = 0; i < in_memory.size(); ++i) {
        CAPTURE(i);
        CHECK(difference(by_reader[i], in_memory[i]) < 1e-6);
      }
    }
}

TEST_CASE("conv2d: the sums of a gradient for the batch norm before it") {
  struct Chain {
    Shape x;
    std::int64_t pixel, outputs, kernel;  // pixel: floats from one pixel of x to the next
    bool relu, taken;
  };
  const ForceKernel force("conv2d.backward_input", "direct");
  for (const Chain& c : {Chain{{30, 40, 9, 7}, 40, 33, 1, true, true}, Chain{{20, 13, 5, 8}, 20, 24, 3, false, true},
                         Chain{{70, 100, 6, 5}, 131, 96, 1, true, true}, Chain{{64, 3, 1, 2}, 3, 5, 1, true, true},
                         Chain{{1, 300, 2, 2}, 300, 8, 1, true, false}}) {
    CAPTURE(to_string(c.x));
    const std::int64_t channels = c.x[1], rows = c.x[0] * c.x[2] * c.x[3];
    const auto size = static_cast<std::size_t>(channels);
    const Tensor x = random({1, c.pixel, rows, 1}, DType::f32, 1);
    const Tensor w = random({c.outputs, channels, c.kernel, c.kernel}, DType::f32, 2);
    const Tensor gy = random({c.x[0], c.outputs, c.x[2], c.x[3]}, DType::f32, 3), gx = random(c.x, DType::f32, 4);
    const Tensor scale = random({channels}, DType::f32, 5, Format::contiguous),
                 shift = random({channels}, DType::f32, 6, Format::contiguous),
                 mean = random({channels}, DType::f32, 7, Format::contiguous);
    std::vector<double> sum_g(size), sum_gx(size), expected_g(size), expected_gx(size);
    ConvGradientSums sums{x.data<float>(),    c.pixel, scale.data<float>(), shift.data<float>(),
                          mean.data<float>(), c.relu,  sum_g.data(),        sum_gx.data()};
    ConvShape shape{c.x[0], channels, c.x[2], c.x[3], c.outputs, c.kernel, c.kernel, c.x[2], c.x[3]};
    shape.padding_h = shape.padding_w = c.kernel / 2;
    ConvBackwardInput p{shape, DType::f32, gy.data_ptr(), w.data_ptr(), gx.data_ptr(), &sums};
    const int threads = num_threads();
    set_num_threads(3);
    cpu::conv2d_backward_input().run(p);
    CHECK(sums.taken == c.taken);  // not of one image of four pixels, whose tasks are blocks of channels
    const std::vector<double> of_three = sum_gx;
    set_num_threads(threads);
    if (!sums.taken) continue;
    const auto *g = gx.data<float>(), *in = x.data<float>();
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::size_t k = 0; k < size; ++k) {
        const auto at = static_cast<std::int64_t>(k);
        const float value = in[i * c.pixel + at];
        if (c.relu && std::fma(value, scale.data<float>()[k], shift.data<float>()[k]) <= 0) continue;
        const double own = g[i * channels + at];
        expected_g[k] += own;
        expected_gx[k] += own * (static_cast<double>(value) - static_cast<double>(mean.data<float>()[k]));
      }
    for (std::size_t k = 0; k < size; ++k) {
      CHECK(sum_g[k] == doctest::Approx(expected_g[k]).epsilon(1e-4).scale(static_cast<double>(rows)));
      CHECK(sum_gx[k] == doctest::Approx(expected_gx[k]).epsilon(1e-4).scale(static_cast<double>(rows)));
    }
    cpu::conv2d_backward_input().run(p);
    CHECK(sum_gx == of_three);  // the same bits, whatever the number of threads
  }
}

TEST_CASE("conv2d: a batch norm's gradients, whether or not the convolution after it took their sums") {
  const ForceKernel force("conv2d.backward_input", "direct");
  const Tensor x0 = random({40, 24, 7, 5}, DType::f32, 1), w0 = random({20, 24, 1, 1}, DType::f32, 2);
  const Tensor gamma0 = random({24}, DType::f32, 3, Format::contiguous),
               beta0 = random({24}, DType::f32, 4, Format::contiguous);
  for (const bool relu : {true, false})
    for (const bool read_twice : {false, true}) {
      CAPTURE(relu);
      CAPTURE(read_twice);
      // `between` passes the gradient on in a tensor of its own: the sums do not come along.
      const auto gradients = [&](bool between) {
        const std::vector<Tensor> leaves{x0.clone(), w0.clone(), gamma0.clone(), beta0.clone()};
        for (const Tensor& leaf : leaves) set_requires_grad(leaf);
        const Tensor normal = batch_norm(leaves[0], {}, {}, leaves[2], leaves[3], {.training = true, .relu = relu});
        Tensor y = conv2d(between ? normal * 1.0 : normal, leaves[1], {}, {});
        if (read_twice)
          y = y + conv2d(normal, leaves[1], {}, {}) * 0.5;  // the gradients are added: sums of one are stale
        backward(y, random(y.shape(), DType::f32, 5));
        std::vector<Tensor> all;
        for (const Tensor& leaf : leaves) all.push_back(grad_of(leaf));
        return all;
      };
      const auto with_sums = gradients(false), without = gradients(true);
      for (std::size_t i = 0; i < without.size(); ++i) {
        CAPTURE(i);
        CHECK(difference(with_sums[i], without[i]) < 1e-6);
      }
    }
}

TEST_CASE("gradient_sums: of this gradient, as it was, for this batch norm") {
  Tensor g = random({2, 4, 3, 3}, DType::f32, 1);
  const Tensor scale = random({4}, DType::f32, 2, Format::contiguous);
  CHECK(gradient_sums(g, scale) == nullptr);
  const auto sums = std::make_shared<GradientSums>();
  sums->version = g.storage().version, sums->first = g.data_ptr(), sums->scale = scale;
  g.storage().derived = sums;
  CHECK(gradient_sums(g, scale) == sums);
  CHECK(gradient_sums(g, scale.clone()) == nullptr);
  g.fill_(1);
  CHECK(gradient_sums(g, scale) == nullptr);
}

TEST_CASE("conv2d: the moments of the result, taken on the way") {
  std::vector<Case> cases(std::begin(kCases), std::end(kCases));
  // Of so many images that every kernel has tasks of whole pixels; one has more than a part of each.
  cases.push_back({"1x1 of many images", {20, 40, 9, 7}, {70, 40, 1, 1}, {}});
  cases.push_back({"1x1 of large weights", {20, 300, 5, 7}, {520, 300, 1, 1}, {}});
  cases.push_back({"3x3 of many images", {20, 32, 11, 9}, {48, 32, 3, 3}, {.padding = 1}});
  cases.push_back({"few outputs of many images", {20, 5, 11, 19}, {13, 5, 3, 3}, {.padding = 1}});
  cases.push_back({"groups of many images", {20, 24, 7, 17}, {24, 4, 3, 3}, {.padding = 1, .groups = 6}});
  cases.push_back({"first layer of many images", {20, 3, 21, 23}, {20, 3, 7, 7}, {.stride = 2, .padding = 3}});
  std::vector<std::string> took;
  for (const Case& c : cases) {
    const std::string label = c.name;
    CAPTURE(label);
    const ConvShape shape = conv_shape(c);
    // A bias that puts the means far from 0: a variance about 0 would have no digits left.
    const Tensor x = random(c.x, DType::f32, 1), w = random(c.weight, DType::f32, 2),
                 y = empty(output_shape(c), {.format = Format::channels_last});
    const Tensor bias = random({shape.K}, DType::f32, 3, Format::contiguous) * 1000;
    const std::int64_t rows = shape.N * shape.P * shape.Q, K = shape.K;
    for (const auto& candidate : cpu::conv2d_forward().all()) {
      const std::string name = candidate.name;
      CAPTURE(name);
      Moments moments, of_three;
      ConvForward p{shape, DType::f32, x.data_ptr(), w.data_ptr(), bias.data_ptr(), y.data_ptr()};
      p.moments = &moments;
      if (!candidate.supports(p)) continue;
      candidate.run(p);
      if (moments.count == 0) continue;
      took.push_back(name);
      REQUIRE(moments.count == rows);
      const auto* values = y.data<float>();
      for (std::int64_t k = 0; k < K; ++k) {
        double mean = 0, m2 = 0;
        for (std::int64_t i = 0; i < rows; ++i)
          mean += static_cast<double>(values[i * K + k]) / static_cast<double>(rows);
        for (std::int64_t i = 0; i < rows; ++i)
          m2 += (static_cast<double>(values[i * K + k]) - mean) * (static_cast<double>(values[i * K + k]) - mean);
        CHECK(std::abs(moments.mean[static_cast<std::size_t>(k)] - mean) <=
              5e-6 * std::sqrt(m2 / static_cast<double>(rows)) + 1e-10);
        CHECK(moments.m2[static_cast<std::size_t>(k)] == doctest::Approx(m2).epsilon(1e-5).scale(1e-3));
      }
      const int threads = num_threads();
      set_num_threads(threads + 2);
      p.moments = &of_three;
      candidate.run(p);
      set_num_threads(threads);
      CHECK(of_three.mean == moments.mean);  // the same bits, whatever the number of threads
      CHECK(of_three.m2 == moments.m2);
    }
  }
  for (const std::string name : {"direct", "packed", "lane_groups", "narrow", "winograd_f2x2", "winograd_f4x4"}) {
    CAPTURE(name);
    CHECK(std::count(took.begin(), took.end(), name) > 0);
  }
}

TEST_CASE("conv2d: a batch norm finds the moments of its input, as long as they are that") {
  const Tensor x = random({20, 24, 9, 7}, DType::f32, 1), w = random({40, 24, 1, 1}, DType::f32, 2);
  const auto normal = [](const Tensor& y) { return batch_norm(y, {}, {}, {}, {}, {.training = true}); };
  const ForceKernel force("conv2d.forward", "direct");
  const Tensor plain = conv2d(x, w, {}, {}), with = conv2d(x, w, {}, {.moments = true});
  CHECK(difference(with, plain) == 0);
  CHECK(kept_moments(plain, 20 * 63, 40) == nullptr);
  const auto kept = kept_moments(with, 20 * 63, 40);
  REQUIRE(kept != nullptr);
  CHECK(difference(normal(with), normal(plain)) < 1e-6);
  // It reads them, not its input, unless a kernel was asked for by name.
  const bool asked = !forced_candidate("batch_norm.stats").empty();
  kept->moments.mean[3] += 1;
  CHECK((difference(normal(with), normal(plain)) > 0.1) == !asked);
  {
    const ForceKernel rows("batch_norm.stats", "rows");
    CHECK(difference(normal(with), normal(plain)) == 0);
  }
  Tensor written = with;
  written.copy_(plain * 2.0);
  CHECK(kept_moments(with, 20 * 63, 40) == nullptr);
  CHECK(difference(normal(with), normal(plain * 2.0)) == 0);
}

TEST_CASE("conv2d: which convolutions read a deferred batch norm") {
  const Tensor x = random({2, 24, 6, 6}, DType::f32, 1), w = random({16, 24, 1, 1}, DType::f32, 2);
  {
    const ForceKernel force("conv2d.forward", "direct");
    CHECK(conv2d_reads_affine(x, w, {}));
    CHECK(!conv2d_reads_affine(x, w, {.stride = 2}));
    CHECK(!conv2d_reads_affine(x, w, {.padding = 1}));
    CHECK(!conv2d_reads_affine(x, random({16, 24, 3, 3}, DType::f32, 2), {}));
    CHECK(!conv2d_reads_affine(x, random({16, 12, 1, 1}, DType::f32, 2), {.groups = 2}));
    CHECK(!conv2d_reads_affine(to(x, DType::f64), to(w, DType::f64), {}));
  }
  for (const char* other : {"im2col_gemm", "reference"}) {
    const ForceKernel force("conv2d.forward", other);
    CHECK(!conv2d_reads_affine(x, w, {}));
  }
}

}  // namespace gradus
