// What every operator says of operands on two devices, of two dtypes, or of a dtype it does not take. What it says of
// shapes and options stands in its own test.
#include <doctest/doctest.h>

#include <functional>

#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/cat/cat.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/conv_transpose2d/conv_transpose2d.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"
#include "ops/cross_entropy/mse_loss.hpp"
#include "ops/dropout/dropout.hpp"
#include "ops/index/index.hpp"
#include "ops/linear/linear.hpp"
#include "ops/local_response_norm/local_response_norm.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"
#include "ops/max_unpool2d/max_unpool2d.hpp"
#include "ops/pad/pad.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/se_scale/se_scale.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/upsample/upsample.hpp"

namespace gradus {
namespace {

struct TwoOperands {
  const char* op;
  Shape a, b;
  std::function<void(const Tensor&, const Tensor&)> fn;
  DType b_dtype = DType::f32;
};
const TwoOperands kTwo[] = {
    {"add", {2}, {2}, [](auto& a, auto& b) { add(a, b); }},
    {"sub", {2}, {2}, [](auto& a, auto& b) { sub(a, b); }},
    {"mul", {2}, {2}, [](auto& a, auto& b) { mul(a, b); }},
    {"div", {2}, {2}, [](auto& a, auto& b) { div(a, b); }},
    {"maximum", {2}, {2}, [](auto& a, auto& b) { maximum(a, b); }},
    {"minimum", {2}, {2}, [](auto& a, auto& b) { minimum(a, b); }},
    {"greater", {2}, {2}, [](auto& a, auto& b) { greater(a, b); }},
    {"equal", {2}, {2}, [](auto& a, auto& b) { equal(a, b); }},
    {"matmul", {2, 3}, {3, 2}, [](auto& a, auto& b) { matmul(a, b); }},
    {"linear", {2, 3}, {4, 3}, [](auto& x, auto& w) { linear(x, w); }},
    {"conv2d", {1, 2, 3, 3}, {4, 2, 1, 1}, [](auto& x, auto& w) { conv2d(x, w); }},
    {"conv_transpose2d", {1, 2, 3, 3}, {2, 4, 1, 1}, [](auto& x, auto& w) { conv_transpose2d(x, w); }},
    {"batch_norm", {2, 3}, {3}, [](auto& x, auto& w) { batch_norm(x, {}, {}, w, {}, {.training = true}); }},
    {"se_scale", {1, 2, 3, 3}, {1, 2, 1, 1}, [](auto& x, auto& s) { se_scale(x, s); }},
    {"mse_loss", {2, 3}, {2, 3}, [](auto& x, auto& t) { mse_loss(x, t); }},
    {"cat",
     {2, 3},
     {2, 3},
     [](auto& a, auto& b) {
       cat({a, b}, 0);
     }},
    {"cross_entropy", {2, 3}, {2, 3}, [](auto& x, auto& t) { cross_entropy(x, t); }},
    {"cross_entropy", {2, 3}, {2}, [](auto& x, auto& t) { cross_entropy(x, t); }, DType::i64},
    {"nll_loss", {2, 3}, {2}, [](auto& x, auto& t) { nll_loss(x, t); }, DType::i64},
    {"gather", {2, 3}, {2, 1}, [](auto& x, auto& i) { gather(x, 1, i); }, DType::i64},
    {"index_select", {2, 3}, {2}, [](auto& x, auto& i) { index_select(x, 1, i); }, DType::i64},
    {"max_unpool2d", {1, 1, 2, 2}, {1, 1, 2, 2}, [](auto& x, auto& i) { max_unpool2d(x, i, 4); }, DType::i64},
};

struct OneOperand {
  const char* op;
  Shape x;
  std::function<void(const Tensor&)> fn;
};
const OneOperand kOne[] = {
    {"neg", {2}, [](auto& x) { neg(x); }},
    {"exp", {2}, [](auto& x) { exp(x); }},
    {"log", {2}, [](auto& x) { log(x); }},
    {"sqrt", {2}, [](auto& x) { sqrt(x); }},
    {"pow", {2}, [](auto& x) { pow(x, 2); }},
    {"abs", {2}, [](auto& x) { abs(x); }},
    {"clamp", {2}, [](auto& x) { clamp(x, 0, 1); }},
    {"relu", {2}, [](auto& x) { relu(x); }},
    {"leaky_relu", {2}, [](auto& x) { leaky_relu(x, 0.1); }},
    {"sigmoid", {2}, [](auto& x) { sigmoid(x); }},
    {"tanh", {2}, [](auto& x) { tanh(x); }},
    {"add", {2}, [](auto& x) { add(x, x); }},
    {"sum", {2}, [](auto& x) { sum(x); }},
    {"mean", {2}, [](auto& x) { mean(x); }},
    {"max", {2}, [](auto& x) { max(x); }},
    {"min", {2}, [](auto& x) { min(x); }},
    {"var", {2}, [](auto& x) { var(x); }},
    {"argmax", {2}, [](auto& x) { argmax(x); }},
    {"softmax", {2, 3}, [](auto& x) { softmax(x, 1); }},
    {"log_softmax", {2, 3}, [](auto& x) { log_softmax(x, 1); }},
    {"dropout", {2}, [](auto& x) { dropout(x, 0.5, true); }},
    {"drop_path", {2}, [](auto& x) { drop_path(x, 0.5, true); }},
    {"pad",
     {2},
     [](auto& x) {
       pad(x, {1, 1});
     }},
    {"matmul", {2, 2}, [](auto& x) { matmul(x, x); }},
    {"linear", {2, 2}, [](auto& x) { linear(x, x); }},
    {"conv2d", {1, 1, 1, 1}, [](auto& x) { conv2d(x, x); }},
    {"batch_norm", {2, 3}, [](auto& x) { batch_norm(x, {}, {}, {}, {}, {.training = true}); }},
    {"max_pool2d", {1, 1, 2, 2}, [](auto& x) { max_pool2d(x, {.kernel = 2}); }},
    {"avg_pool2d", {1, 1, 2, 2}, [](auto& x) { avg_pool2d(x, {.kernel = 2}); }},
    {"local_response_norm", {1, 1, 2, 2}, [](auto& x) { local_response_norm(x); }},
    {"interpolate", {1, 1, 2, 2}, [](auto& x) { interpolate(x, {.scale_factor = 2.0}); }},
};

/// The message of the E that fn throws; a failure where it throws none or another.
template <class E>
std::string message_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another error: ") + error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("operators: operands on two devices are a DeviceError that names the operator and shows both") {
  for (const TwoOperands& c : kTwo) {
    const Tensor a = zeros(c.a), b = empty(c.b, {.dtype = c.b_dtype, .device = kMeta});
    const std::string text = message_of<DeviceError>([&] { c.fn(a, b); });
    CAPTURE(text);
    CHECK(text.starts_with(std::string(c.op) + ": operands are on different devices (move them with to())\n"));
    CHECK(text.find("cpu") < text.find("meta"));
  }
}

TEST_CASE("operators: operands of two floating dtypes are a DTypeError that names the operator and shows both") {
  for (const TwoOperands& c : kTwo) {
    if (c.b_dtype == DType::i64) continue;
    const Tensor a = zeros(c.a), b = zeros(c.b, {.dtype = DType::f64});
    const std::string text = message_of<DTypeError>([&] { c.fn(a, b); });
    CAPTURE(text);
    CHECK(text.starts_with(std::string(c.op) + ": "));
    CHECK(text.find("f32") < text.find("f64"));
  }
}

TEST_CASE("operators: what computes takes f32 and f64, and says what it got instead") {
  for (const OneOperand& c : kOne)
    for (const DType dtype : {DType::i64, DType::u8, DType::f16}) {
      const std::string text = message_of<DTypeError>([&] { c.fn(zeros(c.x, {.dtype = dtype})); });
      CHECK(text == fmt::format("{}: takes f32 or f64, got {} (convert with to())", c.op, dtype_name(dtype)));
    }
}

}  // namespace gradus
