// Hopper's rungs, wgmma fed by TMA, against sums in f64 of the same bf16 numbers. Elsewhere they say that they do not
// take the problem.

#include "tests/cuda/both.hpp"

#include "cuda/runtime.hpp"
#include "ops/conv2d/conv2d_rungs.cuh"
#include "ops/matmul/matmul_wgmma.hpp"

namespace gradus {
namespace {

using test::kCuda;

bool is_hopper() { return cuda::device_info(0).major == 9 && cuda::device_info(0).minor == 0; }

/// bf16 numbers on cuda:0, and the same as f64.
struct Values {
  Tensor there;
  std::vector<double> here;
  explicit Values(std::int64_t n) {
    static Generator generator{13, 0};
    Tensor x = empty({n}, {});
    uniform_(x, -1, 1, generator);
    there = to(to(x, DType::bf16), kCuda);
    here = to(there, kCpu).to_vector<double>();
  }
  double at(std::int64_t i) const { return here[static_cast<std::size_t>(i)]; }
};
/// Not a number until it is written.
Tensor result(std::int64_t n) { return to(to(full({n}, NAN), DType::bf16), kCuda); }

/// Compares with one rounding to bf16, and that of f32 sums.
void check_result(const Tensor& y, const std::vector<double>& expected, double depth) {
  const auto got = to(y, kCpu).to_vector<double>();
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double off = std::abs(got[i] - expected[i]) - 0x1p-8 * std::abs(expected[i]) - 0x1p-18 * depth;
    worst = std::isnan(off) ? INFINITY : std::max(worst, off);
  }
  CHECK(worst <= 0);
}

struct Product {
  std::int64_t batch, m, n, k;
  bool a_transposed, b_transposed, bias;
};

void check_product(const Product& c) {
  CAPTURE(c.m);
  CAPTURE(c.n);
  CAPTURE(c.k);
  const Values a(c.batch * c.m * c.k), b(c.batch * c.k * c.n), bias(c.n);
  Tensor y = result(c.batch * c.m * c.n);
  MatmulProblem p{};
  p.dtype = DType::bf16, p.m = c.m, p.n = c.n, p.k = c.k;
  p.a_row = c.a_transposed ? 1 : c.k, p.a_column = c.a_transposed ? c.m : 1;
  p.b_row = c.b_transposed ? 1 : c.n, p.b_column = c.b_transposed ? c.k : 1;
  if (c.batch > 1) p.batch = {c.batch}, p.a_batch = {c.m * c.k}, p.b_batch = {c.k * c.n}, p.y_batch = {c.m * c.n};
  p.a = a.there.data_ptr(), p.b = b.there.data_ptr(), p.bias = c.bias ? bias.there.data_ptr() : nullptr,
  p.y = y.data_ptr();
  REQUIRE(cuda::takes_wgmma(p) == is_hopper());
  if (!is_hopper()) return;
  cuda::matmul_wgmma(p);
  std::vector<double> expected;
  for (std::int64_t l = 0; l < c.batch; ++l)
    for (std::int64_t i = 0; i < c.m; ++i)
      for (std::int64_t j = 0; j < c.n; ++j) {
        double sum = c.bias ? bias.at(j) : 0;
        for (std::int64_t k = 0; k < c.k; ++k)
          sum +=
              a.at(l * c.m * c.k + i * p.a_row + k * p.a_column) * b.at(l * c.k * c.n + k * p.b_row + j * p.b_column);
        expected.push_back(sum);
      }
  check_result(y, expected, static_cast<double>(c.k));
}

ConvShape conv(std::int64_t N, std::int64_t C, std::int64_t H, std::int64_t W, std::int64_t K, std::int64_t window,
               std::int64_t stride, std::int64_t padding, std::int64_t dilation = 1, std::int64_t groups = 1) {
  ConvShape c{.N = N, .C = C, .H = H, .W = W, .K = K, .R = window, .S = window, .P = 0, .Q = 0};
  c.P = conv_output(H, window, stride, padding, dilation), c.Q = conv_output(W, window, stride, padding, dilation);
  c.stride_h = c.stride_w = stride, c.padding_h = c.padding_w = padding, c.dilation_h = c.dilation_w = dilation;
  c.groups = groups;
  return c;
}

/// Calls fn(index of x, of w, of y) for every product of the convolution.
template <class Fn>
void each_product(const ConvShape& c, Fn fn) {
  const std::int64_t depth = c.group_depth();
  for (std::int64_t n = 0; n < c.N; ++n)
    for (std::int64_t p = 0; p < c.P; ++p)
      for (std::int64_t q = 0; q < c.Q; ++q)
        for (std::int64_t r = 0; r < c.R; ++r)
          for (std::int64_t s = 0; s < c.S; ++s) {
            const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
            const std::int64_t w = q * c.stride_w - c.padding_w + s * c.dilation_w;
            if (h < 0 || h >= c.H || w < 0 || w >= c.W) continue;
            for (std::int64_t k = 0; k < c.K; ++k)
              for (std::int64_t d = 0; d < depth; ++d)
                fn(((n * c.H + h) * c.W + w) * c.C + k / c.group_width() * depth + d,
                   ((k * c.R + r) * c.S + s) * depth + d, ((n * c.P + p) * c.Q + q) * c.K + k);
          }
}

const ConvShape kShapes[] = {
    conv(2, 64, 9, 9, 72, 3, 1, 1),          // rows and columns that fill no tile
    conv(1, 72, 6, 11, 136, 3, 1, 1),        // channels that fill no block of 64, outputs more than one tile
    conv(3, 16, 13, 12, 64, 3, 2, 1),        // stride
    conv(1, 8, 20, 20, 8, 7, 2, 3),          // a first layer's window
    conv(2, 16, 9, 10, 24, 3, 1, 2, 2),      // dilation
    conv(2, 40, 7, 7, 96, 1, 1, 0),          // 1x1
    conv(1, 128, 5, 5, 128, 3, 1, 1, 1, 2),  // groups
    conv(2, 16, 8, 8, 16, 3, 1, 0),          // no padding
};
std::string text(const ConvShape& c) {
  return fmt::format("{}x{}x{}x{} -> {}, window {}, stride {}, groups {}", c.N, c.C, c.H, c.W, c.K, c.R, c.stride_h,
                     c.groups);
}

}  // namespace

