#include "ops/batch_norm/batch_norm.hpp"

#include <cmath>

#include "autograd/claim.hpp"
#include "autograd/node.hpp"
#include "autograd/recompute.hpp"
#include "ops/autocast.hpp"
#include "ops/batch_norm/batch_norm_kernels.hpp"
#include "ops/channel_rows/gradient_sums.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// The order in which x is [rows, channels] in memory.
Format rows_of_channels(const Tensor& x) { return x.rank() == 4 ? Format::channels_last : Format::contiguous; }

/// Of so few values per channel the gradient is computed in double (see few_values_gx).
constexpr std::int64_t kFewValues = 8;

/// Elements from one row of channels to the next, where x is such rows at equal distances: dense, or the first channels
/// of a dense block. 0 where it is not.
std::int64_t row_stride(const Tensor& x) {
  const Shape& shape = x.shape();
  const Strides& strides = x.strides();
  if (x.is_contiguous(rows_of_channels(x))) return shape[1];
  if (shape[1] != 1 && strides[1] != 1) return 0;
  std::int64_t stride = 0, rows = 1;  // rows so far, from the innermost dim outwards
  for (const int d : {3, 2, 0}) {
    if (d >= x.rank() || shape[d] == 1) continue;
    if (stride == 0) stride = strides[d];
    if (strides[d] != rows * stride) return 0;
    rows *= shape[d];
  }
  return stride >= shape[1] ? stride : 0;
}

/// Whether the CPU's kernels run, or, on the meta device, are imagined.
bool as_on_cpu(const Tensor& x) { return x.device().type != DeviceType::cuda; }

/// x in an order that the kernels read: itself, or a dense copy. Only the CPU's kernels, and only without a mask, know
/// rows with gaps.
Tensor readable(const Tensor& x, bool with_mask) {
  const bool gaps = as_on_cpu(x) && !with_mask && row_stride(x) > 0 && x.numel() > kFewValues * x.shape()[1];
  return gaps ? x.detach() : dense(x, rows_of_channels(x));
}

struct BatchNormNode final : Node {
  BatchNormOptions options;
  Saved x, weight;
  Tensor mean, inv_std;  // [C], f64: of x, and 1 / sqrt(var + eps)
  Tensor scale, shift;   // [C], what x's dtype is computed in: y before the ReLU is x * scale + shift [+ residual]
  Tensor mask;           // bits y > 0; with both a residual and ReLU
  // Positions among the inputs after x; 0 where not given.
  std::size_t weight_at = 0, bias_at = 0, residual_at = 0;

  const char* name() const override { return "batch_norm"; }
  void release() override {
    x.reset();
    weight.reset();
    mean = inv_std = scale = shift = mask = Tensor();
  }
  std::int64_t saved_bytes() const override {
    std::int64_t bytes = x.bytes();
    for (const Tensor& t : {mean, inv_std, scale, shift, mask})
      if (t.defined()) bytes += t.bytes();
    return bytes;
  }

  /// y is one pass over x away, so its readers need not keep it: half of a network's activations. Not so with a
  /// residual, which would have to be kept instead.
  bool can_rematerialise() const override { return residual_at == 0; }
  Tensor rematerialise() override {
    const Tensor in = readable(x.get(*this), false);
    const Format order = rows_of_channels(in);
    Tensor y = empty(in.shape(), {.dtype = dtype, .device = in.device(), .format = order});
    dispatch_number(name(), dtype, [&]<class T>(T) {
      const std::int64_t channels = in.shape()[1], rows = channels == 0 ? 0 : in.numel() / channels;
      const BatchNormApply<T> p{.rows = rows,
                                .channels = channels,
                                .x_stride = row_stride(in),
                                .x = in.data<T>(),
                                .residual = nullptr,
                                .scale = scale.data<Compute<T>>(),
                                .shift = shift.data<Compute<T>>(),
                                .relu = options.relu,
                                .y = y.data<T>(),
                                .mask = nullptr};
      run(
          "batch_norm.rematerialise", {in, y},
          [&] {
            if constexpr (kOnCpu<T>) batch_norm_apply(p);
          },
          [&] { cuda::batch_norm_apply(p); });
    });
    return y;
  }

  std::optional<ChannelAffine> as_affine() override {
    const Tensor in = readable(x.get(*this), false);
    return ChannelAffine{in, row_stride(in), scale, shift, options.relu, mean};
  }

