#include "ops/conv2d/conv2d.hpp"

#include <utility>

#include "autograd/claim.hpp"
#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/channel_rows/gradient_sums.hpp"
#include "ops/channel_rows/moments.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"
#include "ops/workspace.hpp"

namespace gradus {
namespace {

/// Operands and options as the last lines of a message.
std::string shown(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  return describe({{"x", &x}, {"weight", &weight}, {"bias", &bias}}) + "     " + to_string(o);
}

/// The rules that the three operators share, by shapes alone. `shown` makes the operands' lines of a message.
template <class Shown>
ConvShape checked_shape(const char* op, const Shape& x, const Shape& w, const Conv2dOptions& o, Shown&& shown) {
  if (x.size() != 4 || w.size() != 4)
    fail<ShapeError>("{}: x [N,C,H,W] and weight [K,C/groups,R,S] have 4 dimensions\n{}", op, shown());
  if (o.stride.h < 1 || o.stride.w < 1)
    fail<ValueError>("{}: stride is at least 1, got {}\n{}", op, to_string(o.stride), shown());
  if (o.padding.h < 0 || o.padding.w < 0)
    fail<ValueError>("{}: padding is at least 0, got {}\n{}", op, to_string(o.padding), shown());
  if (o.dilation.h < 1 || o.dilation.w < 1)
    fail<ValueError>("{}: dilation is at least 1, got {}\n{}", op, to_string(o.dilation), shown());
  if (o.groups < 1) fail<ValueError>("{}: groups is at least 1, got {}\n{}", op, o.groups, shown());
  if (x[1] < 1) fail<ShapeError>("{}: x has no channels\n{}", op, shown());
  if (x[1] % o.groups != 0)
    fail<ShapeError>("{}: {} input channels do not divide into {} groups\n{}", op, x[1], o.groups, shown());
  if (w[0] % o.groups != 0)
    fail<ShapeError>("{}: {} output channels do not divide into {} groups\n{}", op, w[0], o.groups, shown());
  if (w[1] != x[1] / o.groups)
    fail<ShapeError>("{}: weight reads {} input channels{}, x has {}\n{}", op, w[1], o.groups == 1 ? "" : " per group",
                     x[1] / o.groups, shown());
  if (w[2] < 1 || w[3] < 1) fail<ShapeError>("{}: the window is empty\n{}", op, shown());

  ConvShape c{};
  c.N = x[0], c.C = x[1], c.H = x[2], c.W = x[3];
  c.K = w[0], c.R = w[2], c.S = w[3];
  c.stride_h = o.stride.h, c.stride_w = o.stride.w;
  c.padding_h = o.padding.h, c.padding_w = o.padding.w;
  c.dilation_h = o.dilation.h, c.dilation_w = o.dilation.w;
  c.groups = o.groups;
  c.P = conv_output(c.H, c.R, c.stride_h, c.padding_h, c.dilation_h);
  c.Q = conv_output(c.W, c.S, c.stride_w, c.padding_w, c.dilation_w);
  if (c.P < 1 || c.Q < 1)
    fail<ShapeError>("{}: the window, {}x{} with dilation, is larger than the padded input, {}x{}\n{}", op,
                     c.dilation_h * (c.R - 1) + 1, c.dilation_w * (c.S - 1) + 1, c.H + 2 * c.padding_h,
                     c.W + 2 * c.padding_w, shown());
  return c;
}

/// f32, f64 or, on CUDA, bf16, the same for all operands, on one device.
void check_operands(const char* op, std::initializer_list<std::pair<const char*, const Tensor*>> operands) {
  check_same_device(op, operands);
  check_same_dtype(op, operands);
  check_number(op, *operands.begin()->second);
}

bool any(const Conv2dEpilogue& e) { return e.scale.defined() || e.residual.defined() || e.relu; }
bool records(const Conv2dEpilogue& e) {
  bool result = false;
  for (const Tensor* t : {&e.scale, &e.shift, &e.residual}) result = result || (t->defined() && recording({*t}));
  return result;
}

void check_epilogue(const ConvShape& c, const Tensor& x, const Conv2dEpilogue& e) {
  const auto operands = [&] {
    return describe({{"x", &x}, {"scale", &e.scale}, {"shift", &e.shift}, {"residual", &e.residual}});
  };
  if (e.scale.defined() != e.shift.defined()) fail<ValueError>("conv2d: scale and shift come together\n{}", operands());
  for (const Tensor* t : {&e.scale, &e.shift}) {
    if (!t->defined()) continue;
    if (t->shape() != Shape{c.K})
      fail<ShapeError>("conv2d: scale and shift are [{}], one for each output channel\n{}", c.K, operands());
    const DType wanted = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
    if (t->dtype() != wanted)
      fail<DTypeError>("conv2d: scale and shift of {} are {}\n{}", dtype_name(x.dtype()), dtype_name(wanted),
                       operands());
    check_same_device("conv2d", {{"x", &x}, {"scale", &e.scale}, {"shift", &e.shift}});
  }
  if (!e.residual.defined()) return;
  if (e.residual.shape() != Shape{c.N, c.K, c.P, c.Q})
    fail<ShapeError>("conv2d: residual is {}, the shape of the result\n{}", to_string(Shape{c.N, c.K, c.P, c.Q}),
                     operands());
  check_same_device("conv2d", {{"x", &x}, {"residual", &e.residual}});
  check_same_dtype("conv2d", {{"x", &x}, {"residual", &e.residual}});
}

/// The epilogue by operators.
Tensor finished(Tensor y, const Conv2dEpilogue& e) {
  const auto channels = [&](const Tensor& t) { return reshape(to(t, y.dtype()), {1, t.size(0), 1, 1}); };
  if (e.scale.defined()) y = y * channels(e.scale) + channels(e.shift);
  if (e.residual.defined()) y = y + e.residual;
  return e.relu ? relu(y) : y;
}

/// Runs the kernel. On the meta device the workspace of the CPU's candidate is held for a moment, so that the peak of a
/// step counts it.
template <class Problem, class Cuda>
void run_kernel(const Operands& operands, const Problem& p, const Candidates<Problem>& cpu, Cuda&& cuda) {
  if (const Device device = operands.device(); device.type == DeviceType::meta) {
    const Workspace<char> held(cpu.workspace(p), device);
  }
  run(
      cpu.kernel(), operands, [&] { cpu.run(p); }, std::forward<Cuda>(cuda));
}

/// The storage beside which packed weights are kept: that of the operator's own operand, not of a copy `used`, while
/// gradients are off; with them the weight is about to change, and what was kept is freed.
Storage* kept_with(const Tensor& weight, const Tensor& used) {
  Storage& storage = weight.storage();
  if (weight.device().type != DeviceType::cpu || !used.shares_storage(weight)) return nullptr;
  if (!grad_enabled()) return &storage;
  storage.derived.reset();
  return nullptr;
}

Tensor channels_last_empty(const Shape& shape, const Tensor& like) {
  return empty(shape, {.dtype = like.dtype(), .device = like.device(), .format = Format::channels_last});
}

/// The gradient of the weight where x = [relu](in.x · in.scale + in.shift) is not in memory: undefined unless the
/// kernel that runs for x takes it so.
Tensor weight_grad_from(const ChannelAffine& in, const Tensor& gy, const Shape& weight_shape,
                        const Conv2dOptions& options);

/// The gradient of x. Where a batch norm made it of `in`, and the kernel can, with the sums that its backward pass
/// wants. `reader`, if not null, has x as its first input: what other readers of x gave is added to, where it lies.
Tensor input_grad(const Tensor& gy, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& options,
                  const std::optional<ChannelAffine>& in, const Node* reader);

struct Conv2dNode final : Node {
  Saved x, weight;
  Conv2dOptions options;
  const char* name() const override { return "conv2d"; }
  Grads backward(const Tensor& gy_any) override {
    Grads g(inputs.size());
    // A slice of a dense block's gradient is gathered once for both. (On the tape it stays what the tape knows.)
    const Tensor gy = grad_enabled() ? gy_any : dense(gy_any, Format::channels_last);
    if (needs(0))
      g[0] = input_grad(gy, weight.get(*this), inputs[0].shape, options,
                        grad_enabled() ? std::nullopt : x.affine(*this), this);
    if (needs(1)) g[1] = weight_grad(gy);
    if (inputs.size() > 2 && needs(2)) g[2] = sum(gy, {0, 2, 3});
    return g;
  }
  Tensor weight_grad(const Tensor& gy) {
    // A batch norm's result need not be made again: the kernel normalises as it packs.
    if (!grad_enabled())
      if (const auto in = x.affine(*this))
        if (const Tensor gw = weight_grad_from(*in, gy, inputs[1].shape, options); gw.defined()) return gw;
    return conv2d_weight_grad(x.get(*this), gy, inputs[1].shape, options);
  }
  void release() override { x.reset(), weight.reset(); }
  std::int64_t saved_bytes() const override { return x.bytes() + weight.bytes(); }
};

// The gradients are linear in each operand, and their gradients are the same three operators again.
struct InputGradNode final : Node {
  Saved gy, weight;
  Conv2dOptions options;
  const char* name() const override { return "conv2d.backward_input"; }
  Grads backward(const Tensor& ggx) override {
    Grads g(2);
    if (needs(0)) g[0] = conv2d(ggx, weight.get(*this), {}, options);
    if (needs(1)) g[1] = conv2d_weight_grad(ggx, gy.get(*this), inputs[1].shape, options);
    return g;
  }
  void release() override { gy.reset(), weight.reset(); }
  std::int64_t saved_bytes() const override { return gy.bytes() + weight.bytes(); }
};

struct WeightGradNode final : Node {
  Saved x, gy;
  Conv2dOptions options;
  const char* name() const override { return "conv2d.backward_weight"; }
  Grads backward(const Tensor& ggw) override {
    Grads g(2);
    if (needs(0)) g[0] = conv2d_input_grad(gy.get(*this), ggw, inputs[0].shape, options);
    if (needs(1)) g[1] = conv2d(x.get(*this), ggw, {}, options);
    return g;
  }
  void release() override { x.reset(), gy.reset(); }
  std::int64_t saved_bytes() const override { return x.bytes() + gy.bytes(); }
};

Tensor weight_grad_from(const ChannelAffine& in, const Tensor& gy, const Shape& weight_shape,
                        const Conv2dOptions& options) {
  const Tensor& x = in.x;
  if (x.device().type == DeviceType::cuda || x.dtype() != gy.dtype()) return {};
  const ConvShape c = checked_shape("conv2d.backward_weight", x.shape(), weight_shape, options, [&] {
    return describe({{"x", &x}, {"gy", &gy}});
  });
  ConvBackwardWeight p{c, x.dtype(), nullptr, nullptr, nullptr};
  const Candidate<ConvBackwardWeight>& chosen = cpu::conv2d_backward_weight().choose(p);
  p.prologue = {in.row_stride, in.scale.data_ptr(), in.shift.data_ptr(), in.relu};
  if (in.row_stride == 0 || !chosen.supports(p)) return {};
  const Tensor gw = channels_last_empty(weight_shape, x), gyd = dense(gy, Format::channels_last);
  p.x = x.data_ptr(), p.gy = gyd.data_ptr(), p.gw = gw.data_ptr();
  run_kernel({x, gy, gw}, p, cpu::conv2d_backward_weight(), [] {});
  return gw;
}

Tensor input_grad(const Tensor& gy, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& options,
                  const std::optional<ChannelAffine>& in, const Node* reader) {
  const char* op = "conv2d.backward_input";
  check_operands(op, {{"gy", &gy}, {"weight", &weight}});
  const auto operands = [&] {
    return describe({{"gy", &gy}, {"weight", &weight}}) + "     for x " + to_string(x_shape) + ", " +
           to_string(options);
  };
  const ConvShape c = checked_shape(op, x_shape, weight.shape(), options, operands);
  if (gy.shape() != Shape{c.N, c.K, c.P, c.Q})
    fail<ShapeError>("{}: gy is {}, the shape of the result\n{}", op, to_string(Shape{c.N, c.K, c.P, c.Q}), operands());

  const Tensor gyd = dense(gy, Format::channels_last), wd = dense(weight, Format::channels_last);
  ConvBackwardInput p{c, gy.dtype(), gyd.data_ptr(), wd.data_ptr(), nullptr};
  ConvGradientSums wanted{};
  const auto sums = std::make_shared<GradientSums>();
  std::vector<float> mean;
  const DeviceType device = gy.device().type;
  if (in && in->mean.defined() && in->row_stride > 0 && device != DeviceType::cuda && gy.dtype() == DType::f32)
    p.sums = &wanted;
  Tensor so_far;
  if (reader && device != DeviceType::cuda) {
    const Candidate<ConvBackwardInput>& chosen = cpu::conv2d_backward_input().choose(p);
    p.add = true;
    if (chosen.supports(p)) so_far = claim_gradient(*reader, 0);
    p.add = so_far.defined() && so_far.is_contiguous(Format::channels_last);
  }
  Tensor gx = p.add ? so_far : channels_last_empty(x_shape, gy);
  p.gx = gx.data_ptr();
  if (p.sums && device == DeviceType::cpu) {
    sums->sum_g.resize(static_cast<std::size_t>(c.C)), sums->sum_gx.resize(static_cast<std::size_t>(c.C));
    const double* mu = in->mean.data<double>();
    mean.assign(mu, mu + c.C);
    wanted = {in->x.data<float>(), in->row_stride, in->scale.data<float>(), in->shift.data<float>(),
              mean.data(),         in->relu,       sums->sum_g.data(),      sums->sum_gx.data()};
  }
  run_kernel({gy, weight, gx}, p, cpu::conv2d_backward_input(), [&] { cuda::conv2d_backward_input().run(p); });
  if (p.add) gx.written(op);
  if (so_far.defined() && !p.add) {
    so_far.accumulate_(gx);
    return so_far;
  }
  if (wanted.taken) {
    sums->version = gx.storage().version, sums->first = gx.data_ptr(), sums->scale = in->scale;
    gx.storage().derived = sums;
  }
  if (recording({gy, weight})) {
    auto node = std::make_shared<InputGradNode>();
    if (weight.requires_grad()) node->gy = gy;
    if (gy.requires_grad()) node->weight = weight;
    node->options = options;
    attach(gx, std::move(node), {gy, weight});
  }
  return gx;
}

/// `from`: x is not in memory, but computed from this; null: it is.
Tensor convolve(const Tensor& x_any, const ChannelAffine* from, const Tensor& weight_any, const Tensor& bias_any,
                const Conv2dOptions& options, const Conv2dEpilogue& epilogue_any) {
  const Tensor x = lowered(x_any), weight = lowered(weight_any), bias = lowered(bias_any);
  Conv2dEpilogue epilogue = epilogue_any;
  epilogue.residual = like_operand(epilogue.residual, x);
  check_operands("conv2d", {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  const auto operands = [&] { return shown(x, weight, bias, options); };
  const ConvShape c = checked_shape("conv2d", x.shape(), weight.shape(), options, operands);
  if (bias.defined() && bias.shape() != Shape{c.K})
    fail<ShapeError>("conv2d: bias is [{}], one for each output channel\n{}", c.K, operands());
  check_epilogue(c, x, epilogue);
  const bool taped = bias.defined() ? recording({x, weight, bias}) : recording({x, weight});
  if (any(epilogue) && (taped || records(epilogue))) return finished(conv2d(x, weight, bias, options), epilogue);

  const Tensor y = channels_last_empty({c.N, c.K, c.P, c.Q}, x);
  const Tensor xd = from ? from->x : dense(x, Format::channels_last), wd = dense(weight, Format::channels_last);
  const auto dense_or_none = [](const Tensor& t, Format format) { return t.defined() ? dense(t, format) : t; };
  const Tensor bd = dense_or_none(bias, Format::contiguous), scale = dense_or_none(epilogue.scale, Format::contiguous),
               shift = dense_or_none(epilogue.shift, Format::contiguous),
               residual = dense_or_none(epilogue.residual, Format::channels_last);
  const auto pointer = [](const Tensor& t) { return t.defined() ? t.data_ptr() : nullptr; };
  ConvForward p{c,
                x.dtype(),
                xd.data_ptr(),
                wd.data_ptr(),
                pointer(bd),
                y.data_ptr(),
                {pointer(scale), pointer(shift), pointer(residual), epilogue.relu},
                kept_with(weight_any, wd)};
  if (from) p.prologue = {from->row_stride, from->scale.data_ptr(), from->shift.data_ptr(), from->relu};
  Moments moments;
  if (options.moments && x.device().type != DeviceType::cuda && x.dtype() == DType::f32) p.moments = &moments;
  run_kernel({xd, weight, bias, y}, p, cpu::conv2d_forward(), [&] { cuda::conv2d_forward().run(p); });
  if (moments.count > 0) keep_moments(y, c.K, std::move(moments));
  if (taped) {
    auto node = std::make_shared<Conv2dNode>();
    if (weight.requires_grad()) node->x = x;
    if (x.requires_grad()) node->weight = weight;
    node->options = options;
    node->options.moments = false;  // of gradients' gradients nobody wants any
    if (bias.defined())
      attach(y, std::move(node), {x, weight, bias});
    else
      attach(y, std::move(node), {x, weight});
  }
  return y;
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  return convolve(x, nullptr, weight, bias, options, {});
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options,
              const Conv2dEpilogue& epilogue) {
  return convolve(x, nullptr, weight, bias, options, epilogue);
}

Tensor conv2d(const Tensor& deferred, const ChannelAffine& in, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options) {
  return convolve(deferred, &in, weight, bias, options, {});
}

bool conv2d_reads_affine(const Tensor& x, const Tensor& weight, const Conv2dOptions& options) {
  if (x.device().type == DeviceType::cuda || x.rank() != 4 || x.dtype() != DType::f32 || weight.dtype() != DType::f32)
    return false;
  const ConvShape c =
      checked_shape("conv2d", x.shape(), weight.shape(), options, [&] { return shown(x, weight, {}, options); });
  ConvForward p{c, x.dtype(), nullptr, nullptr, nullptr, nullptr};
  const Candidate<ConvForward>& chosen = cpu::conv2d_forward().choose(p);
  p.prologue.pixel = c.C;
  return chosen.supports(p);
}

Tensor conv2d_input_grad(const Tensor& gy, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& options) {
  return input_grad(gy, weight, x_shape, options, std::nullopt, nullptr);
}

Tensor conv2d_weight_grad(const Tensor& x, const Tensor& gy, const Shape& weight_shape, const Conv2dOptions& options) {
  const char* op = "conv2d.backward_weight";
  check_operands(op, {{"x", &x}, {"gy", &gy}});
  const auto operands = [&] {
    return describe({{"x", &x}, {"gy", &gy}}) + "     for weight " + to_string(weight_shape) + ", " +
           to_string(options);
  };
  const ConvShape c = checked_shape(op, x.shape(), weight_shape, options, operands);
  if (gy.shape() != Shape{c.N, c.K, c.P, c.Q})
    fail<ShapeError>("{}: gy is {}, the shape of the result\n{}", op, to_string(Shape{c.N, c.K, c.P, c.Q}), operands());

  const Tensor gw = channels_last_empty(weight_shape, x);
  const Tensor xd = dense(x, Format::channels_last), gyd = dense(gy, Format::channels_last);
  const ConvBackwardWeight p{c, x.dtype(), xd.data_ptr(), gyd.data_ptr(), gw.data_ptr()};
  run_kernel({x, gy, gw}, p, cpu::conv2d_backward_weight(), [&] { cuda::conv2d_backward_weight().run(p); });
  if (recording({x, gy})) {
    auto node = std::make_shared<WeightGradNode>();
    if (gy.requires_grad()) node->x = x;
    if (x.requires_grad()) node->gy = gy;
    node->options = options;
    attach(gw, std::move(node), {x, gy});
  }
  return gw;
}

std::string to_string(const Conv2dOptions& o) {
  std::string text = "stride " + to_string(o.stride) + ", padding " + to_string(o.padding);
  if (o.dilation != Pair(1)) text += ", dilation " + to_string(o.dilation);
  return text + ", groups " + std::to_string(o.groups);
}

}  // namespace gradus
