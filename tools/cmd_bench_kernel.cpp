// gradus bench kernel: every candidate of a kernel on one problem, or on each layer of a network; with --check, what a
// CUDA candidate's accesses to memory do.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/parallel.hpp"
#include "core/random.hpp"
#include "nn/layers/conv2d.hpp"
#include "ops/candidates.hpp"
#include "ops/conv2d/conv2d_bench.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/peak.hpp"
#include "ops/view/view.hpp"
#include "tools/kernel_check.hpp"
#include "tools/machine.hpp"
#include "tools/precision.hpp"
#include "tools/program.hpp"
#include "tools/timing.hpp"
#include "zoo/registry.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Options {
  std::string kernel, shape = "8x64x56x56", weight = "64x64x3x3", layers, input, device = "cpu", dtype = "f32";
  std::int64_t stride = 1, padding = -1, dilation = 1, groups = 1, batch = 16;
  int threads = 0;
  double seconds = 0.2;
  bool as_json = false, check = false, tf32 = false;
  std::string gpu = "H100", ptxas;
};

/// One convolution, and in how many layers of the network it stands.
struct Problem {
  Shape x, weight;
  Conv2dOptions options;
  std::string label;
  int layers = 1;
};

/// "8x64x56x56" as a shape of four sizes.
Shape parse_shape(const char* option, const std::string& text) {
  long n = 0, c = 0, h = 0, w = 0;
  int end = 0;
  const int read = std::sscanf(text.c_str(), "%ldx%ldx%ldx%ld%n", &n, &c, &h, &w, &end);
  const long least = std::min({n, c, h, w}), most = std::max({n, c, h, w});
  check<UsageError>(read == 4 && end == static_cast<int>(text.size()) && least > 0 && most <= 65'536,
                    "{}: takes four sizes such as 8x64x56x56, got \"{}\"", option, text);
  return {n, c, h, w};
}

/// "96x64" as a matrix of 96 rows and 64 columns.
Shape parse_matrix(const char* option, const std::string& text) {
  long rows = 0, columns = 0;
  int end = 0;
  const int read = std::sscanf(text.c_str(), "%ldx%ld%n", &rows, &columns, &end);
  check<UsageError>(read == 2 && end == static_cast<int>(text.size()) && std::min(rows, columns) > 0 &&
                        std::max(rows, columns) <= 65'536,
                    "{}: takes two sizes such as 96x64, got \"{}\"", option, text);
  return {rows, columns};
}

std::string label_of(const Shape& x, const Shape& w, const Conv2dOptions& o) {
  std::string text = fmt::format("{}x{}", w[2], w[3]);
  if (o.stride.h != 1) text += fmt::format("/{}", o.stride.h);
  text += fmt::format(" {}->{} @{}", x[1], w[0], x[2]);
  if (o.groups != 1) text += fmt::format(", {} groups", o.groups);
  return text + fmt::format(", batch {}", x[0]);
}

/// Notes every convolution as it runs; equal ones once.
struct ConvRecorder final : ForwardObserver {
  explicit ConvRecorder(std::int64_t n) : batch(n) {}
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor&) override {
    const auto* conv = dynamic_cast<const Conv2d*>(&module);
    if (conv == nullptr) return;
    const Conv2dConfig& c = conv->config();
    const Conv2dOptions options{.stride = c.stride, .padding = c.padding, .dilation = c.dilation, .groups = c.groups};
    const Shape shape{batch, x.size(1), x.size(2), x.size(3)};
    const Shape weight = conv->weight.shape();
    const std::string key = to_string(shape) + to_string(weight) + to_string(options);
    if (const auto found = index.find(key); found != index.end()) {
      ++problems[found->second].layers;
      return;
    }
    index[key] = problems.size();
    problems.push_back({shape, weight, options, label_of(shape, weight, options)});
  }
  std::int64_t batch;
  std::vector<Problem> problems;
  std::map<std::string, std::size_t> index;
};

