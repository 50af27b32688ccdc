#include "ops/candidates.hpp"

#include <fmt/ranges.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>

namespace gradus {
namespace {

/// GRADUS_KERNEL as a map; "kernel:candidate" pairs between commas.
std::map<std::string, std::string> from_environment() {
  std::map<std::string, std::string> forced;
  const char* text = std::getenv("GRADUS_KERNEL");
  for (std::string_view rest = text ? text : ""; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view pair = rest.substr(0, comma);
    const std::size_t colon = pair.find(':');
    check(colon != std::string_view::npos && colon > 0 && colon + 1 < pair.size(),
          "GRADUS_KERNEL: expected kernel:candidate[,kernel:candidate…], got \"{}\"", pair);
    forced[std::string(pair.substr(0, colon))] = pair.substr(colon + 1);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return forced;
}

struct Forced {
  std::mutex mutex;
  std::map<std::string, std::string> by_kernel = from_environment();
  std::atomic<bool> any{!by_kernel.empty()};
};
Forced& forced() {
  static Forced instance;
  return instance;
}

}  // namespace

std::string forced_candidate(const char* kernel) {
  Forced& f = forced();
  if (!f.any.load(std::memory_order_relaxed)) return {};
  std::lock_guard lock(f.mutex);
  const auto found = f.by_kernel.find(kernel);
  return found == f.by_kernel.end() ? std::string() : found->second;
}

void unknown_candidate(const char* kernel, const std::string& name, const std::vector<const char*>& known) {
  fail("{}: no candidate \"{}\"; there are {}", kernel, name, fmt::join(known, ", "));
}

ForceKernel::ForceKernel(const std::string& kernel, const std::string& candidate) : kernel_(kernel) {
  Forced& f = forced();
  std::lock_guard lock(f.mutex);
  before_ = std::exchange(f.by_kernel[kernel], candidate);
  f.any = true;
}
ForceKernel::~ForceKernel() {
  Forced& f = forced();
  std::lock_guard lock(f.mutex);
  if (before_.empty())
    f.by_kernel.erase(kernel_);
  else
    f.by_kernel[kernel_] = before_;
  f.any = !f.by_kernel.empty();
}

}  // namespace gradus
