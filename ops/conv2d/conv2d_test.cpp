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
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/profile.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/conv2d_cases.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {

using namespace convolutions;

namespace {
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
  const Tensor deep = random({2, 400, 9, 9}, DType::f32, 6);
  const int before = num_threads();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 8}) {
    set_num_threads(threads);
    results.push_back(conv2d_weight_grad(x, gy, w.shape(), {.padding = 1}).to_vector<float>());
    const Tensor y1 = conv2d(wide, w1);
    results.push_back(y1.to_vector<float>());
    results.push_back(conv2d_input_grad(y1, w1, wide.shape(), {}).to_vector<float>());
    results.push_back(conv2d_weight_grad(wide, y1, w1.shape(), {}).to_vector<float>());
    results.push_back(
        conv2d_weight_grad(deep, deep, {400, 400, 1, 1}, {}).to_vector<float>());  // more threads, more tasks
  }
  set_num_threads(before);
  for (std::size_t i = 0; i < 5; ++i) CHECK(results[i] == results[5 + i]);
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