TEST_CASE("wgmma: matrix products in bf16, either operand either way round, batched, with bias") {
  for (const Product& c : {Product{1, 64, 64, 64, false, false, false}, Product{1, 130, 72, 200, false, false, true},
                           Product{1, 200, 33, 520, false, true, true}, Product{1, 136, 136, 72, true, false, false},
                           Product{1, 24, 40, 104, true, true, false}, Product{3, 72, 48, 40, false, false, true},
                           Product{1, 1, 8, 8, false, false, false}})
    check_product(c);
}

TEST_CASE("wgmma: what TMA cannot read is left to others") {
  const Values x(4096);
  MatmulProblem p{};
  p.dtype = DType::bf16, p.m = p.n = p.k = 8, p.a_row = 8, p.a_column = 1, p.b_row = 8, p.b_column = 1;
  p.a = p.b = x.there.data_ptr();
  CHECK(cuda::takes_wgmma(p) == is_hopper());
  p.a_row = 9;  // rows that are not aligned to 16 bytes
  CHECK(!cuda::takes_wgmma(p));
  p.a_row = 8, p.a = static_cast<const char*>(p.a) + 2;
  CHECK(!cuda::takes_wgmma(p));
  p.a = x.there.data_ptr(), p.dtype = DType::f32;
  CHECK(!cuda::takes_wgmma(p));
  ConvForward f{conv(1, 16, 8, 8, 16, 3, 1, 1), DType::bf16, x.there.data_ptr(), x.there.data_ptr(), nullptr, nullptr};
  CHECK(cuda::takes_wgmma(f) == is_hopper());
  f.shape.padding_w = 0, f.shape.Q = 6;  // not alike along h and w
  CHECK(!cuda::takes_wgmma(f));
  f.shape = conv(1, 3, 8, 8, 16, 3, 1, 1);
  CHECK(!cuda::takes_wgmma(f));
}

