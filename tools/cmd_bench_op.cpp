// gradus bench op: every operator's cases, against what the machine can do.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/parallel.hpp"
#include "ops/bench.hpp"
#include "ops/candidates.hpp"
#include "ops/peak.hpp"
#include "tools/machine.hpp"
#include "tools/program.hpp"
#include "tools/timing.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Options {
  std::string only;
  std::vector<std::string> candidates;
  int threads = 0;
  double seconds = 0.2;
  bool as_json = false;
};

void bench(const Options& o) {
  check<UsageError>(o.seconds > 0, "--seconds: must be positive, got {}", o.seconds);
  if (o.threads > 0) reading_options([&] { set_num_threads(o.threads); });
  const BenchList cases = bench_cases(o.only);
  check<UsageError>(!cases.empty(), "bench op: no operator's name contains \"{}\"", o.only);
  const double flops = measure_flops();
  const Bandwidth bandwidth = measure_bandwidth();
  const double most_bytes = std::max(bandwidth.read, bandwidth.copy);
  const Machine machine = describe_machine();
  if (!o.as_json) {
    fmt::print("{}: {} kernels, {}, {} threads\n", engine_name(), machine.isa, machine.blas, num_threads());
    for (const std::string& warning : machine.warnings) fmt::print("warning: {}\n", warning);
    fmt::print("measured: {:.0f} GFLOP/s f32, read {:.1f} GB/s, copy {:.1f} GB/s\n\n", flops, bandwidth.read,
               bandwidth.copy);
    fmt::print("{:<28} {:<34} {:<14} {:>10} {:>10} {:>8} {:>6} {:>6}\n", "operator", "case", "kernel", "ms", "GFLOP/s",
               "GB/s", "flops", "bytes");
  }
  std::vector<std::string> names = o.candidates;
  if (names.empty()) names.emplace_back();
  json all = json::array();
  for (const BenchCase& c : cases) {
    for (const std::string& name : names) {
      std::optional<ForceKernel> forced;
      double ms = 0;
      try {
        if (!name.empty()) forced.emplace(c.op, name);
        ms = median_ms(c.run, o.seconds);
      } catch (const ValueError&) {
        if (name.empty()) throw;
        continue;  // this operator has no kernel of that name
      }
      const double gflops = c.flops / ms * 1e-6, gbytes = c.bytes / ms * 1e-6;
      if (o.as_json) {
        all.push_back({{"op", c.op},
                       {"case", c.label},
                       {"kernel", name.empty() ? "best" : name},
                       {"ms", ms},
                       {"gflops", gflops},
                       {"gbytes_per_second", gbytes},
                       {"share_of_flops", gflops / flops},
                       {"share_of_bandwidth", gbytes / most_bytes}});
      } else {
        fmt::print("{:<28} {:<34} {:<14} {:>10.4f} {:>10.1f} {:>8.1f} {:>4.0f} % {:>4.0f} %\n", c.op, c.label,
                   name.empty() ? "best" : name, ms, gflops, gbytes, 100 * gflops / flops, 100 * gbytes / most_bytes);
      }
    }
  }
  if (o.as_json)
    fmt::print("{}\n", json{{"engine", engine_name()},
                            {"isa", machine.isa},
                            {"blas", machine.blas},
                            {"threads", num_threads()},
                            {"gflops_peak", flops},
                            {"read_gbytes_per_second", bandwidth.read},
                            {"copy_gbytes_per_second", bandwidth.copy},
                            {"cases", all}}
                           .dump());
}

}  // namespace

void add_bench_op(Command parent) {
  const Command command = parent.add_command("op", "Time operators against the machine's measured peaks",
                                             "gradus bench op conv2d --kernels direct,reference");
  auto o = std::make_shared<Options>();
  command.add_option("name", o->only, "part of an operator's name (default: all)");
  command
      .add_option("--kernels", o->candidates, "compare these kernels, comma between (default: the one that is chosen)")
      .comma_separated();
  command.add_option("--threads", o->threads, "threads that compute (0: as the machine has)").show_default();
  command.add_option("--seconds", o->seconds, "time for each case").show_default();
  command.add_flag("--json", o->as_json, "print one JSON object");
  command.callback([o] { bench(*o); });
}

}  // namespace gradus::program
