// The rungs of conv2d and matmul that have requirements: each against the CPU on problems that fill no tile, in f32,
// TF32 and bf16, in all three directions, with groups, strides, padding and dilation. As kernels: on problems, not
// tensors, so that a rung that would be passed over cannot go unnoticed.

#include "tests/cuda/both.hpp"

#include "autograd/node.hpp"
#include "cuda/kernel_scope.hpp"
#include "cuda/runtime.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/matmul/matmul_kernels.hpp"

namespace gradus {
namespace {

using test::kCuda;

const std::string kNoLayer;

/// Values in [-1, 1), rounded to what `dtype` holds; f32, on the CPU.
Tensor values(std::int64_t n, DType dtype, std::uint64_t seed) {
  Generator generator{seed, 0};
  Tensor x = empty({n});
  uniform_(x, -1, 1, generator);
  return dtype == DType::bf16 ? to(to(x, DType::bf16), DType::f32) : x;
}

/// One convolution on the CPU in f64 and by rungs of cuda:0.
class Convolution {
 public:
  Convolution(ConvShape c, DType dtype, bool bias = false) : c_(c), dtype_(dtype) {
    c_.P = conv_output(c_.H, c_.R, c_.stride_h, c_.padding_h, c_.dilation_h);
    c_.Q = conv_output(c_.W, c_.S, c_.stride_w, c_.padding_w, c_.dilation_w);
    x_ = values(c_.x_size(), dtype, 1), w_ = values(c_.w_size(), dtype, 2), gy_ = values(c_.y_size(), dtype, 3);
    if (bias) bias_ = values(c_.K, dtype, 4);
    y_ = empty({c_.y_size()}, {.dtype = DType::f64}), gx_ = empty({c_.x_size()}, {.dtype = DType::f64});
    gw_ = empty({c_.w_size()}, {.dtype = DType::f64});
    const Tensor x = to(x_, DType::f64), w = to(w_, DType::f64), gy = to(gy_, DType::f64);
    const Tensor b = bias ? to(bias_, DType::f64) : Tensor();
    cpu::conv2d_forward().run(
        {c_, DType::f64, x.data_ptr(), w.data_ptr(), bias ? b.data_ptr() : nullptr, y_.data_ptr()});
    cpu::conv2d_backward_input().run({c_, DType::f64, gy.data_ptr(), w.data_ptr(), gx_.data_ptr()});
    cpu::conv2d_backward_weight().run({c_, DType::f64, x.data_ptr(), gy.data_ptr(), gw_.data_ptr()});
  }

  /// This rung's results are within `tolerance` of the CPU's, and the same bits twice. It must take the problem.
  /// `directions`: "f", "i" and "w" for forward, backward input and backward weight.
  void check(const std::string& rung, double tolerance, const std::string& directions = "fiw") const {
    CAPTURE(rung);
    CAPTURE(dtype_name(dtype_));
    const std::string shape = fmt::format("{}x{}x{}x{} * {}x{}x{}, stride {} {}, padding {} {}, dilation {}, groups {}",
                                          c_.N, c_.C, c_.H, c_.W, c_.K, c_.R, c_.S, c_.stride_h, c_.stride_w,
                                          c_.padding_h, c_.padding_w, c_.dilation_h, c_.groups);
    CAPTURE(shape);
    const Tensor x = there(x_), w = there(w_), gy = there(gy_), bias = bias_.defined() ? there(bias_) : bias_;
    const auto wanted = [&](char direction) { return directions.find(direction) != std::string::npos; };
    if (wanted('f'))
      compare(y_, tolerance, [&](void* y) {
        const ConvForward p{c_, dtype_, x.data_ptr(), w.data_ptr(), bias.defined() ? bias.data_ptr() : nullptr, y};
        return run(cuda::conv2d_forward(), rung, p);
      });
    if (wanted('i'))
      compare(gx_, tolerance, [&](void* gx) {
        return run(cuda::conv2d_backward_input(), rung, ConvBackwardInput{c_, dtype_, gy.data_ptr(), w.data_ptr(), gx});
      });
    if (wanted('w'))
      compare(gw_, tolerance, [&](void* gw) {
        return run(cuda::conv2d_backward_weight(), rung,
                   ConvBackwardWeight{c_, dtype_, x.data_ptr(), gy.data_ptr(), gw});
      });
  }

