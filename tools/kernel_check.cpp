#include "tools/kernel_check.hpp"

#include "core/error.hpp"
#include "tools/program.hpp"

#if defined(GRADUS_SIMT)
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/random.hpp"
#include "cuda/runtime.hpp"
#include "cuda/simt/checker.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/matmul/matmul_kernels.hpp"
#include "ops/view/view.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

constexpr Device kCuda{DeviceType::cuda, 0};

/// Runs this command line in gradus_checked; returns only where there is none.
void hand_over() {
  const std::string path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gradus_checked";
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(in, word, '\0');) words.push_back(word);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::fflush(stdout);
  ::execv(path.c_str(), arguments.data());
}

Tensor values(const Shape& shape, DType dtype) {
  const Format format = shape.size() == 4 ? Format::channels_last : Format::contiguous;
  return to(to(randn(shape, {.format = format}), dtype), kCuda);
}
Tensor results(const Shape& shape, DType dtype) {
  const Format format = shape.size() == 4 ? Format::channels_last : Format::contiguous;
  return empty(shape, {.dtype = dtype, .device = kCuda, .format = format});
}

/// A format to compute in.
struct Pass {
  DType dtype;
  bool tf32;
  std::string name() const { return tf32 ? "TF32" : dtype_name(dtype); }
};

/// Checks candidates, prints, and remembers.
class Session {
 public:
  explicit Session(const KernelCheck& wanted) : wanted_(wanted), registers_(simt::registers_of(wanted.ptxas)) {}

  /// The candidates that take the problem, or the one that is forced; with TF32 those that do not take it without.
  template <class Problem>
  void run(const Candidates<Problem>& list, const Problem& problem, const Pass& pass) {
    const std::string forced = forced_candidate(list.kernel());
    for (const Candidate<Problem>& candidate : list.all()) {
      if (!candidate.supports(problem) || (!forced.empty() && forced != candidate.name)) continue;
      const std::string name = fmt::format("{}:{}", list.kernel(), candidate.name);
      if (!done_.insert(name + dtype_name(problem.dtype)).second) continue;
      const simt::CheckReport report = simt::check_kernels([&] { candidate.run(problem); });
      clean_ = clean_ && report.clean();
      if (wanted_.as_json) {
        rows_.push_back(to_json(report, name, pass));
        continue;
      }
      fmt::print("==== {}, {}\n{}\n", name, pass.name(), simt::to_string(report, wanted_.gpu, registers_));
      std::fflush(stdout);
    }
  }

  /// Whether all was clean. ValueError where no candidate took the problem.
  bool finish() const {
    check<ValueError>(!done_.empty(), "bench kernel --check: the candidate forced does not take this problem");
    if (wanted_.as_json) fmt::print("{}\n", json{{"clean", clean_}, {"checks", rows_}}.dump());
    return clean_;
  }

 private:
  json to_json(const simt::CheckReport& report, const std::string& name, const Pass& pass) const {
    json findings = json::array(), kernels = json::array();
    for (const simt::Finding& f : report.findings)
      findings.push_back({{"fault", simt::name(f.kind)},
                          {"kernel", f.kernel},
                          {"file", f.where.file},
                          {"line", f.where.line},
                          {"message", f.message},
                          {"times", f.times}});
    for (const simt::KernelReport& k : report.kernels) {
      json lines = json::array();
      for (const simt::LineReport& l : k.lines)
        lines.push_back({{"file", l.where.file},
                         {"line", l.where.line},
                         {"space", l.shared ? "shared" : "global"},
                         {"access", l.atomic  ? "atomic"
                                    : l.write ? "write"
                                              : "read"},
                         {"bytes", l.bytes},
                         {"requests", l.requests},
                         {"bytes_needed", l.bytes_needed},
                         {"sectors", l.sectors},
                         {"ideal_sectors", l.ideal_sectors},
                         {"passes", l.passes},
                         {"ideal_passes", l.ideal_passes}});
      const auto known = registers_.find(k.kernel);
      kernels.push_back({{"kernel", k.kernel},
                         {"grid", {k.grid.x, k.grid.y, k.grid.z}},
                         {"block", {k.block.x, k.block.y, k.block.z}},
                         {"launches", k.launches},
                         {"static_shared", k.static_shared},
                         {"dynamic_shared", k.dynamic_shared},
                         {"registers", known == registers_.end() ? json() : json(known->second)},
                         {"lines", lines}});
    }
    return {{"candidate", name}, {"dtype", pass.name()}, {"findings", findings}, {"kernels", kernels}};
  }

  const KernelCheck& wanted_;
  simt::Registers registers_;
  std::set<std::string> done_;
  bool clean_ = true;
  json rows_ = json::array();
};

