// bf16 on cuda:0 against f32 on the CPU: every operator that a training step uses, forward and backward.
//
// Both sides read the same numbers: bf16 ones, which f32 holds exactly. So results differ by the rounding of what is
// stored in bf16 and by nothing else. One rounding is at most 2^-8 of a value: kOnce, for what one kernel computes in
// f32 and stores. A gradient that passes through two stored tensors, or that the engine adds up from two uses of an
// input, is rounded as often.

#include "tests/cuda/both.hpp"

#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/batch_norm/batch_norm_kernels.hpp"
#include "ops/cat/cat.hpp"
#include "ops/cat/cat_kernels.hpp"
#include "ops/cat/concat_buffer.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"
#include "ops/cross_entropy/cross_entropy_kernels.hpp"
#include "ops/dropout/dropout.hpp"
#include "ops/dropout/dropout_kernels.hpp"
#include "ops/index/index.hpp"
#include "ops/linear/linear.hpp"
#include "ops/local_response_norm/local_response_norm.hpp"
#include "ops/local_response_norm/local_response_norm_kernels.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/matmul/matmul_kernels.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"
#include "ops/max_unpool2d/max_unpool2d.hpp"
#include "ops/pad/pad.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/pointwise_kernels.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/reduce/reduce_kernels.hpp"
#include "ops/se_scale/se_scale.hpp"
#include "ops/se_scale/se_scale_kernels.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/softmax/softmax_kernels.hpp"
#include "ops/upsample/upsample.hpp"

namespace gradus {
namespace {

using test::Computation;
using test::Inputs;
using test::kCuda;
using test::Ladder;

constexpr double kOnce = 0x1p-8 * 1.01, kTwice = 2 * kOnce, kThrice = 3 * kOnce;

/// Uniform in [-1, 1), in bf16; activations channels-last.
Tensor values(const Shape& shape) {
  static Generator generator{9, 0};
  Tensor x = empty(shape, {.format = shape.size() == 4 ? Format::channels_last : Format::contiguous});
  uniform_(x, -1, 1, generator);
  return to(x, DType::bf16);
}
Tensor f32_values(const Shape& shape) { return to(values(shape), DType::f32); }

/// fn in bf16 on cuda:0, as it chooses and with every rung forced, against fn in f32 on the CPU. What is not bf16 among
/// the inputs stays as it is.
void check_bf16(const Inputs& inputs, const Computation& fn, double tolerance,
                const std::vector<Ladder>& ladders = {}) {
  Inputs wide;
  for (const Tensor& x : inputs) wide.push_back(x.defined() && x.dtype() == DType::bf16 ? to(x, DType::f32) : x);
  const auto expected = test::run_on(kCpu, wide, fn, true);
  test::check_same(test::run_on(kCuda, inputs, fn, true), expected, tolerance);
  for (const Ladder& ladder : ladders)
    for (const std::string& rung : ladder.rungs) {
      CAPTURE(ladder.kernel);
      CAPTURE(rung);
      const ForceKernel forced(ladder.kernel, rung);
      test::check_same(test::run_on(kCuda, inputs, fn, true), expected, tolerance);
    }
}

}  // namespace

TEST_CASE("bf16: pointwise, dense, strided and broadcast") {
  const auto one = [](auto op) { return [op](const auto& in) { return std::vector<Tensor>{op(in[0])}; }; };
  for (const Shape& shape : {Shape{1}, Shape{1027}, Shape{3, 5, 7, 9}}) {
    const Tensor x = values(shape), y = values(shape);
    const std::vector<Ladder> unary{cuda::unary(), cuda::unary_grad()};
    check_bf16({x}, one([](const Tensor& t) { return relu(t); }), kOnce, unary);
    check_bf16({x}, one([](const Tensor& t) { return leaky_relu(t, 0.1); }), kOnce, unary);
    check_bf16({x}, one([](const Tensor& t) { return affine(t, 3, -0.7); }), kOnce, unary);
    check_bf16({x}, one([](const Tensor& t) { return clamp(t, -0.5, 0.5); }), kOnce, unary);
    // Their gradients are computed from y, which has been rounded.
    check_bf16({x}, one([](const Tensor& t) { return sigmoid(t); }), kTwice, unary);
    check_bf16({x}, one([](const Tensor& t) { return tanh(t); }), kThrice, unary);
    check_bf16({x}, one([](const Tensor& t) { return exp(t); }), kTwice, unary);
    check_bf16({x, y}, [](const auto& in) { return std::vector<Tensor>{in[0] * in[1]}; }, kOnce, {cuda::binary()});
    check_bf16({x, y}, [](const auto& in) { return std::vector<Tensor>{maximum(in[0], in[1])}; }, kTwice,
               {cuda::binary()});
  }
  check_bf16(
      {values({4, 6, 5, 3}), values({6, 1, 1}), values({})},
      [](const auto& in) { return std::vector<Tensor>{in[0] * in[1] + in[2]}; }, kThrice);
  check_bf16(
      {values({4, 6, 5, 3}), values({4, 6, 3, 5})},
      [](const auto& in) {
        return std::vector<Tensor>{relu(slice(in[0], 3, 0, 3, 2)), transpose(in[0], 2, 3) - in[1]};
      },
      kTwice);
}

TEST_CASE("bf16: sums, means and extremes over any dims") {
  for (const Shape& shape : {Shape{3000}, Shape{3, 5, 7, 9}, Shape{2, 70, 9, 8}})
    for (const Dims& dims : {Dims{}, Dims{0}, Dims{-1}, Dims{0, 2, 3}}) {
      if (!dims.empty() && dims.back() >= shape.size()) continue;
      CAPTURE(to_string(shape));
      CAPTURE(to_string(dims));
      check_bf16({values(shape)}, [&](const auto& in) { return std::vector<Tensor>{sum(in[0], dims)}; }, kOnce,
                 {cuda::sum()});
      check_bf16(
          {values(shape)}, [&](const auto& in) { return std::vector<Tensor>{mean(in[0], dims)}; }, kTwice);
    }
  // Few values, many equal: the same elements are found, and share the gradient.
  const Tensor x = to(to(to(to(values({40, 50}), DType::f32) * 40, DType::i64), DType::f32), DType::bf16);
  check_bf16({x},
             [](const auto& in) {
               return std::vector<Tensor>{max(in[0], {1}), min(in[0], {0}), argmax(in[0]), argmin(in[0], 1)};
             },
             kThrice, {cuda::extreme()});
}

TEST_CASE("bf16: matmul and linear, transposed, batched and broadcast") {
  const auto product = [](const auto& in) { return std::vector<Tensor>{matmul(in[0], in[1])}; };
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{1, 1}, {1, 1}}, {{17, 33}, {33, 5}}, {{70, 20}, {20, 130}}, {{3, 9, 7}, {3, 7, 4}}})
    check_bf16({values(a), values(b)}, product, kOnce, {cuda::matmul()});
  check_bf16({values({2, 1, 5, 6}), values({3, 6, 8})}, product, kTwice, {cuda::matmul()});  // sums over the batch
  check_bf16({values({19, 40}), values({19, 23})},
             [](const auto& in) { return std::vector<Tensor>{matmul(transpose(in[0], 0, 1), in[1])}; }, kOnce,
             {cuda::matmul()});
  check_bf16({values({33, 65}), values({10, 65}), values({10})},
             [](const auto& in) { return std::vector<Tensor>{linear(in[0], in[1], in[2])}; }, kOnce, {cuda::matmul()});
}