TEST_CASE("wgmma: conv2d forward, its windows gathered by TMA") {
  for (const ConvShape& c : kShapes) {
    CAPTURE(text(c));
    const Values x(c.x_size()), w(c.w_size()), bias(c.K);
    Tensor y = result(c.y_size());
    const ConvForward p{c, DType::bf16, x.there.data_ptr(), w.there.data_ptr(), bias.there.data_ptr(), y.data_ptr()};
    REQUIRE(cuda::takes_wgmma(p) == is_hopper());
    if (!is_hopper()) continue;
    cuda::run_wgmma(p);
    std::vector<double> expected(static_cast<std::size_t>(c.y_size()));
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = bias.at(static_cast<std::int64_t>(i) % c.K);
    each_product(c, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
      expected[static_cast<std::size_t>(o)] += x.at(i) * w.at(j);
    });
    check_result(y, expected, static_cast<double>(c.R * c.S * c.group_depth()));
  }
}

TEST_CASE("wgmma: conv2d forward with scale, shift, residual and ReLU before the result is written") {
  const ConvShape& c = kShapes[0];
  const Values x(c.x_size()), w(c.w_size()), residual(c.y_size());
  const Tensor scale = to(full({c.K}, 0.5), kCuda), shift = to(full({c.K}, -0.25), kCuda);
  Tensor y = result(c.y_size());
  ConvForward p{c, DType::bf16, x.there.data_ptr(), w.there.data_ptr(), nullptr, y.data_ptr()};
  p.epilogue = {scale.data_ptr(), shift.data_ptr(), residual.there.data_ptr(), true};
  if (!is_hopper()) return;
  cuda::run_wgmma(p);
  std::vector<double> expected(static_cast<std::size_t>(c.y_size()));
  each_product(c, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
    expected[static_cast<std::size_t>(o)] += 0.5 * x.at(i) * w.at(j);
  });
  for (std::size_t i = 0; i < expected.size(); ++i)
    expected[i] = std::max(0.0, expected[i] - 0.25 + residual.at(static_cast<std::int64_t>(i)));
  check_result(y, expected, static_cast<double>(c.R * c.S * c.group_depth()));
}

TEST_CASE("wgmma: conv2d backward input, a forward convolution with the window turned round") {
  for (const ConvShape& c : kShapes) {
    CAPTURE(text(c));
    const Values gy(c.y_size()), w(c.w_size());
    Tensor gx = result(c.x_size());
    const ConvBackwardInput p{c, DType::bf16, gy.there.data_ptr(), w.there.data_ptr(), gx.data_ptr()};
    REQUIRE(cuda::takes_wgmma(p) == (is_hopper() && c.stride_h == 1));
    if (!cuda::takes_wgmma(p)) continue;
    cuda::run_wgmma(p);
    std::vector<double> expected(static_cast<std::size_t>(c.x_size()));
    each_product(c, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
      expected[static_cast<std::size_t>(i)] += gy.at(o) * w.at(j);
    });
    check_result(gx, expected, static_cast<double>(c.R * c.S * c.group_width()));
  }
}

TEST_CASE("wgmma: conv2d backward weight, in parts that are added in order") {
  std::vector<ConvShape> shapes(std::begin(kShapes), std::end(kShapes));
  shapes.push_back(conv(2, 8, 40, 40, 8, 1, 1, 0));  // several parts
  for (const ConvShape& c : shapes) {
    CAPTURE(text(c));
    const Values x(c.x_size()), gy(c.y_size());
    Tensor gw = result(c.w_size());
    const ConvBackwardWeight p{c, DType::bf16, x.there.data_ptr(), gy.there.data_ptr(), gw.data_ptr()};
    REQUIRE(cuda::takes_wgmma(p) == is_hopper());
    if (!is_hopper()) continue;
    cuda::run_wgmma(p);
    std::vector<double> expected(static_cast<std::size_t>(c.w_size()));
    each_product(c, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
      expected[static_cast<std::size_t>(j)] += x.at(i) * gy.at(o);
    });
    check_result(gw, expected, static_cast<double>(c.N * c.P * c.Q));
  }
}

}  // namespace gradus
