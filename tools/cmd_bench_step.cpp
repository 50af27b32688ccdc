// gradus bench step: one training step, as a user's loop does it. Forward, cross-entropy of all heads, backward, SGD
// with momentum 0.9 and weight decay 1e-4, on synthetic images that stay the same. With --inference: the forward pass
// in evaluation mode alone.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "autograd/autocast.hpp"
#include "autograd/engine.hpp"
#include "core/blas.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "nn/files/atomic_file.hpp"
#include "nn/losses.hpp"
#include "nn/optim/sgd.hpp"
#include "ops/profile.hpp"
#include "tools/floor.hpp"
#include "tools/machine.hpp"
#include "tools/precision.hpp"
#include "tools/program.hpp"
#include "zoo/registry.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string model, input = "3x224x224", device = "cpu", trace;
  std::int64_t batch = 128, classes = 1000;
  int threads = 0, steps = 7, warmup = 2;
  bool as_json = false, profile = false, recompute = false, inference = false, amp = false, tf32 = false;
};

/// Sums of a profile under one name.
struct Total {
  double ms = 0;
  std::int64_t calls = 0;
};
using Totals = std::map<std::string, Total>;

/// What each layer could take at least, and all of them.
struct Floors {
  Floor floor;
  std::map<std::string, Work> by_layer;
  double all_ms = 0;
};

Floors floors_of(Classifier& net, const Tensor& x, bool inference) {
  Floors f{.floor = {}, .by_layer = work_by_layer(net, x, inference)};
  for (const auto& [layer, work] : f.by_layer) f.all_ms += f.floor.ms(work);
  return f;
}

/// With `floors`, a column for the part of a row's time that its floor is.
void print_totals(const char* title, const Totals& totals, int steps, double step_ms, const Floors* floors = nullptr) {
  std::vector<std::pair<std::string, Total>> rows(totals.begin(), totals.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.ms > b.second.ms; });
  fmt::print("\n{:<36} {:>10} {:>8} {:>8}{}\n", title, "ms/step", "share", "calls", floors ? "    floor" : "");
  double sum = 0;
  for (const auto& [name, t] : rows) {
    sum += t.ms;
    std::string floor;
    if (floors)
      if (const auto work = floors->by_layer.find(name); work != floors->by_layer.end())
        floor = fmt::format(" {:>6.0f} %", 100 * floors->floor.ms(work->second) * steps / t.ms);
    fmt::print("{:<36} {:>10.3f} {:>6.1f} % {:>8.1f}{}\n", name.empty() ? "(outside layers)" : name, t.ms / steps,
               100 * t.ms / steps / step_ms, static_cast<double>(t.calls) / steps, floor);
  }
  fmt::print("{:<36} {:>10.3f} {:>6.1f} %\n", "all kernels", sum / steps, 100 * sum / steps / step_ms);
}

json totals_json(const Totals& totals, int steps) {
  json all = json::object();
  for (const auto& [name, t] : totals) all[name] = t.ms / steps;
  return all;
}

/// The events in the format of Perfetto and chrome://tracing.
void write_trace(const std::string& path, const std::vector<KernelEvent>& events) {
  json all = json::array();
  for (const KernelEvent& e : events)
    all.push_back({{"name", e.kernel},
                   {"cat", "kernel"},
                   {"ph", "X"},
                   {"ts", static_cast<double>(e.begin_ns) * 1e-3},
                   {"dur", static_cast<double>(e.end_ns - e.begin_ns) * 1e-3},
                   {"pid", 1},
                   {"tid", 1},
                   {"args", {{"layer", e.scope}}}});
  files::write_file_atomic(path, json{{"traceEvents", all}, {"displayTimeUnit", "ms"}}.dump());
}

