// Every rung of every ladder on cuda:0 against the CPU, on sizes that fill no tile.

#include "tests/cuda/both.hpp"

#include "cuda/runtime.hpp"
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

using test::check_both;
using test::kCuda;

/// Uniform in [-1, 1); activations channels-last.
Tensor values(const Shape& shape, DType dtype = DType::f32) {
  static Generator generator{3, 0};
  Tensor x = empty(shape, {.dtype = dtype, .format = shape.size() == 4 ? Format::channels_last : Format::contiguous});
  uniform_(x, -1, 1, generator);
  return x;
}
/// Integers in [0, n).
Tensor whole_numbers(const Shape& shape, std::int64_t n) {
  Tensor x = empty(shape, {.dtype = DType::i64});
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<std::int64_t>()[i] = i * 7919 % n;
  return x;
}
double tolerance(DType dtype) { return dtype == DType::f32 ? 2e-6 : 1e-13; }

}  // namespace

TEST_CASE("pointwise: every rung agrees with the CPU, dense, strided and broadcast") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{1}, Shape{1027}, Shape{3, 5, 7, 9}}) {
      const Tensor x = values(shape, dtype), y = values(shape, dtype);
      check_both({x, y},
                 [](const auto& in) {
                   return std::vector<Tensor>{in[0] * in[1] + sigmoid(in[0]), relu(in[1]), in[0] * 3 - 1, tanh(in[0])};
                 },
                 tolerance(dtype), {cuda::unary(), cuda::unary_grad(), cuda::binary()});
    }
  const auto broadcast = [](const auto& in) {
    return std::vector<Tensor>{in[0] * in[1] + in[2], sigmoid(slice(in[0], 3, 0, 3, 2)),
                               transpose(in[0], 2, 3) - in[2]};
  };
  check_both({values({4, 6, 5, 3}), values({6, 1, 1}), values({})}, broadcast, 4e-6);
}

TEST_CASE("reduce: every rung agrees with the CPU over any dims") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{3000}, Shape{3, 5, 7, 9}, Shape{2, 70, 9, 8}, Shape{1, 1, 40, 41}})
      for (const Dims& dims : {Dims{}, Dims{0}, Dims{-1}, Dims{0, 2, 3}, Dims{2, 3}}) {
        if (!dims.empty() && dims.back() >= shape.size()) continue;
        CAPTURE(to_string(shape));
        CAPTURE(to_string(dims));
        const auto sums = [&](const auto& in) {
          return std::vector<Tensor>{sum(in[0], dims), var(in[0], dims, {.unbiased = false})};
        };
        const auto extremes = [&](const auto& in) { return std::vector<Tensor>{max(in[0], dims), min(in[0], dims)}; };
        check_both({values(shape, dtype)}, sums, tolerance(dtype), {cuda::sum()});
        check_both({values(shape, dtype)}, extremes, tolerance(dtype), {cuda::extreme()});
      }
  const auto first = [](const auto& in) {
    return std::vector<Tensor>{argmax(in[0]), argmin(in[0], 1), argmax(in[0], 0)};
  };
  check_both({to(to(values({40, 50}) * 4, DType::i64), DType::f32)}, first, 0, {cuda::extreme()});  // many are equal
}

TEST_CASE("matmul: every rung agrees with the CPU, transposed, batched and broadcast") {
  const auto product = [](const auto& in) { return std::vector<Tensor>{matmul(in[0], in[1])}; };
  for (DType dtype : {DType::f32, DType::f64})
    for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{1, 1}, {1, 1}},
                                                                   {{17, 33}, {33, 5}},
                                                                   {{70, 20}, {20, 130}},
                                                                   {{3, 9, 7}, {3, 7, 4}},
                                                                   {{2, 1, 5, 6}, {3, 6, 8}}})
      check_both({values(a, dtype), values(b, dtype)}, product, tolerance(dtype), {cuda::matmul()});
  const auto transposed = [](const auto& in) {
    return std::vector<Tensor>{matmul(transpose(in[0], 0, 1), in[1]), matmul(in[1], transpose(in[2], 0, 1))};
  };
  check_both({values({19, 40}), values({19, 23}), values({31, 23})}, transposed, 2e-6, {cuda::matmul()});
}

