#include "tests/harness/oracle_ops.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>

#include "autograd/engine.hpp"
#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/cat/cat.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/conv_transpose2d/conv_transpose2d.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"
#include "ops/cross_entropy/mse_loss.hpp"
#include "ops/linear/linear.hpp"
#include "ops/local_response_norm/local_response_norm.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"
#include "ops/max_unpool2d/max_unpool2d.hpp"
#include "ops/pad/pad.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/upsample/upsample.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/oracle.hpp"

namespace gradus {
namespace {

using oracle::Json;

/// A case's inputs by name; undefined where the case has none of that name.
struct Inputs {
  std::map<std::string, Tensor> by_name;
  Tensor operator[](const std::string& name) const {
    const auto found = by_name.find(name);
    return found == by_name.end() ? Tensor() : found->second;
  }
};

struct Result {
  Tensor y;
  std::map<std::string, Tensor> after = {};
};
using Run = std::function<Result(const std::string& name, const Json& attrs, const Inputs& in)>;

Pair pair(const Json& attrs, const char* key) {
  return {attrs.at(key).at(0).get<std::int64_t>(), attrs.at(key).at(1).get<std::int64_t>()};
}
Dims dims(const Json& list) { return Dims(list.get<std::vector<std::int64_t>>()); }
Reduction reduction(const Json& attrs) {
  const auto name = attrs.at("reduction").get<std::string>();
  return name == "none" ? Reduction::none : name == "mean" ? Reduction::mean : Reduction::sum;
}
Pool2dOptions pool_options(const Json& a) {
  Pool2dOptions options{.kernel = pair(a, "kernel"),
                        .stride = pair(a, "stride"),
                        .padding = pair(a, "padding"),
                        .ceil_mode = a.at("ceil_mode").get<bool>()};
  if (a.contains("dilation")) options.dilation = pair(a, "dilation");
  if (a.contains("count_include_pad")) options.count_include_pad = a.at("count_include_pad").get<bool>();
  return options;
}

Tensor unary(const Json& a, const Tensor& x) {
  const auto op = a.at("op").get<std::string>();
  if (op == "leaky_relu") return leaky_relu(x, a.at("slope").get<double>());
  if (op == "clamp") return clamp(x, a.at("min").get<double>(), a.at("max").get<double>());
  if (op == "pow") return pow(x, a.at("exponent").get<double>());
  static const std::map<std::string, Tensor (*)(const Tensor&)> plain = {
      {"relu", relu},     {"sigmoid", sigmoid}, {"tanh", tanh}, {"exp", exp},   {"neg", neg},
      {"square", square}, {"abs", abs},         {"log", log},   {"sqrt", sqrt}, {"rsqrt", rsqrt}};
  return plain.at(op)(x);
}

Tensor reduce(const Json& a, const Tensor& x) {
  const auto op = a.at("op").get<std::string>();
  const Dims over = a.at("dims").is_null() ? Dims{} : dims(a.at("dims"));
  const bool keepdim = a.at("keepdim").get<bool>();
  if (op == "var") return var(x, over, {.unbiased = a.at("unbiased").get<bool>(), .keepdim = keepdim});
  static const std::map<std::string, Tensor (*)(const Tensor&, const Dims&, bool)> plain = {
      {"sum", sum}, {"mean", mean}, {"max", max}, {"min", min}};
  return plain.at(op)(x, over, keepdim);
}

Tensor every_second_pixel(const Tensor& x) { return slice(slice(x, 2, 0, x.size(2), 2), 3, 0, x.size(3), 2); }

Tensor shape(const std::string& name, const Json& a, const Tensor& x) {
  if (name == "transpose_1_2") return transpose(x, 1, 2);
  if (name == "permute") return permute(x, dims(a.at("dims")));
  if (name == "reshape") return reshape(x, dims(a.at("shape")));
  if (name == "permute_then_reshape") return reshape(permute(x, dims(a.at("dims"))), dims(a.at("shape")));
  if (name == "flatten1") return flatten(x, 1);
  if (name == "narrow") return narrow(x, a.at("dim"), a.at("start"), a.at("length"));
  if (name == "stride2_slice") return every_second_pixel(x);
  if (name == "pad_hw") return pad(x, {a.at("left"), a.at("right"), a.at("top"), a.at("bottom")});
  if (name == "option_a_shortcut")
    return pad(every_second_pixel(x), {0, 0, 0, 0, a.at("channels_before"), a.at("channels_after")});
  if (name == "expand") return expand(narrow(x, 1, 0, 1), dims(a.at("shape")));
  if (name == "flip_w") return flip(x, a.at("dim"));
  if (name == "channel_shuffle") return reshape(transpose(reshape(x, {2, 3, 2, 2, 5}), 1, 2), {2, 6, 2, 5});
  if (name == "used_twice") return x * flip(x, 3) + x;
  return {};
}

/// Batch statistics, eps 1e-5, nothing tracked.
Tensor normalised(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return batch_norm(x, {}, {}, weight, bias, {.training = true});
}

Tensor composite(const std::string& name, const Inputs& in) {
  const Tensor x = in["x"];
  if (name == "se_block") {
    const Tensor hidden = relu(linear(flatten(global_avg_pool2d(x)), in["w1"], in["b1"]));
    const Tensor gate = sigmoid(linear(hidden, in["w2"], in["b2"]));
    return x * reshape(gate, {x.size(0), x.size(1), 1, 1});
  }
  if (name == "basic_residual_block_train") {
    const Tensor h = relu(normalised(conv2d(x, in["w1"], {}, {.padding = 1}), in["g1"], in["b1"]));
    return relu(x + normalised(conv2d(h, in["w2"], {}, {.padding = 1}), in["g2"], in["b2"]));
  }
  if (name == "dense_layer_then_transition_pool") {
    const Tensor added = conv2d(relu(normalised(x, in["g1"], in["b1"])), in["w1"], {}, {.padding = 1});
    return avg_pool2d(relu(cat({x, added}, 1)), {.kernel = 2});
  }
  return {};
}

Tensor binary(const Json& a, const Inputs& in) {
  static const std::map<std::string, Tensor (*)(const Tensor&, const Tensor&)> plain = {
      {"add", add}, {"sub", sub}, {"mul", mul}, {"div", div}};
  return plain.at(a.at("op").get<std::string>())(in["a"], in["b"]);
}

/// How each file's cases are run. The second member is about how many terms an element accumulates: 0 for "as many as
/// the largest tensor has elements", an upper bound.
struct Op {
  Run run;
  double terms;
};

const std::map<std::string, Op>& ops() {
  static const auto result = [](Tensor y) { return Result{std::move(y)}; };
  static const std::map<std::string, Op> all = {
      {"unary", {[](auto&, auto& a, auto& in) { return result(unary(a, in["input"])); }, 1}},
      {"binary_add", {[](auto&, auto& a, auto& in) { return result(binary(a, in)); }, 0}},
      {"binary_sub", {[](auto&, auto& a, auto& in) { return result(binary(a, in)); }, 0}},
      {"binary_mul", {[](auto&, auto& a, auto& in) { return result(binary(a, in)); }, 0}},
      {"binary_div", {[](auto&, auto& a, auto& in) { return result(binary(a, in)); }, 0}},
      {"reduce", {[](auto&, auto& a, auto& in) { return result(reduce(a, in["x"])); }, 0}},
      {"shape", {[](auto& name, auto& a, auto& in) { return result(shape(name, a, in["x"])); }, 1}},
      {"matmul", {[](auto&, auto&, auto& in) { return result(matmul(in["a"], in["b"])); }, 0}},
      {"linear", {[](auto&, auto&, auto& in) { return result(linear(in["x"], in["weight"], in["bias"])); }, 0}},
      {"softmax", {[](auto&, auto& a, auto& in) { return result(softmax(in["x"], a.at("dim"))); }, 0}},
      {"log_softmax", {[](auto&, auto& a, auto& in) { return result(log_softmax(in["x"], a.at("dim"))); }, 0}},
      {"mse_loss", {[](auto&, auto& a, auto& in) { return result(mse_loss(in["x"], in["target"], reduction(a))); }, 0}},
      {"nll_loss",
       {[](auto&, auto& a, auto& in) { return result(nll_loss(in["x"], in["target"], {.reduction = reduction(a)})); },
        0}},
      {"cross_entropy",
       {[](auto&, auto& a, auto& in) {
          const Tensor target = in["target"].defined() ? in["target"] : in["target_probs"];
          return result(cross_entropy(in["x"], target,
                                      {.label_smoothing = a.at("label_smoothing").template get<double>(),
                                       .ignore_index = a.value("ignore_index", std::int64_t{-100}),
                                       .reduction = reduction(a),
                                       .weight = in["class_weight"]}));
        },
        0}},
      {"cat",
       {[](auto& name, auto& a, auto& in) {
          std::vector<Tensor> parts;
          if (name == "same_tensor_twice")
            parts = {in["x"], in["x"]};
          else
            for (const auto& [key, x] : in.by_name) parts.push_back(x);
          return result(cat(parts, a.at("dim")));
        },
        1}},
      {"interpolate",
       {[](auto&, auto& a, auto& in) {
          InterpolateOptions options{.align_corners = a.value("align_corners", false)};
          if (a.contains("size")) options.size = pair(a, "size");
          if (a.contains("scale_factor")) options.scale_factor = a.at("scale_factor").template get<double>();
          if (a.at("mode") == "bilinear") options.mode = Interpolation::bilinear;
          return result(interpolate(in["x"], options));
        },
        4}},
      {"conv2d",
       {[](auto&, auto& a, auto& in) {
          return result(conv2d(in["x"], in["weight"], in["bias"],
                               {.stride = pair(a, "stride"),
                                .padding = pair(a, "padding"),
                                .dilation = pair(a, "dilation"),
                                .groups = a.at("groups")}));
        },
        0}},
      {"conv_transpose2d",
       {[](auto&, auto& a, auto& in) {
          return result(conv_transpose2d(in["x"], in["weight"], in["bias"],
                                         {.stride = pair(a, "stride"),
                                          .padding = pair(a, "padding"),
                                          .output_padding = pair(a, "output_padding"),
                                          .dilation = pair(a, "dilation"),
                                          .groups = a.at("groups")}));
        },
        0}},
      {"max_pool2d",
       {[](auto&, auto& a, auto& in) {
          auto [y, indices] = max_pool2d_with_indices(in["x"], pool_options(a));
          return Result{y, {{"indices", indices}}};
        },
        1}},
      {"avg_pool2d", {[](auto&, auto& a, auto& in) { return result(avg_pool2d(in["x"], pool_options(a))); }, 0}},
      {"adaptive_avg_pool2d",
       {[](auto&, auto& a, auto& in) { return result(adaptive_avg_pool2d(in["x"], pair(a, "output_size"))); }, 0}},
      {"adaptive_max_pool2d",
       {[](auto&, auto& a, auto& in) { return result(adaptive_max_pool2d(in["x"], pair(a, "output_size"))); }, 1}},
      {"max_unpool2d",
       {[](auto&, auto& a, auto& in) { return result(max_unpool2d(in["x"], in["indices"], pair(a, "output_size"))); },
        1}},
      {"local_response_norm",
       {[](auto&, auto& a, auto& in) {
          return result(local_response_norm(
              in["x"], {.size = a.at("size"), .alpha = a.at("alpha"), .beta = a.at("beta"), .k = a.at("k")}));
        },
        0}},
      {"batch_norm",
       {[](auto&, auto& a, auto& in) {
          const Tensor y = batch_norm(in["x"], in["running_mean"], in["running_var"], in["weight"], in["bias"],
                                      {.training = a.at("training").template get<bool>(),
                                       .momentum = a.at("momentum").template get<double>(),
                                       .eps = a.at("eps").template get<double>()});
          return Result{y, {{"running_mean", in["running_mean"]}, {"running_var", in["running_var"]}}};
        },
        0}},
      {"composite", {[](auto& name, auto&, auto& in) { return result(composite(name, in)); }, 0}},
  };
  return all;
}

/// The bounds of the figures' own description: 1e-11 in f64, 2e-6 sqrt(terms) in f32, with two exceptions.
double bound(const std::string& op, const Json& c, double terms, DType dtype) {
  if (dtype == DType::f64) return 1e-11;
  if (op == "batch_norm" && c.at("case") == "train_large_offset") return 1e-3;
  if (op == "batch_norm" && c.at("case") == "train_constant_channel") return 1e-4;
  const auto elements = [](const Json& t) { return static_cast<double>(t.at("data").size()); };
  if (terms == 0) {
    terms = elements(c.at("output"));
    for (const auto& [name, x] : c.at("inputs").items()) terms = std::max(terms, elements(x));
  }
  return 2e-6 * std::sqrt(terms);
}

void run_case(const std::string& op, const Json& c, DType dtype, Format format, Device device) {
  const auto name = c.at("case").get<std::string>();
  CAPTURE(op);
  CAPTURE(name);
  const std::string type = dtype_name(dtype);
  CAPTURE(type);
  const bool is_channels_last = format == Format::channels_last;
  CAPTURE(is_channels_last);
  const Json none = Json::object();
  const Json& grads = c.contains("grads") ? c.at("grads") : none;
  const bool integer_target = op == "cross_entropy" || op == "nll_loss";
  Inputs in;
  for (const auto& [key, json] : c.at("inputs").items()) {
    const bool integer = key == "indices" || (key == "target" && integer_target);
    in.by_name[key] = to(oracle::tensor(json, integer ? DType::i64 : dtype, format), device);
    if (grads.contains(key)) set_requires_grad(in.by_name[key]);
  }
  const Op& kernel = ops().at(op);
  const double allowed = bound(op, c, kernel.terms, dtype);
  const Result result = kernel.run(name, c.at("attrs"), in);
  REQUIRE(result.y.defined());
  CHECK(oracle::error(result.y, oracle::tensor(c.at("output"), DType::f64)) <= allowed);
  if (c.contains("after"))
    for (const auto& item : c.at("after").items()) {
      const std::string& key = item.key();
      CAPTURE(key);
      REQUIRE(result.after.contains(key));
      CHECK(oracle::error(result.after.at(key), oracle::tensor(item.value(), DType::f64)) <= allowed);
    }
  if (grads.empty()) return;
  backward(result.y, to(oracle::tensor(c.at("grad_output"), dtype, format), device));
  for (const auto& item : grads.items()) {
    const std::string& key = item.key();
    CAPTURE(key);
    CHECK(oracle::error(grad_of(in[key]), oracle::tensor(item.value(), DType::f64)) <= allowed);
  }
}

}  // namespace

int oracle::run_operation(const std::string& op, Device device) {
  CAPTURE(op);
  REQUIRE(ops().contains(op));
  int cases = 0;
  for (const Json& c : load(folder() / "ops" / (op + ".json")))
    for (DType dtype : {DType::f64, DType::f32})
      for (Format format : {Format::contiguous, Format::channels_last}) {
        run_case(op, c, dtype, format, device);
        ++cases;
      }
  return cases;
}

}  // namespace gradus