TEST_CASE("bf16: conv2d, in all three directions") {
  struct Case {
    Shape x, w;
    Conv2dOptions options;
    bool bias;
  };
  const Case cases[] = {
      {{2, 3, 9, 8}, {16, 3, 3, 3}, {.padding = 1}, true},
      {{1, 17, 7, 5}, {20, 17, 3, 3}, {.stride = 2, .padding = 1}, false},
      {{2, 8, 6, 6}, {12, 8, 1, 1}, {}, true},
      {{2, 8, 7, 7}, {12, 8, 1, 1}, {.stride = 2}, false},
      {{1, 6, 11, 9}, {10, 6, 5, 3}, {.stride = {2, 3}, .padding = {2, 1}}, false},
      {{1, 8, 10, 10}, {8, 8, 3, 3}, {.padding = 2, .dilation = 2}, false},
      {{2, 12, 6, 5}, {12, 1, 3, 3}, {.padding = 1, .groups = 12}, false},
      {{1, 32, 5, 5}, {40, 16, 3, 3}, {.padding = 1, .groups = 2}, true},
  };
  for (const Case& c : cases) {
    CAPTURE(to_string(c.x));
    CAPTURE(to_string(c.w));
    const auto fn = [&](const auto& in) { return std::vector<Tensor>{conv2d(in[0], in[1], in[2], c.options)}; };
    check_bf16({values(c.x), values(c.w), c.bias ? values({c.w[0]}) : Tensor()}, fn, kOnce,
               {cuda::conv2d_forward(), cuda::conv2d_backward_input(), cuda::conv2d_backward_weight()});
  }
}

