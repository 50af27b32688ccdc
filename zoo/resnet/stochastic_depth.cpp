#include "zoo/resnet/stochastic_depth.hpp"

#include "core/random.hpp"

namespace gradus::zoo {

StochasticDepth::StochasticDepth(int blocks, double last) : blocks_(blocks), last_(last) {
  check(last >= 0 && last <= 1, "stochastic depth: the survival probability lies in [0, 1], got {}", last);
}

double StochasticDepth::survival(int block) const { return 1 - (block + 1.0) / blocks_ * (1 - last_); }

bool StochasticDepth::drops(int block) const {
  return rule ? rule(block) : default_generator().stream().uniform(0) >= survival(block);
}

}  // namespace gradus::zoo