  bool wants(std::size_t at) const { return at != 0 && needs(at); }

  Grads backward(const Tensor& gy) override {
    if (grad_enabled()) return composed(gy);
    return dispatch_number(name(), dtype, [&]<class T>(T) { return fused<T>(gy); });
  }

  template <class T>
  Grads fused(const Tensor& gy) {
    const Tensor in = readable(x.get(*this), mask.defined());
    const Format order = rows_of_channels(in);
    const std::int64_t channels = in.shape()[1], rows = channels == 0 ? 0 : in.numel() / channels;
    // A gradient that nobody else will look at is overwritten by the one that takes its place.
    const bool spare = !gy.is_contiguous(order) || gy.unique_storage();
    const Tensor g = dense(gy.detach(), order);
    const Gate gate = !options.relu ? Gate::none : residual_at != 0 ? Gate::from_bits : Gate::from_x;

    Grads grads(inputs.size());
    const TensorOptions per_channel{.dtype = compute_dtype(dtype), .device = gy.device()};
    const TensorOptions like_rows{.dtype = dtype, .device = gy.device(), .format = order};
    if (wants(weight_at)) grads[weight_at] = empty({channels}, per_channel);
    if (wants(bias_at)) grads[bias_at] = empty({channels}, per_channel);
    if (wants(residual_at)) grads[residual_at] = !options.relu || spare ? g : empty(in.shape(), like_rows);
    // The layers of a dense block all read its channels: each adds to their gradient where it lies.
    Tensor so_far;
    if (as_on_cpu(in) && rows > kFewValues) so_far = claim_gradient(*this, 0);
    if (so_far.defined() && row_stride(so_far) == 0) so_far = dense(so_far, order);
    const bool add = so_far.defined();
    if (needs(0)) grads[0] = add ? so_far : spare && !wants(residual_at) ? g : empty(in.shape(), like_rows);

    const auto on_cpu = [&] {
      if constexpr (kOnCpu<T>) fused_on_cpu<T>(in, g, gate, rows, channels, add, grads);
    };
    const auto on_cuda = [&] {
      cuda::batch_norm_backward<T>().run(
          {.rows = rows,
           .channels = channels,
           .training = options.training,
           .eps = options.eps,
           .gate = gate,
           .x = in.data<T>(),
           .gy = g.data<T>(),
           .scale = scale.data<Compute<T>>(),
           .shift = shift.data<Compute<T>>(),
           .mask = mask.defined() ? static_cast<const std::uint32_t*>(mask.data_ptr()) : nullptr,
           .mean = mean.data<double>(),
           .inv_std = inv_std.data<double>(),
           .gweight = wants(weight_at) ? grads[weight_at].data<Compute<T>>() : nullptr,
           .gbias = wants(bias_at) ? grads[bias_at].data<Compute<T>>() : nullptr,
           .gx = needs(0) ? grads[0].data<T>() : nullptr,
           .gres = wants(residual_at) && options.relu ? grads[residual_at].data<T>() : nullptr});
    };
    run("batch_norm.backward", {gy, in, grads[0]}, on_cpu, on_cuda);
    return grads;
  }