std::vector<Problem> problems_of(const Options& o) {
  if (o.layers.empty()) {
    const Shape x = parse_shape("--shape", o.shape), w = parse_shape("--weight", o.weight);
    Conv2dOptions options{.stride = o.stride, .dilation = o.dilation, .groups = o.groups};
    options.padding = o.padding >= 0 ? Pair(o.padding) : Pair(w[2] / 2, w[3] / 2);
    return {{x, w, options, label_of(x, w, options)}};
  }
  InputSize in{.channels = 3, .height = 0, .width = 0};
  if (!o.input.empty()) in = parse_input(o.input);
  const bool small = in.height > 0 && in.height <= 64;
  const zoo::ModelInfo& info = zoo::find_model(o.layers, small);
  const ConstructOn meta(kMeta);
  const NoGrad off;
  const auto net = zoo::build(info.name, {.image_channels = in.channels, .image_size = in.height}, small);
  net->eval();
  ConvRecorder recorder(o.batch);
  const std::int64_t side = in.height > 0 ? in.height : info.input;
  (*net)(empty({1, in.channels, side, side}, {.device = kMeta}));
  return recorder.problems;
}

/// Largest difference from the reference, of the reference's largest magnitude; on as few images as the candidate
/// takes, because the reference is as slow as it is plain.
double error_of(const Problem& p, std::size_t kernel, const std::string& candidate, Device device, DType dtype) {
  Shape few = p.x;
  KernelCase c;
  for (few[0] = 1;; few[0] = std::min(2 * few[0], p.x[0])) {
    manual_seed(1);
    c = conv2d_kernel_cases(few, p.weight, p.options, device, dtype)[kernel];
    if (std::find(c.candidates.begin(), c.candidates.end(), candidate) != c.candidates.end()) break;
    if (few[0] == p.x[0]) return NAN;
  }
  const auto run = [&](const std::string& name) {
    const ForceKernel forced(c.kernel, name);
    return to(c.run(), kCpu).to_vector<double>();
  };
  const std::vector<double> expected = run(c.candidates.back()), got = run(candidate);
  double most = 0, off = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    most = std::max(most, std::abs(expected[i]));
    off = std::max(off, std::abs(got[i] - expected[i]));
  }
  return off / most;
}

/// On a device as many runs are queued as take about 10 ms, at most 50, before one waits: what is timed is the kernels
/// and not their launches.
double time_ms(const std::function<Tensor()>& run, Device device, double seconds) {
  if (device == kCpu) return median_ms([&] { run(); }, seconds);
  const auto wait_for = [](const Tensor& y) { (void)y.as_strided({1}, {1}, 0).item(); };  // and what was queued before
  const auto queue = [&](int runs) {
    for (int i = 1; i < runs; ++i) run();
    wait_for(run());
  };
  wait_for(run());
  const double once = median_ms([&] { queue(1); }, 0);
  const int runs = std::clamp(static_cast<int>(10 / once), 1, 50);
  return runs == 1 ? once : median_ms([&] { queue(runs); }, seconds) / runs;
}

/// What a large matrix product by the device's library reaches: the peak that counts.
double device_gflops(Device device, DType dtype) {
  constexpr std::int64_t n = 4096;
  const Tensor a = to(to(randn({n, n}), device), dtype);
  return 2.0 * n * n * n / time_ms([&] { return matmul(a, a); }, device, 0.5) * 1e-6;
}
/// What a copy of 256 MiB reaches, counting both sides.
Bandwidth device_bandwidth(Device device) {
  const Tensor x = zeros({64 << 20}, {.device = device});
  const double copy = 2.0 * static_cast<double>(x.bytes()) / time_ms([&] { return x.clone(); }, device, 0.5) * 1e-6;
  return {.read = copy, .copy = copy};
}

