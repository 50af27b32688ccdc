#include "ops/conv2d/conv2d.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "autograd/engine.hpp"
#include "autograd/node.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/channel_rows/gradient_sums.hpp"
#include "ops/channel_rows/moments.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/profile.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

struct Case {
  const char* name;
  Shape x;
  Shape weight;
  Conv2dOptions options;
};

const Case kCases[] = {
    {"3x3, same size", {2, 16, 8, 8}, {16, 16, 3, 3}, {.padding = 1}},
    {"3x3, odd sizes", {3, 5, 9, 7}, {6, 5, 3, 3}, {.padding = 1}},
    {"3x3 stride 2", {3, 16, 9, 7}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}},
    {"3x3 stride 2, even size", {2, 32, 8, 8}, {64, 32, 3, 3}, {.stride = 2, .padding = 1}},
    {"3x3 no padding", {2, 24, 6, 10}, {20, 24, 3, 3}, {}},
    {"first layer 3x3", {2, 3, 11, 13}, {16, 3, 3, 3}, {.padding = 1}},
    {"first layer 7x7 stride 2", {2, 3, 23, 19}, {20, 3, 7, 7}, {.stride = 2, .padding = 3}},
    {"first layer 11x11 stride 4", {1, 3, 35, 40}, {24, 3, 11, 11}, {.stride = 4, .padding = 2}},
    {"1x1", {2, 40, 5, 7}, {33, 40, 1, 1}, {}},
    {"1x1 deep", {1, 300, 7, 7}, {200, 300, 1, 1}, {}},
    {"1x1, panels cut at every end", {3, 70, 13, 11}, {131, 70, 1, 1}, {}},
    {"1x1 stride 2, panels", {2, 300, 15, 14}, {84, 300, 1, 1}, {.stride = 2}},
    {"3x3 of large weights", {1, 261, 6, 5}, {517, 261, 3, 3}, {.padding = 1}},
    {"3x3 of large weights, stride 2, dilation 2",
     {1, 256, 9, 8},
     {512, 256, 3, 3},
     {.stride = 2, .padding = 2, .dilation = 2}},
    {"1x1 stride 2", {2, 24, 6, 7}, {40, 24, 1, 1}, {.stride = 2}},
    {"1x1 with padding", {2, 8, 3, 3}, {8, 8, 1, 1}, {.padding = 1}},
    {"1x7 and its padding", {2, 12, 9, 9}, {10, 12, 1, 7}, {.padding = {0, 3}}},
    {"window of one column, two strides", {2, 17, 10, 4}, {33, 17, 3, 1}, {.stride = {2, 1}, .padding = {1, 0}}},
    {"stride above the window", {2, 8, 7, 7}, {8, 8, 2, 2}, {.stride = 3}},
    {"dilation 2", {2, 8, 12, 12}, {12, 8, 3, 3}, {.padding = 2, .dilation = 2}},
    {"dilation and stride", {2, 6, 12, 11}, {5, 6, 3, 3}, {.stride = 2, .padding = 2, .dilation = {2, 3}}},
    {"few channels dilated", {1, 3, 12, 12}, {8, 3, 3, 3}, {.padding = 2, .dilation = 2}},
    {"padding beyond the window", {1, 4, 3, 3}, {8, 4, 3, 3}, {.padding = 4}},
    {"2 groups", {2, 32, 9, 9}, {48, 16, 3, 3}, {.padding = 1, .groups = 2}},
    {"8 groups of 4", {2, 32, 7, 9}, {32, 4, 3, 3}, {.padding = 1, .groups = 8}},
    {"9 groups of 4, stride 2", {2, 36, 8, 9}, {36, 4, 3, 3}, {.stride = 2, .padding = 1, .groups = 9}},
    {"5 groups of 8, stride 2", {2, 40, 11, 37}, {40, 8, 3, 3}, {.stride = 2, .padding = 1, .groups = 5}},
    {"4 groups of 8", {2, 32, 6, 6}, {32, 8, 3, 3}, {.padding = 1, .groups = 4}},
    {"6 groups of 4, wide", {1, 24, 5, 31}, {24, 4, 3, 3}, {.padding = 1, .groups = 6}},
    {"4 groups of 4, stride 2, wide", {1, 16, 7, 33}, {16, 4, 3, 3}, {.stride = 2, .padding = 1, .groups = 4}},
    {"5 groups of 8, no padding", {1, 40, 6, 16}, {40, 8, 3, 3}, {.groups = 5}},
    {"4 groups of 8, padding 2", {1, 32, 4, 12}, {32, 8, 3, 3}, {.padding = 2, .groups = 4}},
    {"4 groups of 8, 3x2", {1, 32, 5, 9}, {32, 8, 3, 2}, {.padding = 1, .groups = 4}},
    {"3 groups of 16", {2, 48, 5, 14}, {48, 16, 3, 3}, {.padding = 1, .groups = 3}},
    {"2 groups of 16, stride 2", {1, 32, 9, 17}, {32, 16, 3, 3}, {.stride = 2, .padding = 1, .groups = 2}},
    {"2 groups of 16, narrow", {1, 32, 3, 3}, {32, 16, 3, 3}, {.padding = 1, .groups = 2}},
    {"3 groups, uneven channels", {1, 6, 8, 8}, {9, 2, 3, 3}, {.padding = 1, .groups = 3}},
    {"depthwise", {2, 24, 9, 8}, {24, 1, 3, 3}, {.padding = 1, .groups = 24}},
    {"depthwise 5x5 stride 2, 13 channels", {2, 13, 9, 8}, {13, 1, 5, 5}, {.stride = 2, .padding = 2, .groups = 13}},
    {"depthwise with two outputs per channel", {1, 10, 6, 6}, {20, 1, 3, 3}, {.padding = 1, .groups = 10}},
    {"1-sized everything", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {"one channel", {2, 1, 5, 5}, {1, 1, 3, 3}, {.padding = 1}},
    {"window as large as the input", {2, 20, 5, 4}, {30, 20, 5, 4}, {}},
    {"wide, several bands of rows", {1, 64, 40, 48}, {16, 64, 3, 3}, {.padding = 1}},
    {"deep, several stretches of depth", {1, 260, 5, 5}, {40, 260, 3, 3}, {.padding = 1}},
    {"many pixels, edges cut tiles", {5, 32, 17, 15}, {64, 32, 3, 3}, {.padding = 1}},
    {"many pixels, no padding", {6, 48, 18, 16}, {32, 48, 3, 3}, {}},
    {"many pixels, padding 2 and 0", {5, 32, 17, 16}, {48, 32, 3, 3}, {.padding = {2, 0}}},
    {"few outputs, wide rows", {2, 19, 5, 37}, {12, 19, 1, 3}, {.padding = {0, 1}}},
    {"few outputs, all of the padding", {2, 7, 4, 21}, {3, 7, 3, 3}, {.padding = 2}},
    {"few outputs, no padding, several bands", {2, 33, 40, 27}, {4, 33, 3, 3}, {}},
    {"few inputs, taller window", {1, 4, 12, 9}, {21, 4, 5, 3}, {.padding = {1, 1}}},
    {"five vectors of outputs", {2, 20, 9, 9}, {76, 20, 3, 3}, {.padding = 1}},
    {"empty batch", {0, 4, 4, 4}, {4, 4, 3, 3}, {.padding = 1}},
};