  template <class T>
  void fused_on_cpu(const Tensor& in, const Tensor& g, Gate gate, std::int64_t rows, std::int64_t channels, bool add,
                    Grads& grads) const {
    const auto n = static_cast<std::size_t>(channels);
    const double* mu = mean.data<double>();
    const double* istd = inv_std.data<double>();
    const T* s = scale.data<T>();
    const T* t = shift.data<T>();
    const auto* bits = mask.defined() ? static_cast<const std::uint32_t*>(mask.data_ptr()) : nullptr;
    const std::vector<T> center(mu, mu + n);
    const std::int64_t x_stride = row_stride(in);
    std::vector<double> sum_g(n), sum_gx(n);
    if ((needs(0) && options.training) || wants(weight_at) || wants(bias_at)) {
      const bool forced = !forced_candidate("batch_norm.backward_reduce").empty();
      if (const auto taken = forced ? nullptr : gradient_sums(g, scale)) {
        sum_g = taken->sum_g, sum_gx = taken->sum_gx;
      } else {
        batch_norm_backward_reduce<T>({rows, channels, x_stride, in.data<T>(), g.data<T>(), gate, s, t, bits,
                                       center.data(), sum_g.data(), sum_gx.data()});
      }
    }
    for (std::size_t c = 0; c < n && wants(weight_at); ++c)
      grads[weight_at].data<T>()[c] = static_cast<T>(sum_gx[c] * istd[c]);
    for (std::size_t c = 0; c < n && wants(bias_at); ++c) grads[bias_at].data<T>()[c] = static_cast<T>(sum_g[c]);

    T* gx = needs(0) ? grads[0].data<T>() : nullptr;
    T* gres = wants(residual_at) && options.relu ? grads[residual_at].data<T>() : nullptr;
    if (gx == nullptr && gres == nullptr) return;
    // gx = scale * (g - mean(g) - xhat * mean(g * xhat)); constant statistics have no such corrections.
    std::vector<T> b(n), c0(n);
    if (options.training)
      for (std::size_t c = 0; c < n; ++c) {
        const double share = static_cast<double>(s[c]) / static_cast<double>(rows);
        b[c] = static_cast<T>(-share * istd[c] * istd[c] * sum_gx[c]);
        c0[c] = static_cast<T>(-share * sum_g[c]);
      }
    // gx may be g: what few values need is computed before and written after.
    const bool few = options.training && gx != nullptr && rows <= kFewValues;
    const std::vector<T> exact =
        few ? few_values_gx<T>(rows, channels, in.data<T>(), g.data<T>(), gate, s, t, bits) : std::vector<T>{};
    batch_norm_backward_apply<T>({.rows = rows,
                                  .channels = channels,
                                  .x_stride = x_stride,
                                  .x = in.data<T>(),
                                  .gy = g.data<T>(),
                                  .gate = gate,
                                  .scale = s,
                                  .shift = t,
                                  .mask = bits,
                                  .mean = center.data(),
                                  .a = s,
                                  .b = b.data(),
                                  .c = c0.data(),
                                  .add = add,
                                  .gx = gx,
                                  .gx_stride = gx != nullptr ? row_stride(grads[0]) : 0,
                                  .gres = gres});
    std::copy(exact.begin(), exact.end(), gx);
  }

  /// Of a handful of values per channel, the terms of gx cancel almost entirely (of two values, all but eps / var of
  /// them), and with them the digits of f32: so all of it in double, statistics included.
  template <class T>
  std::vector<T> few_values_gx(std::int64_t rows, std::int64_t channels, const T* in, const T* gy, Gate gate,
                               const T* s, const T* t, const std::uint32_t* bits) const {
    const auto size = static_cast<std::size_t>(rows * channels);
    std::vector<T> open(size, T(1)), gx(size);
    if (gate == Gate::from_bits) batch_norm_expand_mask(bits, rows, channels, open.data());
    const auto count = static_cast<double>(rows);
    for (std::int64_t c = 0; c < channels; ++c) {
      double center = 0, m2 = 0, sum_g = 0, sum_gx = 0;
      for (std::int64_t i = 0; i < rows; ++i) center += static_cast<double>(in[i * channels + c]) / count;
      const auto distance = [&](std::int64_t i) { return static_cast<double>(in[i * channels + c]) - center; };
      const auto gated = [&](std::int64_t i) {
        const std::int64_t at = i * channels + c;
        if (gate == Gate::from_x && !(std::fma(in[at], s[c], t[c]) > 0)) return 0.0;
        return static_cast<double>(gy[at] * open[static_cast<std::size_t>(at)]);
      };
      for (std::int64_t i = 0; i < rows; ++i) {
        m2 += distance(i) * distance(i);
        sum_g += gated(i);
        sum_gx += gated(i) * distance(i);
      }
      const double slope = sum_gx / (m2 + count * options.eps);  // mean(g xhat) / std
      for (std::int64_t i = 0; i < rows; ++i)
        gx[static_cast<std::size_t>(i * channels + c)] =
            static_cast<T>(static_cast<double>(s[c]) * (gated(i) - sum_g / count - distance(i) * slope));
    }
    return gx;
  }

