#pragma once
// Several implementations of one kernel, and the choice between them.
//
// A kernel ("conv2d.forward") has a list of candidates, best first, the plainest last: `reference`, which accumulates
// in double, supports every problem and defines what the others must compute. The first that supports a problem runs,
// unless one is forced by name, in code (ForceKernel) or by GRADUS_KERNEL=conv2d.forward:reference,matmul:blas; a
// forced candidate is passed over for problems it does not support.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace gradus {

template <class Problem>
struct Candidate {
  const char* name;
  const char* idea;  // one line: what it does differently, and what bounds it
  bool (*supports)(const Problem&);
  void (*run)(const Problem&);
  /// Bytes that run() takes from the allocator at most (ops/workspace.hpp). Null: none.
  std::int64_t (*workspace)(const Problem&) = nullptr;
};

/// The candidate forced for `kernel`, or empty.
std::string forced_candidate(const char* kernel);
[[noreturn]] void unknown_candidate(const char* kernel, const std::string& name, const std::vector<const char*>& known);

template <class Problem>
class Candidates {
 public:
  Candidates(const char* kernel, std::initializer_list<Candidate<Problem>> ladder) : kernel_(kernel), ladder_(ladder) {}

  /// Moves a candidate up to stand before another: an order that depends on the machine.
  void put_before(const std::string& name, const std::string& other) {
    const Candidate<Problem> moved = named(name);
    std::erase_if(ladder_, [&](const Candidate<Problem>& c) { return name == c.name; });
    const auto at = std::find_if(ladder_.begin(), ladder_.end(), [&](const auto& c) { return other == c.name; });
    ladder_.insert(at, moved);
  }

  const char* kernel() const { return kernel_; }
  std::span<const Candidate<Problem>> all() const { return ladder_; }

  const Candidate<Problem>& choose(const Problem& problem) const {
    if (const std::string forced = forced_candidate(kernel_); !forced.empty()) {
      const Candidate<Problem>& candidate = named(forced);
      if (candidate.supports(problem)) return candidate;
    }
    for (const Candidate<Problem>& candidate : ladder_)
      if (candidate.supports(problem)) return candidate;
    return ladder_.back();
  }
  void run(const Problem& problem) const { choose(problem).run(problem); }
  /// What run(problem) would take; on the meta device, where nothing runs, an operator counts it in the peak.
  std::int64_t workspace(const Problem& problem) const {
    const Candidate<Problem>& candidate = choose(problem);
    return candidate.workspace ? candidate.workspace(problem) : 0;
  }

  /// ValueError with the known names if there is none of that name.
  const Candidate<Problem>& named(const std::string& name) const {
    std::vector<const char*> known;
    for (const Candidate<Problem>& candidate : ladder_) {
      if (name == candidate.name) return candidate;
      known.push_back(candidate.name);
    }
    unknown_candidate(kernel_, name, known);
  }

 private:
  const char* kernel_;
  std::vector<Candidate<Problem>> ladder_;
};

// clang-format off
template <class Problem>  // for every problem: the `supports` of a reference
bool always(const Problem&) { return true; }
// clang-format on
/// Forces a candidate while it lives (all threads). Scopes nest.
class ForceKernel {
 public:
  ForceKernel(const std::string& kernel, const std::string& candidate);
  ~ForceKernel();
  ForceKernel(const ForceKernel&) = delete;
  ForceKernel& operator=(const ForceKernel&) = delete;

 private:
  std::string kernel_, before_;
};

}  // namespace gradus