void bench(const Options& o) {
  constexpr std::array<const char*, 3> kKernels{"conv2d.forward", "conv2d.backward_input", "conv2d.backward_weight"};
  const bool known = o.kernel == "conv2d" || std::find(kKernels.begin(), kKernels.end(), o.kernel) != kKernels.end();
  check<UsageError>(known, "bench kernel: takes conv2d, {}, {} or {}, got \"{}\" (`gradus bench op` times the others)",
                    kKernels[0], kKernels[1], kKernels[2], o.kernel);
  check<UsageError>(o.seconds > 0 && o.batch > 0, "bench kernel: --seconds and --batch must be positive");
  if (o.threads > 0) reading_options([&] { set_num_threads(o.threads); });
  const std::vector<Problem> problems = reading_options([&] { return problems_of(o); });
  check<UsageError>(!problems.empty(), "bench kernel: {} has no convolutions", o.layers);
  const Device device = chosen_device(o.device);
  (void)compute_on(device, false, o.tf32);
  const DType dtype = reading_options([&] { return dtype_from_name(o.dtype.c_str()); });
  const double flops = device == kCpu ? measure_flops() : device_gflops(device, dtype);
  const Bandwidth bandwidth = device == kCpu ? measure_bandwidth() : device_bandwidth(device);
  const double most_bytes = std::max(bandwidth.read, bandwidth.copy);
  const Machine machine = describe_machine();
  if (!o.as_json) {
    fmt::print("{}: {} kernels, {}, {} threads\n", engine_name(), machine.isa, machine.blas, num_threads());
    for (const std::string& warning : machine.warnings) fmt::print("warning: {}\n", warning);
    fmt::print("measured: {:.0f} GFLOP/s {}, read {:.1f} GB/s, copy {:.1f} GB/s; * is what runs if none is forced\n\n",
               flops, o.dtype, bandwidth.read, bandwidth.copy);
    fmt::print("{:<24} {:<36} {:>6} {:<14} {:>10} {:>9} {:>6} {:>6} {:>9}\n", "kernel", "problem", "layers",
               "candidate", "ms", "GFLOP/s", "flops", "bytes", "error");
  }
  json rows = json::array();
  double chosen_ms = 0, best_ms = 0;
  for (const Problem& p : problems) {
    const std::vector<KernelCase> cases =
        reading_options([&] { return conv2d_kernel_cases(p.x, p.weight, p.options, device, dtype); });
    for (std::size_t k = 0; k < cases.size(); ++k) {
      const KernelCase& c = cases[k];
      if (o.kernel != "conv2d" && o.kernel != c.kernel) continue;
      double least = INFINITY;
      for (std::size_t i = 0; i < c.candidates.size(); ++i) {
        const std::string& name = c.candidates[i];
        // The definition takes minutes on a large problem, and is not what anybody waits for.
        if (name == c.candidates.back() && c.flops > (device == kCpu ? 1e9 : 1e12)) continue;
        const ForceKernel forced(c.kernel, name);
        const double ms = time_ms(c.run, device, o.seconds), error = error_of(p, k, name, device, dtype);
        const double gflops = c.flops / ms * 1e-6, gbytes = c.bytes / ms * 1e-6;
        if (i == 0) chosen_ms += ms * p.layers;
        least = std::min(least, ms);
        if (o.as_json) {
          rows.push_back({{"kernel", c.kernel},
                          {"problem", p.label},
                          {"x", std::vector<std::int64_t>(p.x.begin(), p.x.end())},
                          {"weight", std::vector<std::int64_t>(p.weight.begin(), p.weight.end())},
                          {"stride", {p.options.stride.h, p.options.stride.w}},
                          {"padding", {p.options.padding.h, p.options.padding.w}},
                          {"dilation", {p.options.dilation.h, p.options.dilation.w}},
                          {"groups", p.options.groups},
                          {"layers", p.layers},
                          {"candidate", name},
                          {"chosen", i == 0},
                          {"ms", ms},
                          {"gflops", gflops},
                          {"share_of_flops", gflops / flops},
                          {"share_of_bandwidth", gbytes / most_bytes},
                          {"error", error}});
        } else {
          fmt::print("{:<24} {:<36} {:>6} {:<14} {:>10.4f} {:>9.1f} {:>4.0f} % {:>4.0f} % {:>9.1e}\n", c.kernel,
                     p.label, p.layers, name + (i == 0 ? " *" : ""), ms, gflops, 100 * gflops / flops,
                     100 * gbytes / most_bytes, error);
          std::fflush(stdout);
        }
      }
      best_ms += least * p.layers;
    }
  }
  if (o.as_json)
    fmt::print("{}\n", json{{"engine", engine_name()},
                            {"isa", machine.isa},
                            {"device", o.device},
                            {"dtype", o.dtype},
                            {"threads", num_threads()},
                            {"gflops_peak", flops},
                            {"read_gbytes_per_second", bandwidth.read},
                            {"copy_gbytes_per_second", bandwidth.copy},
                            {"chosen_ms", chosen_ms},
                            {"best_ms", best_ms},
                            {"rows", rows}}
                           .dump());
  else
    fmt::print("\nall layers: {:.2f} ms as chosen, {:.2f} ms by the fastest of each\n", chosen_ms, best_ms);
}