  /// The same in recorded operators. ReLU's gate is a constant there: its own derivative is 0 wherever it has one.
  Grads composed(const Tensor& gy_any) {
    // In what the dtype is computed in; the results go back to the inputs' own.
    const DType compute = compute_dtype(dtype);
    const Tensor in = to(contiguous(x.get(*this), rows_of_channels(x.get(*this))), compute), gy = to(gy_any, compute);
    Shape per_channel = Shape::filled(in.rank(), 1);
    per_channel[1] = in.shape()[1];
    Dims others{0};
    for (int d = 2; d < in.rank(); ++d) others.push_back(d);

    Tensor centered, istd;
    if (options.training) {
      centered = in - gradus::mean(in, others, true);
      istd = rsqrt(gradus::mean(square(centered), others, true) + options.eps);
    } else {
      centered = in - reshape(to(mean, compute), per_channel);
      istd = reshape(to(inv_std, compute), per_channel);
    }
    const Tensor normal = centered * istd;
    const Tensor g = options.relu ? gy * open_gate(in.detach(), per_channel) : gy;

    Grads grads(inputs.size());
    if (wants(weight_at)) grads[weight_at] = reshape(sum(g * normal, others), {in.shape()[1]});
    if (wants(bias_at)) grads[bias_at] = sum(g, others);
    if (wants(residual_at)) grads[residual_at] = to(g, dtype);
    if (needs(0)) {
      Tensor factor = istd;
      if (weight.defined()) factor = factor * reshape(weight.get(*this), per_channel);
      grads[0] = options.training
                     ? factor * (g - gradus::mean(g, others, true) - normal * gradus::mean(g * normal, others, true))
                     : factor * g;
      grads[0] = to(grads[0], dtype);
    }
    return grads;
  }

  /// 1 where y > 0, else 0, off the tape.
  Tensor open_gate(const Tensor& in, const Shape& per_channel) {
    const NoGrad off;
    if (residual_at == 0)
      return greater(in * reshape(scale, per_channel) + reshape(shift, per_channel),
                     zeros({}, {.dtype = in.dtype(), .device = in.device()}));
    Tensor open = empty_like(in);
    const std::int64_t channels = in.shape()[1];
    const auto* words = static_cast<const std::uint32_t*>(mask.data_ptr());
    dispatch_float(name(), in.dtype(), [&]<class T>(T) {
      run(
          "batch_norm.expand_mask", {in, open},
          [&] { batch_norm_expand_mask(words, channels == 0 ? 0 : in.numel() / channels, channels, open.data<T>()); },
          [&] { cuda::batch_norm_expand_mask(words, in.numel(), open.data<T>()); });
    });
    return open;
  }
};

void check_operands(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                    const Tensor& bias, const BatchNormOptions& options, const Tensor& residual) {
  if (x.rank() != 2 && x.rank() != 4)
    fail<ShapeError>("batch_norm: takes [N,C] or [N,C,H,W]\n{}", describe({{"x", &x}}));
  const std::initializer_list<std::pair<const char*, const Tensor*>> operands = {
      {"x", &x},       {"running_mean", &running_mean}, {"running_var", &running_var}, {"weight", &weight},
      {"bias", &bias}, {"residual", &residual}};
  check_same_device("batch_norm", operands);
  check_number("batch_norm", x);
  check_same_dtype("batch_norm", {{"x", &x}, {"residual", &residual}});
  const std::initializer_list<std::pair<const char*, const Tensor*>> per_channel = {
      {"running_mean", &running_mean}, {"running_var", &running_var}, {"weight", &weight}, {"bias", &bias}};
  for (const auto& [operand, tensor] : per_channel)
    if (tensor->defined() && tensor->dtype() != compute_dtype(x.dtype()))
      fail<DTypeError>("batch_norm: beside x of {}, {} is {} (convert with to())\n{}", dtype_name(x.dtype()), operand,
                       dtype_name(compute_dtype(x.dtype())), describe({{"x", &x}, {operand, tensor}}));
  const std::int64_t channels = x.shape()[1];
  for (const auto& [operand, tensor] : operands) {
    if (!tensor->defined() || tensor == &x || tensor == &residual) continue;
    if (tensor->shape() != Shape{channels})
      fail<ShapeError>("batch_norm: {} is not [{}], one value per channel of x\n{}", operand, channels,
                       describe({{"x", &x}, {operand, tensor}}));
  }
  if (residual.defined() && residual.shape() != x.shape())
    fail<ShapeError>("batch_norm: residual does not have x's shape\n{}",
                     describe({{"x", &x}, {"residual", &residual}}));
  check(options.eps > 0, "batch_norm: eps {} is not above 0", options.eps);
  check(options.momentum >= 0 && options.momentum <= 1, "batch_norm: momentum {} is not in [0, 1]", options.momentum);
  check(running_mean.defined() == running_var.defined(), "batch_norm: of running_mean and running_var one is missing");
  if (options.training) {
    const std::int64_t values = channels == 0 ? 2 : x.numel() / channels;
    if (values <= 1)
      fail<ShapeError>("batch_norm: training needs more than 1 value per channel, got {}\n{}", values,
                       describe({{"x", &x}}));
  } else {
    if (!running_mean.defined())
      fail("batch_norm: outside training it needs running_mean and running_var\n{}", describe({{"x", &x}}));
  }
}