TEST_CASE("matmul: tensor cores are within the rounding of TF32, and taken only where that is allowed") {
  const Tensor a = values({70, 90}), b = values({90, 50});
  const auto product = [](const auto& in) { return std::vector<Tensor>{matmul(in[0], in[1])}; };
  const auto expected = test::run_on(kCpu, {a, b}, product);
  const ForceKernel forced("matmul", "tensor");
  test::check_same(test::run_on(kCuda, {a, b}, product), expected, 2e-6);  // passed over
  cuda::allow_tf32(true);
  const auto got = test::run_on(kCuda, {a, b}, product);
  cuda::allow_tf32(false);
  test::check_same(got, expected, 2e-3);
  CHECK(test::difference(got[0], expected[0]) > 1e-6);
}

TEST_CASE("linear: every rung agrees with the CPU") {
  const auto fn = [](const auto& in) { return std::vector<Tensor>{linear(in[0], in[1], in[2])}; };
  for (DType dtype : {DType::f32, DType::f64})
    check_both({values({33, 65}, dtype), values({10, 65}, dtype), values({10}, dtype)}, fn, tolerance(dtype),
               {cuda::matmul()});
}

TEST_CASE("conv2d: every rung agrees with the CPU, in all three directions") {
  struct Case {
    Shape x, w;
    Conv2dOptions options;
    bool bias;
  };
  const Case cases[] = {
      {{2, 3, 9, 8}, {16, 3, 3, 3}, {.padding = 1}, true},
      {{1, 17, 7, 5}, {70, 17, 3, 3}, {.stride = 2, .padding = 1}, false},
      {{2, 8, 6, 6}, {12, 8, 1, 1}, {}, true},
      {{2, 8, 7, 7}, {12, 8, 1, 1}, {.stride = 2}, false},
      {{1, 6, 11, 9}, {10, 6, 5, 3}, {.stride = {2, 3}, .padding = {2, 1}}, false},
      {{1, 8, 10, 10}, {8, 8, 3, 3}, {.padding = 2, .dilation = 2}, false},
      {{2, 12, 6, 5}, {12, 1, 3, 3}, {.padding = 1, .groups = 12}, false},
      {{1, 32, 5, 5}, {40, 16, 3, 3}, {.padding = 1, .groups = 2}, true},
      {{3, 16, 20, 20}, {16, 16, 3, 3}, {.padding = 1}, false},  // backward weight in parts
  };
  const auto exact = [](test::Ladder ladder) {  // tests/cuda/convolution_cuda.cpp has the other
    std::erase(ladder.rungs, "pipeline_3xtf32");
    return ladder;
  };
  for (const Case& c : cases)
    for (DType dtype : {DType::f32, DType::f64}) {
      CAPTURE(to_string(c.x));
      CAPTURE(to_string(c.w));
      const auto fn = [&](const auto& in) { return std::vector<Tensor>{conv2d(in[0], in[1], in[2], c.options)}; };
      check_both(
          {values(c.x, dtype), values(c.w, dtype), c.bias ? values({c.w[0]}, dtype) : Tensor()}, fn,
          dtype == DType::f32 ? 5e-6 : 1e-13,
          {exact(cuda::conv2d_forward()), exact(cuda::conv2d_backward_input()), exact(cuda::conv2d_backward_weight())});
    }
  // Tensor cores, within the rounding of TF32.
  cuda::allow_tf32(true);
  for (const Case& c : {cases[0], cases[1], cases[4], cases[7], cases[8]}) {
    const Tensor x = values(c.x), w = values(c.w);
    const auto fn = [&](const auto& in) { return std::vector<Tensor>{conv2d(in[0], in[1], {}, c.options)}; };
    test::check_same(test::run_on(kCuda, {x, w}, fn), test::run_on(kCpu, {x, w}, fn), 3e-3);
  }
  cuda::allow_tf32(false);
}

TEST_CASE("batch_norm: every rung agrees with the CPU, with ReLU, residual and statistics that follow") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{4, 36, 16, 17}, Shape{3, 70}, Shape{2, 8, 1, 2}})
      for (bool relu : {false, true})
        for (bool with_residual : {false, true})
          for (bool training : {false, true}) {
            if (dtype == DType::f64 && (relu != with_residual)) continue;
            CAPTURE(to_string(shape));
            CAPTURE(relu);
            CAPTURE(with_residual);
            CAPTURE(training);
            const auto fn = [&](const auto& in) {
              const Tensor mean = in[4].detach().clone(), var = in[5].detach().clone();
              const Tensor y = batch_norm(in[0], mean, var, in[1], in[2], {.training = training, .relu = relu},
                                          with_residual ? in[3] : Tensor());
              return std::vector<Tensor>{y, mean, var};
            };
            const std::int64_t c = shape[1];
            check_both({values(shape, dtype), values({c}, dtype), values({c}, dtype), values(shape, dtype),
                        values({c}, dtype), values({c}, dtype) + 1.5},
                       fn, dtype == DType::f32 ? 1e-5 : 1e-11,
                       {cuda::batch_norm<float>(), cuda::batch_norm_backward<float>()});
          }
}