void check_accesses(const Options& o) {
  gradus::check<UsageError>(o.kernel == "matmul" || o.kernel.starts_with("conv2d"),
                            "bench kernel --check: takes conv2d, conv2d.forward, conv2d.backward_input, "
                            "conv2d.backward_weight or matmul, got \"{}\"",
                            o.kernel);
  check<UsageError>(o.layers.empty(), "bench kernel --check: takes one problem (--shape, --weight), not --layers");
  KernelCheck wanted;
  wanted.kernel = o.kernel, wanted.gpu = o.gpu, wanted.ptxas = o.ptxas, wanted.as_json = o.as_json;
  if (o.kernel == "matmul") {
    wanted.x = parse_matrix("--shape", o.shape), wanted.weight = parse_matrix("--weight", o.weight);
  } else {
    const Problem p = reading_options([&] { return problems_of(o).front(); });
    wanted.x = p.x, wanted.weight = p.weight, wanted.options = p.options;
  }
  if (!check_kernel(wanted)) fail<ValueError>("bench kernel --check: the kernels have faults, listed above");
}

}  // namespace

void add_bench_kernel(Command parent) {
  const Command command = parent.add_command("kernel", "Compare the candidates of a convolution kernel",
                                             "gradus bench kernel conv2d.forward --layers resnet50 --batch 16");
  auto o = std::make_shared<Options>();
  command.add_option("kernel", o->kernel, "conv2d.forward, conv2d.backward_input, conv2d.backward_weight or conv2d")
      .required();
  command.add_option("--layers", o->layers, "take every convolution of this network");
  command.add_option("-b,--batch", o->batch, "images, for --layers").show_default();
  command.add_option("--input", o->input, "channels x height x width, for --layers (default: the network's own)");
  command.add_option("--shape", o->shape, "N x C x H x W of x, without --layers").show_default();
  command.add_option("--weight", o->weight, "K x C/groups x R x S of the weight").show_default();
  command.add_option("--stride", o->stride, "").show_default();
  command.add_option("--padding", o->padding, "(default: half the window)");
  command.add_option("--dilation", o->dilation, "").show_default();
  command.add_option("--groups", o->groups, "").show_default();
  command.add_option("--device", o->device, "cpu or cuda").show_default();
  command.add_option("--dtype", o->dtype, "f32; on cuda also bf16").show_default();
  command.add_flag("--tf32", o->tf32, kTf32Help);
  command.add_option("--threads", o->threads, "threads that compute (0: as the machine has)").show_default();
  command.add_option("--seconds", o->seconds, "time for each candidate").show_default();
  command.add_flag("--json", o->as_json, "print one JSON object");
  command.add_flag("--check", o->check,
                   "look at every access of the CUDA candidates in emulation, in f32, TF32 and bf16, on 2x16x10x10 by "
                   "24x16x3x3 if not told; also of matmul, 72x64 by 64x80");
  command.add_option("--gpu", o->gpu, "whose occupancy --check tells: A100, H100, B200, …").show_default();
  command.add_option("--ptxas", o->ptxas, "a file with the output of nvcc -Xptxas -v, for --check to tell registers");
  command.callback([o, command] {
    if (!o->check) return bench(*o);
    const bool matrices = o->kernel == "matmul";
    if (!command.given("--shape")) o->shape = matrices ? "72x64" : "2x16x10x10";
    if (!command.given("--weight")) o->weight = matrices ? "64x80" : "24x16x3x3";
    check_accesses(*o);
  });
}

}  // namespace gradus::program