/// r = (1 - momentum) r + momentum s
template <class T>
void follow(const Tensor& running, const std::vector<double>& batch, double factor, double momentum) {
  T* r = running.data<T>();
  const std::int64_t stride = running.strides()[0];
  for (std::size_t c = 0; c < batch.size(); ++c) {
    T& value = r[static_cast<std::int64_t>(c) * stride];
    value = static_cast<T>((1 - momentum) * static_cast<double>(value) + momentum * factor * batch[c]);
  }
}

/// Statistics of x, as far as they are not known. Every layer of a dense block reads the channels that the one before
/// it read, and a few more: only those are new.
template <class T>
Moments moments_of(const Tensor& x, std::int64_t rows, std::int64_t channels) {
  const std::int64_t stride = row_stride(x);
  const bool forced = !forced_candidate("batch_norm.stats").empty();
  const std::shared_ptr<KeptMoments> kept = forced ? nullptr : kept_moments(x, rows, stride);
  const auto known = kept ? static_cast<std::int64_t>(kept->moments.mean.size()) : 0;
  const auto n = static_cast<std::size_t>(channels);
  if (kept && known >= channels) {
    Moments moments = kept->moments;
    moments.mean.resize(n), moments.m2.resize(n);
    return moments;
  }
  Moments moments = batch_norm_stats(x.data<T>() + known, rows, channels - known, stride);
  if (kept) {
    const Moments& before = kept->moments;
    moments.mean.insert(moments.mean.begin(), before.mean.begin(), before.mean.end());
    moments.m2.insert(moments.m2.begin(), before.m2.begin(), before.m2.end());
  }
  if (stride > channels) keep_moments(x, stride, moments);
  return moments;
}