Tensor random(const Shape& shape, DType dtype, std::uint64_t seed, Format format = Format::channels_last) {
  Generator generator{seed, 0};
  Tensor x = empty(shape, {.dtype = dtype, .format = format});
  uniform_(x, -1, 1, generator);
  return x;
}

double largest(const Tensor& x) {
  double m = 0;
  for (double v : x.to_vector<double>()) m = std::max(m, std::isfinite(v) ? std::abs(v) : HUGE_VAL);
  return m;
}

/// Largest difference over the largest value.
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  double m = 0;
  for (std::size_t i = 0; i < u.size(); ++i) m = std::max(m, std::isfinite(u[i]) ? std::abs(u[i] - v[i]) : HUGE_VAL);
  return m / std::max(largest(b), 1e-30);
}

Shape output_shape(const Case& c) {
  const Conv2dOptions& o = c.options;
  return {c.x[0], c.weight[0], conv_output(c.x[2], c.weight[2], o.stride.h, o.padding.h, o.dilation.h),
          conv_output(c.x[3], c.weight[3], o.stride.w, o.padding.w, o.dilation.w)};
}

ConvShape conv_shape(const Case& c) {
  const Conv2dOptions& o = c.options;
  const Shape y = output_shape(c);
  return {c.x[0], c.x[1],     c.x[2],     c.x[3],      c.weight[0], c.weight[2],  c.weight[3],  y[2],
          y[3],   o.stride.h, o.stride.w, o.padding.h, o.padding.w, o.dilation.h, o.dilation.w, o.groups};
}