TEST_CASE("max_pool2d: windows that overlap, are dilated or hang over the edge agree with the CPU") {
  for (const Pool2dOptions& o : {Pool2dOptions{.kernel = 2}, Pool2dOptions{.kernel = 3, .stride = 2, .padding = 1},
                                 Pool2dOptions{.kernel = 3, .stride = 2, .ceil_mode = true},
                                 Pool2dOptions{.kernel = {2, 3}, .stride = 1, .dilation = 2}}) {
    const auto fn = [&](const auto& in) {
      auto [y, indices] = max_pool2d_with_indices(in[0], o);
      return std::vector<Tensor>{y, indices};
    };
    check_both({values({2, 5, 9, 8})}, fn, 1e-6);
  }
}

TEST_CASE("avg_pool2d: sliding, adaptive and global windows agree with the CPU") {
  const auto fn = [](const auto& in) {
    return std::vector<Tensor>{avg_pool2d(in[0], {.kernel = 3, .stride = 2, .padding = 1}),
                               adaptive_avg_pool2d(in[0], {4, 3}), global_avg_pool2d(in[0])};
  };
  for (DType dtype : {DType::f32, DType::f64}) check_both({values({2, 5, 9, 8}, dtype)}, fn, tolerance(dtype));
}

TEST_CASE("max_unpool2d: puts and fetches as the CPU does; repeated indices too; one outside is refused") {
  const auto fn = [](const auto& in) {
    return std::vector<Tensor>{max_unpool2d(in[0],
                                            whole_numbers({2, 3, 4, 5}, 70).device() == in[0].device()
                                                ? whole_numbers({2, 3, 4, 5}, 70)
                                                : to(whole_numbers({2, 3, 4, 5}, 70), in[0].device()),
                                            {9, 8})};
  };
  check_both({values({2, 3, 4, 5})}, fn, 1e-6);
  CHECK_THROWS_WITH_AS(max_unpool2d(zeros({1, 1, 1, 1}, {.device = kCuda}),
                                    full({1, 1, 1, 1}, 4, {.dtype = DType::i64, .device = kCuda}), 2),
                       "max_unpool2d: index 4 is outside a plane of 2 x 2", ValueError);
}

TEST_CASE("softmax: every rung agrees with the CPU, along any dim") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const auto& [shape, dim] : std::vector<std::pair<Shape, int>>{
             {{5, 10}, 1}, {{3, 1000}, 1}, {{2, 1030}, 1}, {{4, 7, 3, 5}, 1}, {{6, 4}, 0}, {{3, 1}, 1}}) {
      const auto fn = [d = dim](const auto& in) {
        return std::vector<Tensor>{softmax(in[0] * 5, d), log_softmax(in[0] * 5, d)};
      };
      check_both({values(shape, dtype)}, fn, dtype == DType::f32 ? 4e-6 : 1e-13,
                 {cuda::softmax(), cuda::softmax_backward()});
    }
}

TEST_CASE("cross_entropy: every rung agrees with the CPU, with smoothing, weights, ignored and soft labels") {
  for (DType dtype : {DType::f32, DType::f64})
    for (double smoothing : {0.0, 0.1})
      for (Reduction reduction : {Reduction::mean, Reduction::none}) {
        const auto fn = [&](const auto& in) {
          const Device at = in[0].device();
          const CrossEntropyOptions plain{.label_smoothing = smoothing, .reduction = reduction};
          CrossEntropyOptions weighted = plain;
          weighted.weight = affine(in[1].detach(), 0.25, 1);
          weighted.ignore_index = 3;
          const Tensor labels = to(whole_numbers({9}, 35), at), map = to(whole_numbers({2, 3, 2}, 5), at);
          return std::vector<Tensor>{cross_entropy(in[0] * 4, labels, plain), cross_entropy(in[0], labels, weighted),
                                     cross_entropy(in[2], map, plain),
                                     cross_entropy(in[0], softmax(in[0].detach(), 1), plain)};
        };
        check_both({values({9, 35}, dtype), values({35}, dtype), values({2, 5, 3, 2}, dtype)}, fn,
                   dtype == DType::f32 ? 4e-6 : 1e-13, {cuda::cross_entropy(), cuda::cross_entropy_backward()});
      }
  CHECK_THROWS_AS(cross_entropy(zeros({1, 3}, {.device = kCuda}), full({1}, 3, {.dtype = DType::i64, .device = kCuda})),
                  ValueError);
}