/// `deferred`, if not null, receives how y is computed; nothing is then written for it.
Tensor normalise(const Tensor& x_any, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                 const Tensor& bias, const BatchNormOptions& options, const Tensor& residual_given,
                 ChannelAffine* deferred) {
  const Tensor residual_any = like_operand(residual_given, x_any);
  check_operands(x_any, running_mean, running_var, weight, bias, options, residual_any);
  const Format order = rows_of_channels(x_any);
  const Tensor x = readable(x_any, options.relu && residual_any.defined());
  const Tensor residual = residual_any.defined() ? contiguous(residual_any, order) : Tensor();
  const std::int64_t channels = x.shape()[1], rows = channels == 0 ? 0 : x.numel() / channels;
  const TensorOptions like{.dtype = compute_dtype(x.dtype()), .device = x.device()};
  const TensorOptions f64{.dtype = DType::f64, .device = x.device()};

  std::vector<Tensor> inputs{x_any};
  auto node = std::make_shared<BatchNormNode>();
  const auto add_input = [&](const Tensor& t) -> std::size_t {
    if (!t.defined()) return 0;
    inputs.push_back(t);
    return inputs.size() - 1;
  };
  node->weight_at = add_input(weight);
  node->bias_at = add_input(bias);
  node->residual_at = add_input(residual);
  const bool recorded = recording(inputs);

  const TensorOptions like_x{.dtype = x.dtype(), .device = x.device(), .format = order};
  Tensor y = deferred ? expand(zeros(Shape::filled(x.rank(), 1), like_x), x.shape()) : empty(x.shape(), like_x);
  node->options = options;
  node->mean = empty({channels}, f64);
  node->inv_std = empty({channels}, f64);
  node->scale = empty({channels}, like);
  node->shift = empty({channels}, like);
  if (recorded && options.relu && residual.defined())
    node->mask = empty({4 * batch_norm_mask_words(rows, channels)}, {.dtype = DType::u8, .device = x.device()});

  dispatch_number("batch_norm", x.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    const Tensor w = weight.defined() ? dense(weight.detach(), Format::contiguous) : Tensor();
    const Tensor b = bias.defined() ? dense(bias.detach(), Format::contiguous) : Tensor();
    const C* weight_data = w.defined() ? w.data<C>() : nullptr;
    const C* bias_data = b.defined() ? b.data<C>() : nullptr;
    const T* residual_data = residual.defined() ? residual.data<T>() : nullptr;
    auto* mask = node->mask.defined() ? static_cast<std::uint32_t*>(node->mask.data_ptr()) : nullptr;
    const bool follows = options.training && running_mean.defined() && !recomputing();
    const auto on_cpu = [&] {
      if constexpr (kOnCpu<T>) {
        std::vector<double> mean, var;
        if (options.training) {
          Moments moments = moments_of<T>(x, rows, channels);
          mean = std::move(moments.mean);
          var = std::move(moments.m2);
          for (double& v : var) v /= static_cast<double>(moments.count);
          if (follows) {
            const auto n = static_cast<double>(moments.count);
            follow<T>(running_mean, mean, 1, options.momentum);
            follow<T>(running_var, var, n / (n - 1), options.momentum);
          }
        } else {
          mean = running_mean.to_vector<double>();
          var = running_var.to_vector<double>();
        }
        double* istd = node->inv_std.data<double>();
        for (std::size_t c = 0; c < var.size(); ++c) istd[c] = 1 / std::sqrt(var[c] + options.eps);
        std::copy(mean.begin(), mean.end(), node->mean.data<double>());
        const ScaleShift s = batch_norm_scale_shift(channels, mean.data(), istd, weight_data, bias_data);
        T* scale = node->scale.data<T>();
        T* shift = node->shift.data<T>();
        std::copy(s.scale.begin(), s.scale.end(), scale);
        std::copy(s.shift.begin(), s.shift.end(), shift);
        if (deferred) return;
        batch_norm_apply<T>(
            {rows, channels, row_stride(x), x.data<T>(), residual_data, scale, shift, options.relu, y.data<T>(), mask});
      }
    };
    const auto on_cuda = [&] {
      const bool tracked = follows || !options.training;
      cuda::batch_norm<T>().run({.rows = rows,
                                 .channels = channels,
                                 .training = options.training,
                                 .relu = options.relu,
                                 .momentum = options.momentum,
                                 .eps = options.eps,
                                 .x = x.data<T>(),
                                 .residual = residual_data,
                                 .weight = weight_data,
                                 .bias = bias_data,
                                 .running_mean = tracked ? running_mean.data<C>() : nullptr,
                                 .running_var = tracked ? running_var.data<C>() : nullptr,
                                 .running_mean_step = tracked ? running_mean.strides()[0] : 0,
                                 .running_var_step = tracked ? running_var.strides()[0] : 0,
                                 .y = y.data<T>(),
                                 .mask = mask,
                                 .mean = node->mean.data<double>(),
                                 .inv_std = node->inv_std.data<double>(),
                                 .scale = node->scale.data<C>(),
                                 .shift = node->shift.data<C>()});
    };
    run("batch_norm", {x, residual, y}, on_cpu, on_cuda);
    if (deferred) *deferred = {x, row_stride(x), node->scale, node->shift, options.relu, node->mean};
    if (follows && !x.is_meta()) {
      running_mean.written("batch_norm");
      running_var.written("batch_norm");
    }
  });
  if (recorded) {
    node->x = x_any;
    if (weight.defined()) node->weight = weight;
    attach(y, std::move(node), inputs);
  }
  return y;
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& options, const Tensor& residual) {
  return normalise(x, running_mean, running_var, weight, bias, options, residual, nullptr);
}

DeferredBatchNorm batch_norm_deferred(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                                      const Tensor& weight, const Tensor& bias, const BatchNormOptions& options) {
  check(as_on_cpu(x), "batch_norm_deferred: on the CPU alone\n{}", describe({{"x", &x}}));
  DeferredBatchNorm result;
  result.y = normalise(x, running_mean, running_var, weight, bias, options, {}, &result.from);
  return result;
}

}  // namespace gradus