/// Runs fn under every candidate that supports the case and compares with the reference.
template <class Problem, class Fn>
void each_candidate(const Case& c, const Candidates<Problem>& list, DType dtype, Fn&& fn) {
  Tensor expected;
  {
    const ForceKernel force(list.kernel(), "reference");
    expected = fn();
  }
  Problem problem{};
  problem.shape = conv_shape(c);
  problem.dtype = dtype;
  Storage anywhere(0, kCpu);
  if constexpr (std::is_same_v<Problem, ConvForward>) problem.keep = grad_enabled() ? nullptr : &anywhere;
  for (const auto& candidate : list.all()) {
    if (!candidate.supports(problem)) continue;
    const std::string name = candidate.name, label = c.name;
    CAPTURE(label);
    CAPTURE(name);
    const ForceKernel force(list.kernel(), name);
    // Errors of a sum of n terms grow as the square root of n; the windows here have up to a few thousand. The
    // transforms of the larger Winograd tiles amplify them.
    const double bound = dtype == DType::f64 ? 1e-13 : name == "winograd_f4x4" ? 2e-5 : 4e-6;
    CHECK(difference(fn(), expected) < bound);
  }
}

}  // namespace

TEST_CASE("conv2d: every candidate agrees with the reference, forward and backward, in f32 and f64") {
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = random(c.x, dtype, 1), w = random(c.weight, dtype, 2), gy = random(output_shape(c), dtype, 3);
      const Tensor bias = random({c.weight[0]}, dtype, 4, Format::contiguous);
      each_candidate(c, cpu::conv2d_forward(), dtype, [&] { return conv2d(x, w, {}, c.options); });
      each_candidate(c, cpu::conv2d_forward(), dtype, [&] { return conv2d(x, w, bias, c.options); });
      each_candidate(c, cpu::conv2d_backward_input(), dtype, [&] { return conv2d_input_grad(gy, w, c.x, c.options); });
      each_candidate(c, cpu::conv2d_backward_weight(), dtype,
                     [&] { return conv2d_weight_grad(x, gy, c.weight, c.options); });
    }
}

TEST_CASE("conv2d: every candidate but lane_groups can add to the gradient that is there") {
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64}) {
      const Tensor w = random(c.weight, dtype, 2), gy = random(output_shape(c), dtype, 3),
                   before = random(c.x, dtype, 5);
      Tensor expected;
      {
        const ForceKernel force("conv2d.backward_input", "reference");
        expected = before + conv2d_input_grad(gy, w, c.x, c.options);
      }
      for (const auto& candidate : cpu::conv2d_backward_input().all()) {
        const std::string name = candidate.name, label = c.name;
        CAPTURE(label);
        CAPTURE(name);
        Tensor gx = before.clone();
        ConvBackwardInput p{conv_shape(c), dtype, gy.data_ptr(), w.data_ptr(), gx.data_ptr()};
        if (!candidate.supports(p)) continue;
        p.add = true;
        CHECK(candidate.supports(p) == (name != "lane_groups"));
        if (!candidate.supports(p)) continue;
        candidate.run(p);
        CHECK(difference(gx, expected) < (dtype == DType::f64 ? 1e-13 : name == "winograd_f4x4" ? 2e-5 : 4e-6));
      }
    }
}