TEST_CASE("bf16: batch_norm keeps statistics, weight and bias in f32") {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{4, 36, 8, 9}, Shape{3, 70}})
    for (bool relu : {false, true})
      for (bool with_residual : {false, true})
        for (bool training : {false, true}) {
          CAPTURE(to_string(shape));
          CAPTURE(relu);
          CAPTURE(with_residual);
          CAPTURE(training);
          const std::int64_t c = shape[1];
          const Inputs inputs{values(shape), f32_values({c}), f32_values({c}), values(shape)};
          const auto fn = [&](const auto& in) {
            const TensorOptions like{.device = in[0].device()};
            const Tensor mean = full({c}, 0.1, like), var = full({c}, 1.5, like);
            return std::vector<Tensor>{batch_norm(in[0], mean, var, in[1], in[2], {.training = training, .relu = relu},
                                                  with_residual ? in[3] : Tensor())};
          };
          check_bf16(inputs, fn, kOnce, {cuda::batch_norm<bf16>(), cuda::batch_norm_backward<bf16>()});
          // The running statistics are of the same numbers, and nothing about them is rounded to bf16.
          const auto statistics = [&](const auto& in) {
            const TensorOptions like{.device = in[0].device()};
            const Tensor mean = full({c}, 0.1, like), var = full({c}, 1.5, like);
            batch_norm(in[0].detach(), mean, var, {}, {}, {.training = true});
            return std::vector<Tensor>{mean, var};
          };
          check_bf16({inputs[0]}, statistics, 1e-5);
        }
}

TEST_CASE("bf16: max pools pick the same elements; average, adaptive and global pools") {
  for (const Pool2dOptions& o : {Pool2dOptions{.kernel = 2}, Pool2dOptions{.kernel = 3, .stride = 2, .padding = 1},
                                 Pool2dOptions{.kernel = {2, 3}, .stride = 1, .dilation = 2}})
    check_bf16(
        {values({2, 5, 9, 8})},
        [&](const auto& in) {
          auto [y, indices] = max_pool2d_with_indices(in[0], o);
          return std::vector<Tensor>{y, indices};
        },
        kOnce);
  for (int kind = 0; kind < 4; ++kind)
    check_bf16(
        {values({2, 5, 9, 8})},
        [&](const auto& in) {
          return std::vector<Tensor>{kind == 0   ? avg_pool2d(in[0], {.kernel = 3, .stride = 2, .padding = 1})
                                     : kind == 1 ? adaptive_avg_pool2d(in[0], {4, 3})
                                     : kind == 2 ? adaptive_max_pool2d(in[0], {4, 3})
                                                 : global_avg_pool2d(in[0])};
        },
        kOnce);
  const Tensor index = to(from_data({3, 0, 8, 5, 1, 2, 7, 3}, {1, 2, 2, 2}), DType::i64);
  check_bf16(
      {values({1, 2, 2, 2})},
      [&](const auto& in) { return std::vector<Tensor>{max_unpool2d(in[0], to(index, in[0].device()), 3)}; }, kOnce);
}

TEST_CASE("bf16: local_response_norm, se_scale and interpolate") {
  check_bf16({values({2, 13, 4, 3})},
             [](const auto& in) {
               return std::vector<Tensor>{local_response_norm(in[0], {.size = 5, .alpha = 0.5, .beta = 0.75, .k = 2})};
             },
             kOnce, {cuda::local_response_norm<bf16>(false), cuda::local_response_norm<bf16>(true)});
  for (bool relu : {false, true})
    for (bool with_residual : {false, true})
      check_bf16({values({3, 37, 5, 6}), values({3, 37, 1, 1}), values({3, 37, 5, 6})},
                 [&](const auto& in) {
                   return std::vector<Tensor>{se_scale(in[0], in[1], {.relu = relu}, with_residual ? in[2] : Tensor())};
                 },
                 kOnce, {cuda::se_scale<bf16>(), cuda::se_scale_backward<bf16>()});
  check_bf16(
      {values({2, 5, 6, 7})},
      [](const auto& in) {
        return std::vector<Tensor>{interpolate(in[0], {.size = Pair(9, 4), .mode = Interpolation::bilinear})};
      },
      kOnce);
}

TEST_CASE("bf16: dropout draws the same mask; cat, dense blocks, pad and gather copy") {
  check_bf16({values({6, 5, 3, 7})},
             [](const auto& in) {
               Generator generator{77, 0};
               return std::vector<Tensor>{dropout(in[0], 0.3, true, generator)};
             },
             kOnce, {cuda::dropout<bf16>()});
  check_bf16(
      {values({6, 5, 3, 7})},
      [](const auto& in) {
        Generator generator{77, 0};
        return std::vector<Tensor>{drop_path(in[0], 0.5, true, generator)};
      },
      kOnce);
  for (const Shape& shape : {Shape{2, 8, 3, 4}, Shape{2, 3, 3, 4}})
    check_bf16({values(shape), values(shape)},
               [](const auto& in) {
                 return std::vector<Tensor>{cat({in[0], in[1]}, 1)};
               },
               0, {cuda::block_copy()});
  check_bf16(
      {values({2, 8, 3, 4}), values({2, 8, 3, 4})},
      [](const auto& in) {
        ConcatBuffer buffer(in[0], 16);
        return std::vector<Tensor>{relu(buffer.append(in[1]))};
      },
      0);
  check_bf16(
      {values({2, 3, 4, 5})},
      [](const auto& in) {
        return std::vector<Tensor>{pad(in[0], {1, 2, 0, 3}, 0.5)};
      },
      0);
  check_bf16(
      {values({4, 5})},
      [](const auto& in) {
        const Tensor rows = to(from_data({3, 1, 3}, {3}, {.dtype = DType::i64}), in[0].device());
        return std::vector<Tensor>{index_select(in[0], 0, rows)};
      },
      kOnce);
}