  /// The same for forward with an epilogue: relu(scale y + shift + residual).
  void check_epilogue(const std::string& rung, double tolerance) const {
    CAPTURE(rung);
    CAPTURE(dtype_name(dtype_));
    const Tensor scale = values(c_.K, DType::f32, 5), shift = values(c_.K, DType::f32, 6);
    const Tensor residual = values(c_.y_size(), dtype_, 7);
    const Tensor expected = y_.clone();
    for (std::int64_t i = 0; i < expected.numel(); ++i) {
      double& v = expected.data<double>()[i];
      v = v * static_cast<double>(scale.data<float>()[i % c_.K]) + static_cast<double>(shift.data<float>()[i % c_.K]) +
          static_cast<double>(residual.data<float>()[i]);
      v = std::max(v, 0.0);
    }
    const Tensor x = there(x_), w = there(w_), bias = bias_.defined() ? there(bias_) : bias_;
    const Tensor a = to(scale, kCuda), b = to(shift, kCuda), r = there(residual);
    compare(expected, tolerance, [&](void* y) {
      ConvForward p{c_, dtype_, x.data_ptr(), w.data_ptr(), bias.defined() ? bias.data_ptr() : nullptr, y};
      p.epilogue = {a.data_ptr(), b.data_ptr(), r.data_ptr(), true};
      return run(cuda::conv2d_forward(), rung, p);
    });
  }

 private:
  Tensor there(const Tensor& x) const { return to(to(x, dtype_), kCuda); }

  template <class Problem>
  static bool run(const Candidates<Problem>& kernel, const std::string& rung, const Problem& problem) {
    const cuda::KernelScope scope(kernel.kernel(), kNoLayer, kCuda.index);
    CAPTURE(kernel.kernel());
    const Candidate<Problem>& candidate = kernel.named(rung);
    CHECK(candidate.supports(problem));
    if (!candidate.supports(problem)) return false;
    candidate.run(problem);
    return true;
  }

  template <class Fn>
  void compare(const Tensor& expected, double tolerance, Fn&& fn) const {
    const Tensor once = empty(expected.shape(), {.dtype = dtype_, .device = kCuda});
    const Tensor again = empty(expected.shape(), {.dtype = dtype_, .device = kCuda});
    if (!fn(once.data_ptr()) || !fn(again.data_ptr())) return;
    CHECK(test::difference(to(to(once, kCpu), DType::f32), to(expected, DType::f32)) <= tolerance);
    CHECK(to(to(once, kCpu), DType::f32).to_vector<float>() == to(to(again, kCpu), DType::f32).to_vector<float>());
  }