TEST_CASE("conv2d: what reads a tensor beside a convolution gives it a gradient too, and nobody's memory is spoilt") {
  const Tensor x0 = random({2, 16, 9, 8}, DType::f32, 1);
  const Tensor w1 = random({16, 16, 1, 1}, DType::f32, 2), w3 = random({16, 16, 3, 3}, DType::f32, 3),
               grouped = random({16, 4, 3, 3}, DType::f32, 4);
  const Conv2dOptions same{.padding = 1}, groups{.padding = 1, .groups = 4};
  const Tensor gy = random(x0.shape(), DType::f32, 5), seed = gy.clone();
  const Tensor from_convs = conv2d_input_grad(gy, w1, x0.shape(), {}) + conv2d_input_grad(gy, w3, x0.shape(), same) +
                            conv2d_input_grad(gy, grouped, x0.shape(), groups);
  for (const Format format : {Format::channels_last, Format::contiguous})
    for (const bool create_graph : {false, true}) {
      CAPTURE(create_graph);
      const Tensor x = x0.clone();
      set_requires_grad(x);
      const Tensor h = x * 1.0;
      // Scaled, the tensor's first gradient is memory of its own; of the sum alone, it is gy.
      for (const double scale : {0.5, 1.0}) {
        CAPTURE(scale);
        const Tensor direct = scale == 1 ? h : contiguous(h, format) * scale;
        const Tensor y = direct + conv2d(h, w1, {}, {}) + conv2d(h, w3, {}, same) + conv2d(h, grouped, {}, groups);
        const Tensor g = grad({y}, {h}, {.seeds = {gy}, .retain_graph = true, .create_graph = create_graph}).front();
        CHECK(difference(g, from_convs + gy * scale) < 1e-6);
        CHECK(difference(gy, seed) == 0);
      }
    }
}

TEST_CASE("conv2d: every candidate finishes with the epilogue, its packed weights made or kept") {
  for (const Case& c : kCases)
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = random(c.x, dtype, 1), w = random(c.weight, dtype, 2),
                   residual = random(output_shape(c), dtype, 3);
      const auto per_channel = [&](std::uint64_t seed) {
        return random({c.weight[0]}, dtype, seed, Format::contiguous);
      };
      const Tensor bias = per_channel(4), scale = per_channel(5), shift = per_channel(6);
      const Conv2dEpilogue all{.scale = scale, .shift = shift, .residual = residual, .relu = true};
      const auto fn = [&] { return conv2d(x, w, bias, c.options, all); };
      each_candidate(c, cpu::conv2d_forward(), dtype, fn);
      each_candidate(c, cpu::conv2d_forward(), dtype, [&] { return conv2d(x, w, {}, c.options, {.relu = true}); });
      const NoGrad keeps;
      each_candidate(c, cpu::conv2d_forward(), dtype, fn);  // packs
      each_candidate(c, cpu::conv2d_forward(), dtype, fn);  // finds what is kept
      each_candidate(c, cpu::conv2d_forward(), dtype,
                     [&] { return conv2d(x, w, bias, c.options, {.residual = residual}); });
    }
}

TEST_CASE("conv2d: packed weights are kept while they are those of the weight, and no longer") {
  const ForceKernel force("conv2d.forward", "winograd_f2x2");  // one that packs, whatever is forced from outside
  const Tensor x = random({4, 64, 16, 16}, DType::f32, 1);
  const Tensor w = random({64, 64, 3, 3}, DType::f32, 2), other = random({64, 64, 3, 3}, DType::f32, 3);
  const Conv2dOptions o{.padding = 1};
  const auto fresh = [&](const Tensor& weight) { return conv2d(x, weight.clone(), {}, o).to_vector<float>(); };
  {
    const NoGrad off;
    const auto first = conv2d(x, w, {}, o).to_vector<float>();
    CHECK(w.storage().derived != nullptr);
    CHECK(first == fresh(w));
    CHECK(conv2d(x, w, {}, o).to_vector<float>() == first);
    // Written in place: packed again.
    Tensor writable = w;
    writable.copy_(other);
    CHECK(conv2d(x, w, {}, o).to_vector<float>() == fresh(other));
    // Two weights in one storage, each by itself.
    const Tensor both = random({128, 64, 3, 3}, DType::f32, 4);
    for (int again = 0; again < 2; ++again)
      for (const int half : {0, 1}) {
        const Tensor part = narrow(both, 0, half * 64, 64);
        CHECK(conv2d(x, part, {}, o).to_vector<float>() == fresh(part));
      }
    // A weight in another memory order is copied in each call; nothing is kept for the copy.
    const Tensor contiguous_weight = contiguous(other);
    CHECK(difference(conv2d(x, contiguous_weight, {}, o), conv2d(x, other, {}, o)) < 4e-6);
    CHECK(contiguous_weight.storage().derived == nullptr);
  }
  conv2d(x, w, {}, o);  // gradients are enabled: training goes on
  CHECK(w.storage().derived == nullptr);
}