TEST_CASE("bf16: softmax in bf16; cross_entropy of bf16 logits in f32") {
  for (const Shape& shape : {Shape{9, 35}, Shape{2, 5, 3, 2}})
    for (std::int64_t dim : {1, 0}) {
      check_bf16({values(shape)}, [&](const auto& in) { return std::vector<Tensor>{softmax(in[0], dim)}; }, kTwice,
                 {cuda::softmax(), cuda::softmax_backward()});
      check_bf16({values(shape)}, [&](const auto& in) { return std::vector<Tensor>{log_softmax(in[0], dim)}; }, kTwice,
                 {cuda::softmax(), cuda::softmax_backward()});
    }
  const std::vector<Ladder> ladders{cuda::cross_entropy(), cuda::cross_entropy_backward()};
  for (double smoothing : {0.0, 0.1})
    for (Reduction reduction : {Reduction::mean, Reduction::none}) {
      const auto loss = [&](const auto& in) {
        const CrossEntropyOptions options{
            .label_smoothing = smoothing, .reduction = reduction, .weight = in[1].detach()};
        const Tensor labels = to(from_data({3, 1, 30, 0, 7, 34, 2, 2, 9}, {9}, {.dtype = DType::i64}), in[0].device());
        const Tensor y = cross_entropy(in[0], labels, options);
        CHECK(y.dtype() == DType::f32);
        return std::vector<Tensor>{y};
      };
      const Tensor logits = values({9, 35}), weight = f32_values({35}) + 1.5;
      check_bf16({logits, weight}, loss, kOnce, ladders);
      // The loss itself is not rounded at all.
      const NoGrad off;
      CHECK(test::difference(to(loss(Inputs{to(logits, kCuda), to(weight, kCuda)})[0], kCpu),
                             loss(Inputs{to(logits, DType::f32), weight})[0]) < 1e-5);
    }
}

TEST_CASE("bf16: gradients of gradients go through f32 where the operator keeps f32 statistics") {
  const auto second = [](Device device, DType dtype, const Tensor& x0) {
    const Tensor x = to(to(x0, dtype), device), w = ones({3}, {.device = device});
    set_requires_grad(x);
    const Tensor y = batch_norm(x, {}, {}, w, {}, {.training = true});
    const Tensor g = grad({sum(y * y * y)}, {x}, {.create_graph = true})[0];
    return to(to(grad({sum(g * g)}, {x})[0], DType::f32), kCpu);
  };
  const Tensor x = values({2, 3, 5, 4});
  CHECK(test::difference(second(kCuda, DType::bf16, x), second(kCpu, DType::f32, to(x, DType::f32))) < 0.05);
}

TEST_CASE("bf16: the CPU says that it does not compute in it; f16 is for storage everywhere") {
  const Tensor x = values({1, 1, 2, 2});
  const char* text = "on the CPU takes f32 or f64, got bf16, which CUDA devices compute in (convert with to())";
  CHECK_THROWS_WITH_AS(relu(x), fmt::format("relu: {}", text).c_str(), DTypeError);
  CHECK_THROWS_WITH_AS(conv2d(x, x), fmt::format("conv2d: {}", text).c_str(), DTypeError);
  CHECK_THROWS_WITH_AS(matmul(x, x), fmt::format("matmul: {}", text).c_str(), DTypeError);
  CHECK_THROWS_AS(relu(to(to(x, DType::f16), kCuda)), DTypeError);
  const Tensor y = to(x, kCuda), f32 = ones({1}, {.device = kCuda}), narrow = to(f32, DType::bf16);
  CHECK_THROWS_WITH_AS(batch_norm(y, {}, {}, narrow, {}, {.training = true}),
                       "batch_norm: beside x of bf16, weight is f32 (convert with to())\n"
                       "  x       bf16 [1, 1, 2, 2]  cuda:0\n"
                       "  weight  bf16 [1]  cuda:0",
                       DTypeError);
}

}  // namespace gradus