TEST_CASE("dropout: draws the CPU's mask, by elements and by samples") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const auto fn = [](const auto& in) {
      Generator generator{77, 0};
      return std::vector<Tensor>{dropout(in[0], 0.3, true, generator), drop_path(in[0], 0.5, true, generator)};
    };
    const std::vector<test::Ladder> ladder =
        dtype == DType::f32 ? std::vector<test::Ladder>{cuda::dropout<float>()} : std::vector<test::Ladder>{};
    check_both({values({6, 5, 3, 7}, dtype)}, fn, 1e-7, ladder);
  }
}

TEST_CASE("cat: copies blocks of any dtype as the CPU does; dense blocks grow in place") {
  for (const Shape& shape : {Shape{2, 8, 3, 4}, Shape{2, 3, 3, 4}, Shape{5}})
    for (int dim = 0; dim < shape.size(); ++dim) {
      const auto fn = [&](const auto& in) { return std::vector<Tensor>{cat({in[0], in[1], in[0]}, dim)}; };
      check_both({values(shape), values(shape)}, fn, 0, {cuda::block_copy()});
    }
  const auto grown = [](const auto& in) {
    ConcatBuffer buffer(in[0], 24);
    return std::vector<Tensor>{relu(buffer.append(in[1])), buffer.append(sigmoid(in[1]))};
  };
  check_both({values({2, 8, 3, 4}), values({2, 8, 3, 4})}, grown, 1e-6);
}

TEST_CASE("pad: borders of any dim agree with the CPU") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const auto fn = [](const auto& in) {
      return std::vector<Tensor>{pad(in[0], {1, 2, 0, 3}, 0.5), pad(in[0], {0, 0, 0, 0, 2, 1})};
    };
    check_both({values({2, 3, 4, 5}, dtype)}, fn, 0);
  }
}

TEST_CASE("index: gather, scatter_add with repeated indices and index_select agree with the CPU") {
  const auto fn = [](const auto& in) {
    const Tensor index = to(whole_numbers({4, 6, 3}, 5), in[0].device());
    const Tensor rows = to(whole_numbers({7}, 4), in[0].device());
    return std::vector<Tensor>{gather(in[0], 1, index), scatter_add({4, 5, 3}, 1, index, in[1]),
                               index_select(in[0], 0, rows)};
  };
  check_both({values({4, 5, 3}), values({4, 6, 3})}, fn, 1e-6);
}

TEST_CASE("se_scale: every rung agrees with the CPU, with ReLU and residual") {
  for (DType dtype : {DType::f32, DType::f64})
    for (bool relu : {false, true})
      for (bool with_residual : {false, true}) {
        const auto fn = [&](const auto& in) {
          return std::vector<Tensor>{se_scale(in[0], in[1], {.relu = relu}, with_residual ? in[2] : Tensor())};
        };
        check_both({values({3, 37, 5, 6}, dtype), values({3, 37, 1, 1}, dtype), values({3, 37, 5, 6}, dtype)}, fn,
                   tolerance(dtype), {cuda::se_scale<float>(), cuda::se_scale_backward<float>()});
      }
}

TEST_CASE("local_response_norm: every rung agrees with the CPU") {
  for (DType dtype : {DType::f32, DType::f64})
    for (std::int64_t size : {5, 4, 40}) {
      const auto fn = [&](const auto& in) {
        return std::vector<Tensor>{local_response_norm(in[0], {.size = size, .alpha = 0.5, .beta = 0.75, .k = 2})};
      };
      check_both({values({2, 13, 4, 3}, dtype)}, fn, dtype == DType::f32 ? 5e-6 : 1e-12,
                 {cuda::local_response_norm<float>(false), cuda::local_response_norm<float>(true)});
    }
}

TEST_CASE("interpolate: nearest and bilinear agree with the CPU") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const auto fn = [](const auto& in) {
      return std::vector<Tensor>{
          interpolate(in[0], {.size = Pair(9, 4), .mode = Interpolation::bilinear}),
          interpolate(in[0], {.size = Pair(2, 13), .mode = Interpolation::bilinear, .align_corners = true}),
          interpolate(in[0], {.size = Pair(11, 3)})};
    };
    check_both({values({2, 5, 6, 7}, dtype)}, fn, tolerance(dtype));
    check_both({contiguous(values({2, 5, 6, 7}, dtype))}, fn, tolerance(dtype));
  }
}

}  // namespace gradus
