#include "ops/conv2d/conv2d_bench.hpp"

#include "core/random.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {

void bench_conv2d(BenchList& list) {
  struct Row {
    const char* label;
    Shape x, weight;
    Conv2dOptions options;
    bool input_grad = true;  // a first layer needs none
  };
  const Row rows[] = {
      {"3x3 3->16 @32, batch 128", {128, 3, 32, 32}, {16, 3, 3, 3}, {.padding = 1}, false},
      {"3x3 16->16 @32, batch 128", {128, 16, 32, 32}, {16, 16, 3, 3}, {.padding = 1}},
      {"3x3/2 16->32 @32, batch 128", {128, 16, 32, 32}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}},
      {"3x3 32->32 @16, batch 128", {128, 32, 16, 16}, {32, 32, 3, 3}, {.padding = 1}},
      {"3x3/2 32->64 @16, batch 128", {128, 32, 16, 16}, {64, 32, 3, 3}, {.stride = 2, .padding = 1}},
      {"3x3 64->64 @8, batch 128", {128, 64, 8, 8}, {64, 64, 3, 3}, {.padding = 1}},
      {"7x7/2 3->64 @224, batch 8", {8, 3, 224, 224}, {64, 3, 7, 7}, {.stride = 2, .padding = 3}, false},
      {"3x3 3->64 @224, batch 4", {4, 3, 224, 224}, {64, 3, 3, 3}, {.padding = 1}, false},
      {"3x3 64->64 @56, batch 8", {8, 64, 56, 56}, {64, 64, 3, 3}, {.padding = 1}},
      {"3x3 128->128 @28, batch 8", {8, 128, 28, 28}, {128, 128, 3, 3}, {.padding = 1}},
      {"3x3 256->256 @14, batch 8", {8, 256, 14, 14}, {256, 256, 3, 3}, {.padding = 1}},
      {"3x3 512->512 @7, batch 8", {8, 512, 7, 7}, {512, 512, 3, 3}, {.padding = 1}},
      {"1x1 64->256 @56, batch 8", {8, 64, 56, 56}, {256, 64, 1, 1}, {}},
      {"1x1 256->1024 @14, batch 8", {8, 256, 14, 14}, {1024, 256, 1, 1}, {}},
      {"1x1/2 256->512 @56, batch 8", {8, 256, 56, 56}, {512, 256, 1, 1}, {.stride = 2}},
      {"3x3 32x4 groups @56, batch 8", {8, 128, 56, 56}, {128, 4, 3, 3}, {.padding = 1, .groups = 32}},
      {"3x3 32x16 groups @14, batch 8", {8, 512, 14, 14}, {512, 16, 3, 3}, {.padding = 1, .groups = 32}},
      {"3x3 depthwise 144 @56, batch 8", {8, 144, 56, 56}, {144, 1, 3, 3}, {.padding = 1, .groups = 144}},
  };
  for (const Row& row : rows) {
    const Tensor x = randn(row.x, {.format = Format::channels_last});
    const Tensor w = randn(row.weight, {.format = Format::channels_last});
    const Tensor gy = conv2d(x, w, {}, row.options);
    const double flops = 2.0 * static_cast<double>(gy.numel()) * static_cast<double>(w.numel() / w.size(0));
    const double bytes = static_cast<double>(x.bytes() + w.bytes() + gy.bytes());
    list.push_back({"conv2d.forward", row.label, flops, bytes, [=] { conv2d(x, w, {}, row.options); }});
    if (row.input_grad)
      list.push_back({"conv2d.backward_input", row.label, flops, bytes,
                      [=] { conv2d_input_grad(gy, w, x.shape(), row.options); }});
    list.push_back({"conv2d.backward_weight", row.label, flops, bytes,
                    [=] { conv2d_weight_grad(x, gy, w.shape(), row.options); }});
  }
}

namespace {

template <class Problem>
std::vector<std::string> supporting(const Candidates<Problem>& kernels, const Problem& problem) {
  std::vector<std::string> names;
  for (const Candidate<Problem>& c : kernels.all())
    if (c.supports(problem)) names.emplace_back(c.name);
  return names;
}

/// The candidates of the device's list.
template <class Cpu, class Cuda, class Problem>
std::vector<std::string> supporting_on(Device device, Cpu&& cpu, [[maybe_unused]] Cuda&& cuda, const Problem& problem) {
  if constexpr (kHasCuda)
    if (device.type == DeviceType::cuda) return supporting(cuda(), problem);
  return supporting(cpu(), problem);
}

}  // namespace

std::vector<KernelCase> conv2d_kernel_cases(const Shape& x_shape, const Shape& w_shape, const Conv2dOptions& o,
                                            Device device, DType dtype) {
  const auto random = [&](const Shape& shape) {
    return to(to(randn(shape, {.format = Format::channels_last}), device), dtype);
  };
  const Tensor x = random(x_shape), w = random(w_shape), gy = random(conv2d(x, w, {}, o).shape());
  const ConvShape c{.N = x.size(0),
                    .C = x.size(1),
                    .H = x.size(2),
                    .W = x.size(3),
                    .K = w.size(0),
                    .R = w.size(2),
                    .S = w.size(3),
                    .P = gy.size(2),
                    .Q = gy.size(3),
                    .stride_h = o.stride.h,
                    .stride_w = o.stride.w,
                    .padding_h = o.padding.h,
                    .padding_w = o.padding.w,
                    .dilation_h = o.dilation.h,
                    .dilation_w = o.dilation.w,
                    .groups = o.groups};
  const double flops = 2 * c.multiply_adds(), bytes = static_cast<double>(x.bytes() + w.bytes() + gy.bytes());
  const auto on = [&](auto&& cpu, auto&& cuda, const auto& problem) {
    return supporting_on(device, cpu, cuda, problem);
  };
  return {
      {"conv2d.forward", flops, bytes,
       on(
           []() -> auto& { return cpu::conv2d_forward(); }, []() -> auto& { return cuda::conv2d_forward(); },
           ConvForward{c, dtype, nullptr, nullptr, nullptr, nullptr}),
       [=] { return conv2d(x, w, {}, o); }},
      {"conv2d.backward_input", flops, bytes,
       on(
           []() -> auto& { return cpu::conv2d_backward_input(); },
           []() -> auto& { return cuda::conv2d_backward_input(); },
           ConvBackwardInput{c, dtype, nullptr, nullptr, nullptr}),
       [=] { return conv2d_input_grad(gy, w, x.shape(), o); }},
      {"conv2d.backward_weight", flops, bytes,
       on(
           []() -> auto& { return cpu::conv2d_backward_weight(); },
           []() -> auto& { return cuda::conv2d_backward_weight(); },
           ConvBackwardWeight{c, dtype, nullptr, nullptr, nullptr}),
       [=] { return conv2d_weight_grad(x, gy, w.shape(), o); }},
  };
}

}  // namespace gradus
