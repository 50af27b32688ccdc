// What the checker saw, as text, with the occupancy of a named GPU.

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "cuda/simt/checker.hpp"
#include "cuda/simt/symbols.hpp"

namespace gradus::simt {

const Gpu& gpu_named(const std::string& name) {
  static const std::vector<Gpu> gpus = {
      // Programming guide, table "Technical specifications per compute capability".
      {"A100", 2048, 32, 65536, 164 << 10, 1024},     {"RTX 3090", 1536, 16, 65536, 100 << 10, 1024},
      {"RTX 4090", 1536, 24, 65536, 100 << 10, 1024}, {"H100", 2048, 32, 65536, 228 << 10, 1024},
      {"H200", 2048, 32, 65536, 228 << 10, 1024},     {"B200", 2048, 32, 65536, 228 << 10, 1024},
  };
  std::string known;
  for (const Gpu& gpu : gpus) {
    if (gpu.name == name) return gpu;
    known += (known.empty() ? "" : ", ") + gpu.name;
  }
  fail("gpu: unknown name \"{}\", expected one of {}", name, known);
}

Occupancy occupancy(const Gpu& gpu, int threads, std::size_t shared_bytes, int registers) {
  const int warps = (threads + 31) / 32;
  Occupancy best{gpu.blocks, 0, "blocks"};
  const auto limit = [&](int blocks, const char* by) {
    if (blocks < best.blocks) best.blocks = blocks, best.limit = by;
  };
  limit(gpu.threads / (warps * 32), "threads");
  limit(static_cast<int>(gpu.shared / (shared_bytes + gpu.reserved)), "shared memory");
  if (registers > 0) limit(gpu.registers / (warps * ((registers * 32 + 255) / 256 * 256)), "registers");
  best.threads = best.blocks * threads;
  return best;
}

Registers registers_of(const std::string& path) {
  Registers result;
  if (path.empty()) return result;
  std::ifstream in(path);
  check<ValueError>(in.good(), "registers: cannot read {}", path);
  // "… Compiling entry function '_Z5scalePfi' for 'sm_90a'", then "… Used 12 registers, …"
  std::string kernel;
  for (std::string text; std::getline(in, text);) {
    if (const auto at = text.find("entry function '"); at != std::string::npos) {
      const auto begin = at + 16, end = text.find('\'', begin);
      kernel = short_name(demangle(text.substr(begin, end - begin).c_str()));
    } else if (const auto used = text.find("Used "); used != std::string::npos && !kernel.empty()) {
      result[kernel] = std::atoi(text.c_str() + used + 5);
    }
  }
  return result;
}

std::string to_string(const CheckReport& report, const std::string& gpu, const Registers& registers) {
  std::string out;
  for (const Finding& f : report.findings) {
    out += fmt::format("{}:{}: {} in {}{}\n  {}\n", f.where.file, f.where.line, name(f.kind), f.kernel,
                       f.times > 1 ? fmt::format(" ({} times)", f.times) : "", f.message);
  }
  out += report.findings.empty() ? "no faults found\n" : fmt::format("{} faults found\n", report.findings.size());
  for (const KernelReport& k : report.kernels) {
    const int threads = static_cast<int>(k.block.x * k.block.y * k.block.z);
    const auto known = registers.find(k.kernel);
    const int of_thread = known == registers.end() ? 0 : known->second;
    const Occupancy o = occupancy(gpu_named(gpu), threads, k.static_shared + k.dynamic_shared, of_thread);
    out += fmt::format("\n{}<<<({}, {}, {}), ({}, {}, {})>>>, {} launch{}\n", k.kernel, k.grid.x, k.grid.y, k.grid.z,
                       k.block.x, k.block.y, k.block.z, k.launches, k.launches == 1 ? "" : "es");
    out += fmt::format(
        "  shared memory {} B a block ({} static, {} dynamic); on {} {} blocks = {} of {} threads, limited by "
        "{} ({})\n",
        k.static_shared + k.dynamic_shared, k.static_shared, k.dynamic_shared, gpu, o.blocks, o.threads,
        gpu_named(gpu).threads, o.limit,
        of_thread > 0 ? fmt::format("{} registers a thread", of_thread) : std::string("registers left out"));
    if (k.lines.empty()) continue;
    out += fmt::format("  {:<36} {:<14} {:>5} {:>9}  {}\n", "line", "access", "bytes", "requests", "cost");
    for (const LineReport& l : k.lines) {
      const auto slash = l.where.file.rfind('/');
      const std::string place = fmt::format(
          "{}:{}", slash == std::string::npos ? l.where.file : l.where.file.substr(slash + 1), l.where.line);
      const std::string what = fmt::format("{} {}", l.shared ? "shared" : "global",
                                           l.atomic  ? "atomic"
                                           : l.write ? "write"
                                                     : "read");
      std::string cost;
      if (l.shared) {
        cost = fmt::format("{:.1f}-way bank conflict", l.bank_conflict_ways());
        if (l.passes == l.ideal_passes) cost = "no bank conflict";
      } else {
        cost = fmt::format("{:.1f} sectors a request (ideal {:.1f}); {} B moved for {} B", l.sectors_per_request(),
                           l.requests ? static_cast<double>(l.ideal_sectors) / static_cast<double>(l.requests) : 0.0,
                           l.sectors * 32, l.bytes_needed);
      }
      out += fmt::format("  {:<36} {:<14} {:>5} {:>9}  {}\n", place, what, l.bytes, l.requests, cost);
    }
  }
  return out;
}

}  // namespace gradus::simt