void check_conv2d(const KernelCheck& wanted, const Pass& pass, Session& session) {
  const Conv2dOptions& o = wanted.options;
  const DType dtype = pass.dtype;
  const Tensor x = values(wanted.x, dtype), w = values(wanted.weight, dtype), bias = values({wanted.weight[0]}, dtype);
  ConvShape c{.N = x.size(0),
              .C = x.size(1),
              .H = x.size(2),
              .W = x.size(3),
              .K = w.size(0),
              .R = w.size(2),
              .S = w.size(3),
              .P = 0,
              .Q = 0,
              .stride_h = o.stride.h,
              .stride_w = o.stride.w,
              .padding_h = o.padding.h,
              .padding_w = o.padding.w,
              .dilation_h = o.dilation.h,
              .dilation_w = o.dilation.w,
              .groups = o.groups};
  c.P = conv_output(c.H, c.R, c.stride_h, c.padding_h, c.dilation_h);
  c.Q = conv_output(c.W, c.S, c.stride_w, c.padding_w, c.dilation_w);
  check<UsageError>(c.P > 0 && c.Q > 0 && c.C == c.groups * w.size(1) && c.K % c.groups == 0,
                    "bench kernel --check: no convolution of {} by {} in {} groups", to_string(wanted.x),
                    to_string(wanted.weight), c.groups);
  const Tensor gy = values({c.N, c.K, c.P, c.Q}, dtype);
  const auto asked = [&](const char* kernel) { return wanted.kernel == "conv2d" || wanted.kernel == kernel; };
  if (asked("conv2d.forward")) {
    const Tensor y = results(gy.shape(), dtype);
    session.run<ConvForward>(cuda::conv2d_forward(),
                             {c, dtype, x.data_ptr(), w.data_ptr(), bias.data_ptr(), y.data_ptr()}, pass);
  }
  if (asked("conv2d.backward_input")) {
    const Tensor gx = results(x.shape(), dtype);
    session.run<ConvBackwardInput>(cuda::conv2d_backward_input(),
                                   {c, dtype, gy.data_ptr(), w.data_ptr(), gx.data_ptr()}, pass);
  }
  if (asked("conv2d.backward_weight")) {
    const Tensor gw = results(w.shape(), dtype);
    session.run<ConvBackwardWeight>(cuda::conv2d_backward_weight(),
                                    {c, dtype, x.data_ptr(), gy.data_ptr(), gw.data_ptr()}, pass);
  }
}

void check_matmul(const KernelCheck& wanted, const Pass& pass, Session& session) {
  check<UsageError>(wanted.x[1] == wanted.weight[0], "bench kernel --check: no product of {} and {}",
                    to_string(wanted.x), to_string(wanted.weight));
  const std::int64_t m = wanted.x[0], k = wanted.x[1], n = wanted.weight[1];
  const DType dtype = pass.dtype;
  const Tensor a = values({m, k}, dtype), b = values({k, n}, dtype), bias = values({n}, dtype);
  const Tensor y = results({m, n}, dtype);
  MatmulProblem p{};
  p.dtype = dtype, p.m = m, p.n = n, p.k = k, p.a_row = k, p.a_column = 1, p.b_row = n, p.b_column = 1;
  p.a = a.data_ptr(), p.b = b.data_ptr(), p.bias = bias.data_ptr(), p.y = y.data_ptr();
  session.run(cuda::matmul(), p, pass);
}

}  // namespace

bool check_kernel(const KernelCheck& wanted) {
  if (!simt::hooks_linked) {
    hand_over();
    fail<UsageError>(
        "bench kernel --check: the kernels of this program are not instrumented; those of gradus_checked are (cmake "
        "--build build/emulate --target gradus_checked)");
  }
  ::setenv("GRADUS_CUDA", "emulate", /*overwrite=*/0);
  reading_options([&] { (void)simt::gpu_named(wanted.gpu); });
  Session session = reading_options([&] { return Session(wanted); });
  manual_seed(1);
  for (const Pass& pass : {Pass{DType::f32, false}, Pass{DType::f32, true}, Pass{DType::bf16, false}}) {
    cuda::allow_tf32(pass.tf32);
    wanted.kernel == "matmul" ? check_matmul(wanted, pass, session) : check_conv2d(wanted, pass, session);
  }
  return session.finish();
}

}  // namespace gradus::program

#else

namespace gradus::program {

bool check_kernel(const KernelCheck&) {
  fail<UsageError>(
      "bench kernel --check: looks at CUDA kernels in emulation, and this build has none (cmake --preset emulate && "
      "cmake --build build/emulate --target gradus_checked)");
}

}  // namespace gradus::program

#endif