void bench(const Options& o) {
  const Device device = chosen_device(o.device);
  const DType precision = compute_on(device, o.amp, o.tf32);
  check<UsageError>(o.batch > 0 && o.steps > 0 && o.warmup >= 0, "bench step: --batch and --steps must be positive");
  if (o.threads > 0) reading_options([&] { set_num_threads(o.threads); });
  const InputSize in = parse_input(o.input);
  manual_seed(0);
  const bool small = in.height <= 64;
  const auto model = reading_options([&] {
    return zoo::build(
        o.model,
        {.classes = o.classes, .image_channels = in.channels, .image_size = in.height, .recompute = o.recompute},
        small);
  });
  model->to(device);
  model->train(!o.inference);
  optim::Sgd sgd(*model, {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
  const Tensor x =
      randn({o.batch, in.channels, in.height, in.width}, {.device = device, .format = Format::channels_last});
  std::vector<std::int64_t> labels(static_cast<std::size_t>(o.batch));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i * 7919) % o.classes;
  const Tensor t = from_data<std::int64_t>(labels, {o.batch}, {.dtype = DType::i64, .device = device});

  const auto queue_step = [&] {
    if (o.inference) {
      const NoGrad no_grad;
      const Autocast scope(precision);
      (*model)(x);
      return;
    }
    sgd.zero_grad();
    const Tensor loss = [&] {
      const Autocast scope(precision);
      return heads_loss(model->forward_heads(x), t);
    }();
    backward(loss);
    sgd.step();
  };
  const auto step = [&] {
    queue_step();
    // Reading a number waits for all that was queued before.
    if (device != kCpu) (void)model->parameters().back().detach().as_strided({1}, {1}, 0).item();
  };
  for (int i = 0; i < o.warmup; ++i) step();
  reset_peak_memory(device);
  const std::int64_t system_before = memory_stats(device).system_allocations;
  std::vector<double> ms;
  for (int i = 0; i < o.steps; ++i) {
    const Clock::time_point begin = Clock::now();
    step();
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  std::sort(ms.begin(), ms.end());
  const std::size_t n = ms.size();
  const double median = (ms[(n - 1) / 2] + ms[n / 2]) / 2;
  const MemoryStats memory = memory_stats(device);

  // Profiled apart, so that listening costs the figures above nothing.
  Totals by_kernel, by_layer;
  int profiled = 0;
  if (o.profile || !o.trace.empty()) {
    const Profile profile;
    profiled = std::min(o.steps, 5);
    for (int i = 0; i < profiled; ++i) step();
    for (const KernelEvent& e : profile.events()) {
      const double spent = static_cast<double>(e.end_ns - e.begin_ns) * 1e-6;
      for (Total* total : {&by_kernel[e.kernel], &by_layer[e.scope]}) {
        total->ms += spent;
        ++total->calls;
      }
    }
    if (!o.trace.empty()) write_trace(o.trace, profile.events());
  }
  std::optional<Floors> floors;  // the peaks are this machine's, not a GPU's
  if (o.profile && device == kCpu) floors = floors_of(*model, x, o.inference);

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const double images_per_second = static_cast<double>(o.batch) / median * 1e3;
  const double peak_mem = static_cast<double>(usage.ru_maxrss) / 1024;  // Linux counts KiB
  const Machine machine = describe_machine();
  if (o.as_json) {
    json result = {{"engine", engine_name()},
                   {"model", o.model},
                   {"batch", o.batch},
                   {"input", o.input},
                   {"device", o.device},
                   {"inference", o.inference},
                   {"amp", o.amp},
                   {"tf32", o.tf32},
                   {"threads", num_threads()},
                   {"step_ms_median", median},
                   {"step_ms_min", ms.front()},
                   {"step_ms_max", ms.back()},
                   {"images_per_second", images_per_second},
                   {"peak_mem_mib", peak_mem},
                   {"allocator_peak_mib", mib(memory.peak)},
                   {"system_allocations", memory.system_allocations - system_before},
                   {"isa", machine.isa},
                   {"blas", machine.blas}};
    if (o.profile) {
      result["ms_by_kernel"] = totals_json(by_kernel, profiled);
      result["ms_by_layer"] = totals_json(by_layer, profiled);
      if (floors) result["floor_ms"] = floors->all_ms;
    }
    fmt::print("{}\n", result.dump());
    return;
  }
  fmt::print("{}: {} kernels, {}, {} threads\n", engine_name(), machine.isa, machine.blas, num_threads());
  for (const std::string& warning : machine.warnings) fmt::print("warning: {}\n", warning);
  fmt::print("{}, batch {}, input {}: {:.2f} ms a {} ({:.2f} to {:.2f}), {:.1f} images/s\n", o.model, o.batch, o.input,
             median, o.inference ? "forward pass" : "step", ms.front(), ms.back(), images_per_second);
  fmt::print(
      "memory: {:.0f} MiB the process at its peak, {:.0f} MiB tensors; {} allocations from the system in {} steps\n",
      peak_mem, mib(memory.peak), memory.system_allocations - system_before, o.steps);
  if (o.profile) {
    print_totals("kernel", by_kernel, profiled, median);
    print_totals("layer", by_layer, profiled, median, floors ? &*floors : nullptr);
    if (floors)
      fmt::print("\nfloor of the layers at {:.0f} GFLOP/s and {:.1f} GB/s: {:.1f} ms, {:.0f} % of the {}\n",
                 floors->floor.gflops(), floors->floor.gigabytes_per_second(), floors->all_ms,
                 100 * floors->all_ms / median, o.inference ? "forward pass" : "step");
  }
  if (!o.trace.empty()) fmt::print("\ntrace: {} (open it at https://ui.perfetto.dev)\n", o.trace);
}

}  // namespace

void add_bench_step(Command parent) {
  const Command command = parent.add_command(
      "step", "Time a training step",
      "gradus bench step --model resnet20 --batch 128 --input 3x32x32 --classes 10 --threads 2 --json");
  auto o = std::make_shared<Options>();
  command.add_option("-m,--model", o->model, "a name from `gradus models`").required();
  command.add_option("-b,--batch", o->batch, "images per step").show_default();
  command.add_option("--input", o->input, "channels x height x width").show_default();
  command.add_option("--classes", o->classes, "").show_default();
  command.add_option("--threads", o->threads, "threads that compute (0: as the machine has)").show_default();
  command.add_option("--steps", o->steps, "steps timed").show_default();
  command.add_option("--warmup", o->warmup, "steps before them").show_default();
  command.add_option("--device", o->device, "cpu or cuda").show_default();
  command.add_flag("--amp", o->amp, kAmpHelp);
  command.add_flag("--tf32", o->tf32, kTf32Help);
  command.add_flag("--inference", o->inference, "time the forward pass in evaluation mode alone");
  command.add_flag("--recompute", o->recompute, "keep block inputs only and run blocks again in backward");
  command.add_flag("--profile", o->profile, "show where the time goes, by kernel and by layer");
  command.add_option("--trace", o->trace, "write the kernels' times to this file, for Perfetto");
  command.add_flag("--json", o->as_json, "print one JSON object");
  command.callback([o] { bench(*o); });
}

}  // namespace gradus::program