  ConvShape c_;
  DType dtype_;
  Tensor x_, w_, gy_, bias_, y_, gx_, gw_;
};

/// The largest error of rounding a result to bf16, and of TF32's products in sums of some hundred.
constexpr double kBf16 = 5e-3, kTf32 = 3e-3;

/// Products in TF32 are allowed while it lives.
struct AllowTf32 {
  AllowTf32() { cuda::allow_tf32(true); }
  ~AllowTf32() { cuda::allow_tf32(false); }
};

// clang-format off
//                             N   C   H   W   K  R  S  P  Q  stride  padding dilation groups
const ConvShape kVectors[] = {{2,  8,  9,  7, 16, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    1},
                              {1, 16,  8, 11, 24, 3, 3, 0, 0, 2, 2,   1, 1,   1, 1,    1},
                              {2, 40,  7,  5, 72, 1, 1, 0, 0, 2, 2,   0, 0,   1, 1,    1},   // classes without a tap
                              {1,  8, 13, 12,  8, 5, 3, 0, 0, 2, 3,   2, 1,   1, 1,    1},
                              {1, 16, 10,  9, 16, 3, 3, 0, 0, 2, 1,   2, 3,   2, 2,    1},   // dilated and strided
                              {1, 32,  6,  6, 48, 3, 3, 0, 0, 1, 1,   0, 2,   1, 2,    2},
                              {2, 16,  1,  3,  8, 3, 3, 0, 0, 2, 2,   1, 1,   1, 1,    1},   // fewer rows than strides
                              {3, 72, 12, 12, 80, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    1},   // several tiles each way
                              {6,  8, 15, 16,  8, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    1}};  // two parts of the depth
// Enough blocks for the pipeline's tiles of 128x128.
const ConvShape kLargeForward{1,  8,182,182,72, 1, 1, 0, 0};
const ConvShape kLargeInput  {1, 72,182,182, 8, 1, 1, 0, 0};
const ConvShape kLargeWeight {1,2056, 4, 2,2056,1, 1, 0, 0};
const ConvShape kGroups[] =  {{2, 12,  7,  9, 12, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,   12},   // depthwise
                              {1,140,  5,  6,140, 3, 3, 0, 0, 2, 2,   1, 1,   1, 1,  140},
                              {2, 16,  8,  7, 16, 5, 5, 0, 0, 1, 2,   2, 2,   1, 2,   16},
                              {2, 16,  6,  7, 16, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    4},   // ResNeXt
                              {1,160,  7,  6,160, 3, 3, 0, 0, 2, 2,   1, 1,   1, 1,   40},
                              {1, 24,  5,  9, 16, 3, 1, 0, 0, 1, 3,   0, 1,   2, 1,    2},   // 12 inputs, 8 outputs
                              {1, 48,  6,  5, 48, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    3},   // 16
                              {3,  8, 17, 16,  8, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    2}};  // parts of the pixels
const ConvShape kWinograd[] = {{1, 32, 17, 19, 40, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    1},
                               {2, 33, 12, 13, 32, 3, 3, 0, 0, 1, 1,   0, 2,   1, 1,    1},
                               {5, 32, 64, 32, 32, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    1}};  // parts of the tiles
const ConvShape kOdd[] =     {{2,  3,  9,  8, 16, 3, 3, 0, 0, 1, 1,   1, 1,   1, 1,    1},
                              {1, 11,  7,  5, 13, 3, 3, 0, 0, 2, 2,   1, 1,   1, 1,    1},
                              {1, 12,  5,  7, 10, 2, 3, 0, 0, 3, 2,   1, 2,   2, 1,    1}};
// clang-format on

}  // namespace

TEST_CASE("conv2d_rungs: the plain rungs take bf16 of every shape") {
  for (const ConvShape& c : kOdd)
    for (const char* rung : {"naive", "direct"}) Convolution(c, DType::bf16, true).check(rung, kBf16);
  const ConvShape depthwise{2, 6, 5, 4, 12, 3, 3, 0, 0, 2, 1, 1, 1, 1, 1, 6};
  for (const char* rung : {"naive", "direct"}) Convolution(depthwise, DType::bf16, true).check(rung, kBf16);
}

TEST_CASE("conv2d_rungs: implicit_gemm and tensor take channels that fill no vector") {
  const AllowTf32 allowed;
  ConvShape c = kOdd[1];
  Convolution(c, DType::bf16, true).check("implicit_gemm", kBf16);
  Convolution(c, DType::bf16, true).check("tensor", kBf16);
  Convolution(c, DType::f32, true).check("implicit_gemm", 5e-6);
  Convolution(c, DType::f64, true).check("implicit_gemm", 1e-6);
  Convolution(c, DType::f32, true).check("tensor", kTf32);
  for (const ConvShape& v : kVectors) Convolution(v, DType::f32).check("implicit_gemm", 5e-6);
}

TEST_CASE("conv2d_rungs: the pipeline in bf16") {
  for (const ConvShape& c : kVectors) Convolution(c, DType::bf16, c.groups == 1).check("pipeline", kBf16);
}

TEST_CASE("conv2d_rungs: the pipeline in TF32") {
  const AllowTf32 allowed;
  for (const ConvShape& c : kVectors) Convolution(c, DType::f32, c.groups == 1).check("pipeline", kTf32);
}

TEST_CASE("conv2d_tiles: the pipeline's large tiles") {
  Convolution(kLargeForward, DType::bf16, true).check("pipeline", kBf16, "f");
  Convolution(kLargeWeight, DType::bf16).check("pipeline", kBf16, "w");
  const AllowTf32 allowed;
  Convolution(kLargeInput, DType::f32).check("pipeline", kTf32, "i");
}

TEST_CASE("conv2d_rungs: f32 as three products of TF32 is nearly as good as f32, and never chosen by itself") {
  for (const ConvShape& c : {kVectors[0], kVectors[1], kVectors[5], kVectors[8]})
    Convolution(c, DType::f32, c.groups == 1).check("pipeline_3xtf32", 1e-5);  // tensor cores truncate
  ConvShape narrow = kVectors[0];
  narrow.C = narrow.K = 4;
  const ConvBackwardInput p{narrow, DType::f32, nullptr, nullptr, nullptr};
  CHECK(cuda::conv2d_backward_input().named("pipeline_3xtf32").supports(p));
  CHECK(std::string(cuda::conv2d_backward_input().choose(p).name) == "direct");
}

TEST_CASE("conv2d_rungs: narrow groups and depthwise, in f32 and bf16") {
  for (const ConvShape& c : kGroups) {
    Convolution(c, DType::f32, true).check("groups", 5e-6);
    if (c.group_depth() <= 8) Convolution(c, DType::bf16, true).check("groups", kBf16);
  }
}

TEST_CASE("conv2d_rungs: Winograd's tiles in f32, and how much more they round") {
  for (const ConvShape& c : kWinograd) {
    Convolution(c, DType::f32, true).check("winograd_f2x2", 5e-6);
    Convolution(c, DType::f32, true).check("winograd_f4x4", 3e-5);
  }
}

TEST_CASE("conv2d_rungs: every rung finishes with scale, shift, residual and ReLU") {
  for (const char* rung : {"naive", "direct", "groups"})
    for (const DType dtype : {DType::f32, DType::bf16})
      Convolution(kGroups[3], dtype, true).check_epilogue(rung, dtype == DType::f32 ? 5e-6 : kBf16);
  Convolution(kVectors[5], DType::f32, true).check_epilogue("implicit_gemm", 5e-6);
  Convolution(kVectors[0], DType::bf16, true).check_epilogue("pipeline", kBf16);
  Convolution(kVectors[5], DType::bf16, true).check_epilogue("pipeline", kBf16);
  Convolution(kOdd[0], DType::bf16, true).check_epilogue("tensor", kBf16);
  Convolution(kWinograd[0], DType::f32, true).check_epilogue("winograd_f4x4", 3e-5);
  const ConvShape pointwise{2, 10, 7, 6, 12, 1, 1, 0, 0};
  Convolution(pointwise, DType::f32, true).check_epilogue("gemm_1x1", 5e-6);
  Convolution(pointwise, DType::bf16, true).check_epilogue("gemm_1x1", 2 * kBf16);  // rounded between the passes
}

TEST_CASE(
    "conv2d_rungs: the operator's epilogue is the CPU's, in one kernel without a tape and by operators with one") {
  const auto fn = [](const auto& in) {
    return std::vector<Tensor>{
        conv2d(in[0], in[1], in[2], {.padding = 1}, {.scale = in[3], .shift = in[4], .residual = in[5], .relu = true}),
        conv2d(in[0], in[1], {}, {.padding = 1}, {.residual = in[5]})};
  };
  const auto random = [](const Shape& shape, std::uint64_t seed) {
    return reshape(values(numel(shape), DType::f32, seed), shape);
  };
  const test::Inputs inputs{random({2, 12, 7, 6}, 1), random({20, 12, 3, 3}, 2), random({20}, 3),
                            random({20}, 4),          random({20}, 5),           random({2, 20, 7, 6}, 6)};
  test::check_both(inputs, fn, 5e-6);
  const NoGrad no_tape;
  test::check_both(inputs, fn, 5e-6);
}

TEST_CASE("conv2d_rungs: the pipeline is passed over without its vectors, and in f32 without TF32") {
  ConvShape c = kVectors[0];
  c.P = c.H, c.Q = c.W;
  const auto& pipeline = cuda::conv2d_forward().named("pipeline");
  alignas(16) char operand[16];
  CHECK(pipeline.supports({c, DType::bf16, operand, operand, nullptr, operand}));
  CHECK(!pipeline.supports({c, DType::f32, operand, operand, nullptr, operand}));
  CHECK(!pipeline.supports({c, DType::f64, operand, operand, nullptr, operand}));
  CHECK(!pipeline.supports({c, DType::bf16, operand + 2, operand, nullptr, operand}));
  c.C = 12;
  CHECK(!pipeline.supports({c, DType::bf16, operand, operand, nullptr, operand}));
}

namespace {

struct Size {
  std::int64_t batch, m, n, k;
};

/// Rungs of matmul against the CPU, a along the depth or along m, b along the depth or along n. Each must take it.
void check_matmul(const Size& s, bool a_along, bool b_along, DType dtype, const std::vector<std::string>& rungs) {
  const std::int64_t m = s.m, n = s.n, k = s.k;
  CAPTURE(dtype_name(dtype));
  CAPTURE(m);
  CAPTURE(a_along);
  CAPTURE(b_along);
  const Tensor a = values(s.batch * m * k, dtype, 1), b = values(s.batch * k * n, dtype, 2), bias = values(n, dtype, 3);
  const auto there = [&](const Tensor& x) { return to(to(x, dtype), kCuda); };
  const Tensor a_there = there(a), b_there = there(b), bias_there = there(bias);
  const auto problem = [&](const Tensor& left, const Tensor& right, const Tensor& shift, const Tensor& y) {
    MatmulProblem p{};
    p.dtype = y.dtype(), p.m = m, p.n = n, p.k = k;
    p.a_row = a_along ? k : 1, p.a_column = a_along ? 1 : m;
    p.b_row = b_along ? 1 : n, p.b_column = b_along ? k : 1;
    p.batch = Shape{s.batch}, p.a_batch = Strides{m * k}, p.b_batch = Strides{k * n}, p.y_batch = Strides{m * n};
    p.a = left.data_ptr(), p.b = right.data_ptr(), p.bias = shift.data_ptr(), p.y = y.data_ptr();
    return p;
  };
  const Tensor expected = empty({s.batch * m * n});
  cpu::matmul().run(problem(a, b, bias, expected));
  for (const std::string& rung : rungs) {
    CAPTURE(rung);
    const Tensor y = empty(expected.shape(), {.dtype = dtype, .device = kCuda});
    const MatmulProblem p = problem(a_there, b_there, bias_there, y);
    REQUIRE(cuda::matmul().named(rung).supports(p));
    const cuda::KernelScope scope("matmul", kNoLayer, kCuda.index);
    cuda::matmul().named(rung).run(p);
    CHECK(test::difference(to(to(y, kCpu), DType::f32), expected) <= (dtype == DType::bf16 ? kBf16 : kTf32));
  }
}

}  // namespace

TEST_CASE("matmul_rungs: every rung in bf16, and tensor cores in TF32, however the operands lie") {
  const AllowTf32 allowed;
  const std::vector<std::string> all{"cublas", "pipeline", "tensor", "registers", "tiled", "naive"};
  for (const auto& [a, b] : {std::pair{true, true}, std::pair{true, false}, std::pair{false, false}})
    for (const Size& s : {Size{3, 72, 64, 24}, Size{1, 136, 72, 200}}) {
      check_matmul(s, a, b, DType::bf16, all);
      check_matmul(s, a, b, DType::f32, {"pipeline", "tensor"});
    }
  check_matmul({1, 17, 40, 72}, true, true, DType::bf16, all);
}

TEST_CASE("matmul_tiles: the pipeline's large tiles") {
  check_matmul({1, 2056, 2056, 8}, true, false, DType::bf16, {"pipeline"});
}

}  // namespace gradus