TEST_CASE("conv2d: behind a batch norm the weight's gradient normalises as it packs, and makes nothing again") {
  struct Chain {
    std::int64_t channels, block, outputs;  // channels read, of a dense block of so many
    std::int64_t stride;
    bool relu;
  };
  for (const Chain& c : {Chain{40, 40, 33, 1, true}, Chain{13, 20, 24, 1, true}, Chain{100, 131, 96, 1, true},
                         Chain{96, 96, 100, 2, true}, Chain{30, 30, 20, 2, false}})
    for (const std::string candidate : {"packed", "direct", "im2col_gemm", "reference"}) {
      CAPTURE(c.channels);
      CAPTURE(candidate);
      const ForceKernel force("conv2d.backward_weight", candidate);
      const Tensor block = random({3, c.block, 9, 7}, DType::f32, 1);
      const Tensor x = block.as_strided({3, c.channels, 9, 7}, block.strides(), 0);
      const Tensor w = random({c.outputs, c.channels, 1, 1}, DType::f32, 2);
      for (const Tensor& leaf : {x, w}) set_requires_grad(leaf);
      const Conv2dOptions o{.stride = c.stride};
      const Tensor normal = batch_norm(x, {}, {}, {}, {}, {.training = true, .relu = c.relu});
      const Tensor y = conv2d(normal, w, {}, o), gy = random(y.shape(), DType::f32, 3);
      int again = 0;
      {
        const Profile profile;
        backward(y, gy);
        for (const KernelEvent& event : profile.events())
          again += event.kernel == std::string("batch_norm.rematerialise");
      }
      CHECK(again == (candidate == "packed" || candidate == "direct" ? 0 : 1));
      CHECK(difference(grad_of(w), conv2d_weight_grad(normal.detach(), gy, w.shape(), o)) < 1e-6);
    }
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

TEST_CASE("conv2d: known values, a cross-correlation with zero padding and a bias") {
  const Tensor x = from_data({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  const Tensor w = from_data({1, 2, 3, 4}, {1, 1, 2, 2});
  const Tensor b = from_data({100.0}, {1});
  CHECK(conv2d(x, w).to_vector<float>() == std::vector<float>{37, 47, 67, 77});
  CHECK(conv2d(x, w, b, {.stride = 2, .padding = 1}).to_vector<float>() == std::vector<float>{104, 118, 136, 177});
}

TEST_CASE("conv2d: NCHW operands and views give the same values as channels-last ones") {
  const Tensor x = random({2, 6, 7, 8}, DType::f32, 1), w = random({4, 6, 3, 3}, DType::f32, 2);
  const Tensor y = conv2d(x, w, {}, {.padding = 1});
  CHECK(y.is_contiguous(Format::channels_last));
  CHECK(difference(conv2d(contiguous(x), contiguous(w), {}, {.padding = 1}), y) == 0);
  const Tensor wide = random({2, 9, 8, 7}, DType::f32, 5);
  const Tensor view = narrow(transpose(wide, 2, 3), 1, 2, 6);
  CHECK(difference(conv2d(view, w), conv2d(channels_last(view), w)) == 0);
}

TEST_CASE("conv2d: the bits do not depend on the number of threads") {
  const Tensor x = random({5, 16, 20, 20}, DType::f32, 1), w = random({32, 16, 3, 3}, DType::f32, 2);
  const Tensor gy = random({5, 32, 20, 20}, DType::f32, 3);
  const Tensor wide = random({5, 96, 20, 20}, DType::f32, 4), w1 = random({128, 96, 1, 1}, DType::f32, 5);
  const int before = num_threads();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    results.push_back(conv2d_weight_grad(x, gy, w.shape(), {.padding = 1}).to_vector<float>());
    const Tensor y1 = conv2d(wide, w1);
    results.push_back(y1.to_vector<float>());
    results.push_back(conv2d_input_grad(y1, w1, wide.shape(), {}).to_vector<float>());
    results.push_back(conv2d_weight_grad(wide, y1, w1.shape(), {}).to_vector<float>());
  }
  set_num_threads(before);
  for (std::size_t i = 0; i < 4; ++i) CHECK(results[i] == results[4 + i]);
}

TEST_CASE("conv2d: NaN in x stays in the windows that see it") {
  Tensor x = random({1, 3, 6, 6}, DType::f32, 1);
  x.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();  // pixel (0, 0)
  const auto y = conv2d(x, random({20, 3, 3, 3}, DType::f32, 2), {}, {.padding = 1}).to_vector<float>();
  for (int k = 0; k < 20; ++k)
    for (int i = 0; i < 36; ++i) CHECK(std::isnan(y[static_cast<std::size_t>(k * 36 + i)]) == (i / 6 < 2 && i % 6 < 2));
}

TEST_CASE("conv2d: gradients and gradients of gradients agree with finite differences") {
  const Case cases[] = {
      {"padded", {2, 2, 4, 3}, {3, 2, 3, 3}, {.padding = 1}},
      {"stride 2", {1, 2, 5, 4}, {2, 2, 3, 2}, {.stride = {2, 1}, .padding = {1, 0}}},
      {"stride that leaves pixels out", {1, 2, 6, 6}, {2, 2, 1, 1}, {.stride = 2}},
      {"dilation", {1, 2, 5, 5}, {2, 2, 2, 2}, {.dilation = 2}},
      {"groups", {1, 4, 3, 3}, {4, 2, 2, 2}, {.padding = 1, .groups = 2}},
      {"depthwise", {1, 3, 3, 3}, {3, 1, 3, 3}, {.padding = 1, .groups = 3}},
      {"1-sized", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {"empty batch", {0, 2, 3, 3}, {2, 2, 3, 3}, {.padding = 1}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto fn = [&](const std::vector<Tensor>& in) { return conv2d(in[0], in[1], in[2], c.options); };
    check_gradients(fn, {random(c.x, DType::f64, 1), random(c.weight, DType::f64, 2),
                         random({c.weight[0]}, DType::f64, 3, Format::contiguous)});
  }
}

TEST_CASE("conv2d: an input that needs no gradient gets none, and nothing is saved for it") {
  Tensor x = random({1, 2, 4, 4}, DType::f32, 1), w = random({3, 2, 3, 3}, DType::f32, 2);
  set_requires_grad(w);
  const Tensor y = conv2d(x, w);
  CHECK(y.node()->saved_bytes() == x.bytes());
  backward(y, ones_like(y));
  CHECK(grad_of(w).shape() == w.shape());
}

TEST_CASE("conv2d: an epilogue is scale and shift of the channels, a residual and a ReLU, with their gradients") {
  const TensorOptions f64{.dtype = DType::f64};
  const Tensor x = randn({2, 3, 5, 4}, f64), w = randn({4, 3, 3, 3}, f64), b = randn({4}, f64);
  const Tensor scale = randn({4}, f64), shift = randn({4}, f64), residual = randn({2, 4, 5, 4}, f64);
  const Conv2dOptions o{.padding = 1};
  const Tensor y = conv2d(x, w, b, o, {.scale = scale, .shift = shift, .residual = residual, .relu = true});
  const auto plain = conv2d(x, w, b, o).to_vector<double>(), got = y.to_vector<double>();
  const auto r = residual.to_vector<double>(), a = scale.to_vector<double>(), d = shift.to_vector<double>();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t k = i / 20 % 4;
    CHECK(got[i] == doctest::Approx(std::max(plain[i] * a[k] + d[k] + r[i], 0.0)));
  }
  const auto fn = [&](const std::vector<Tensor>& in) {
    return conv2d(in[0], in[1], {}, o, {.scale = in[2], .shift = in[3], .residual = in[4]});
  };
  for (const Tensor& t : {x, w, scale, shift, residual}) set_requires_grad(t);
  CHECK_NOTHROW(gradcheck(fn, {x, w, scale, shift, residual}));
}

TEST_CASE("conv2d: on the meta device it has a shape and computes nothing") {
  const Tensor y = conv2d(empty({8, 3, 224, 224}, {.device = kMeta}), empty({64, 3, 7, 7}, {.device = kMeta}), {},
                          {.stride = 2, .padding = 3});
  CHECK(y.shape() == Shape{8, 64, 112, 112});
}

/// Bytes that fn() took beyond its result at its peak.
template <class Fn>
std::int64_t taken(Device device, Fn&& fn) {
  reset_peak_memory(device);
  const Tensor result = fn();
  const MemoryStats stats = memory_stats(device);
  return stats.peak - stats.current;
}

/// fn(x's device) under every candidate: on the meta device it counts what the CPU takes.
template <class Problem, class Fn>
void check_workspace(const Case& c, const Candidates<Problem>& list, DType dtype, int threads, Fn&& fn) {
  Problem problem{};
  problem.shape = conv_shape(c);
  problem.dtype = dtype;
  for (const auto& candidate : list.all()) {
    if (!candidate.supports(problem)) continue;
    const std::string name = std::string(list.kernel()) + ":" + candidate.name, label = c.name;
    CAPTURE(label);
    CAPTURE(name);
    CAPTURE(threads);
    const ForceKernel force(list.kernel(), candidate.name);
    const std::int64_t counted = taken(kMeta, [&] { return fn(kMeta); }), held = taken(kCpu, [&] { return fn(kCpu); });
    // Several blocks are rounded up to size classes, one by one; the count is one block. With more threads fewer tasks
    // than could may have met.
    const std::int64_t rounding = counted / 4 + 1024;
    CHECK(held <= counted + rounding);
    if (threads == 1) CHECK(held >= counted - rounding);
  }
}

TEST_CASE("conv2d: on the meta device it counts the workspace that each candidate takes on the CPU") {
  const int before = num_threads();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    for (const Case& c : kCases)
      for (const DType dtype : {DType::f32, DType::f64}) {
        const auto operand = [&](const Shape& shape, Device device) {
          return device == kMeta ? empty(shape, {.dtype = dtype, .device = kMeta, .format = Format::channels_last})
                                 : random(shape, dtype, 1);
        };
        const Tensor x = operand(c.x, kCpu), w = operand(c.weight, kCpu), gy = operand(output_shape(c), kCpu);
        const Tensor mx = operand(c.x, kMeta), mw = operand(c.weight, kMeta), mgy = operand(output_shape(c), kMeta);
        check_workspace(c, cpu::conv2d_forward(), dtype, threads, [&](Device device) {
          return device == kMeta ? conv2d(mx, mw, {}, c.options) : conv2d(x, w, {}, c.options);
        });
        check_workspace(c, cpu::conv2d_backward_input(), dtype, threads, [&](Device device) {
          return device == kMeta ? conv2d_input_grad(mgy, mw, c.x, c.options)
                                 : conv2d_input_grad(gy, w, c.x, c.options);
        });
        check_workspace(c, cpu::conv2d_backward_weight(), dtype, threads, [&](Device device) {
          return device == kMeta ? conv2d_weight_grad(mx, mgy, c.weight, c.options)
                                 : conv2d_weight_grad(x, gy, c.weight, c.options);
        });
      }
  }
  set_num_threads(before);
}

TEST_CASE("conv2d: its errors say the rule, what came, and the operands") {
  const Tensor x = zeros({8, 64, 32, 32}), w = zeros({16, 3, 3, 3});
  CHECK_THROWS_WITH_AS(conv2d(x, w, {}, {.padding = 1}),
                       "conv2d: weight reads 3 input channels, x has 64\n"
                       "  x       f32 [8, 64, 32, 32]  cpu\n"
                       "  weight  f32 [16, 3, 3, 3]  cpu     stride 1, padding 1, groups 1",
                       ShapeError);
  const auto message = [](auto&& fn) -> std::string {
    try {
      fn();
    } catch (const Error& e) {
      const std::string text = e.what();
      return text.substr(0, text.find('\n'));
    }
    return "no error";
  };
  const Tensor w64 = zeros({16, 64, 3, 3});
  CHECK(message([&] {
          conv2d(zeros({64, 32, 32}), w64);
        }) == "conv2d: x [N,C,H,W] and weight [K,C/groups,R,S] have 4 dimensions");
  CHECK(message([&] { conv2d(x, w64, {}, {.stride = {1, 0}}); }) == "conv2d: stride is at least 1, got 1x0");
  CHECK(message([&] { conv2d(x, w64, {}, {.padding = -1}); }) == "conv2d: padding is at least 0, got -1");
  CHECK(message([&] { conv2d(x, w64, {}, {.dilation = 0}); }) == "conv2d: dilation is at least 1, got 0");
  CHECK(message([&] { conv2d(x, w64, {}, {.groups = 0}); }) == "conv2d: groups is at least 1, got 0");
  CHECK(message([&] { conv2d(zeros({1, 0, 4, 4}), zeros({1, 0, 3, 3})); }) == "conv2d: x has no channels");
  CHECK(message([&] { conv2d(x, w64, {}, {.groups = 3}); }) == "conv2d: 64 input channels do not divide into 3 groups");
  CHECK(message([&] {
          conv2d(x, zeros({10, 16, 3, 3}), {}, {.groups = 4});
        }) == "conv2d: 10 output channels do not divide into 4 groups");
  CHECK(message([&] { conv2d(x, w64, {}, {.groups = 2}); }) ==
        "conv2d: weight reads 64 input channels per group, x has 32");
  CHECK(message([&] { conv2d(x, zeros({16, 64, 0, 3})); }) == "conv2d: the window is empty");
  CHECK(message([&] {
          conv2d(x, zeros({16, 64, 33, 3}));
        }) == "conv2d: the window, 33x3 with dilation, is larger than the padded input, 32x32");
  CHECK(message([&] { conv2d(x, w64, {}, {}, {.scale = zeros({16})}); }) == "conv2d: scale and shift come together");
  CHECK(message([&] { conv2d(x, w64, {}, {}, {.scale = zeros({16}), .shift = zeros({15})}); }) ==
        "conv2d: scale and shift are [16], one for each output channel");
  CHECK(message([&] { conv2d(x, w64, {}, {}, {.residual = x}); }) ==
        "conv2d: residual is [8, 16, 30, 30], the shape of the result");
  CHECK(message([&] { conv2d(x, w64, zeros({15})); }) == "conv2d: bias is [16], one for each output channel");
  CHECK_THROWS_AS(conv2d(x, zeros({16, 64, 3, 3}, {.dtype = DType::f64})), DTypeError);
  CHECK_THROWS_AS(conv2d(zeros({1, 1, 1, 1}, {.dtype = DType::i64}), zeros({1, 1, 1, 1}, {.dtype = DType::i64})),
                  DTypeError);
  CHECK_THROWS_AS(conv2d(x, empty({16, 64, 3, 3}, {.device = kMeta})), DeviceError);
  CHECK(message([&] {
          conv2d_input_grad(x, w64, {8, 64, 32, 32});
        }) == "conv2d.backward_input: gy is [8, 16, 30, 30], the shape of the result");
  CHECK(message([&] {
          conv2d_weight_grad(x, x, {16, 64, 3, 3});
        }) == "conv2d.backward_weight: gy is [8, 16, 30, 30], the shape of the result");
}

}  // namespace gradus
