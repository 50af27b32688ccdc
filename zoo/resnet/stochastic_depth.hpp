#pragma once
#include <functional>

namespace gradus::zoo {

/// Stochastic depth (Huang et al. 2016, arXiv:1603.09382, section 3): for every mini-batch each residual block is
/// either there or is its shortcut alone; at test time a branch counts as much as it was there. One object for all
/// blocks of a network.
class StochasticDepth {
 public:
  /// `last` is p_L, the probability that the last block survives.
  StochasticDepth(int blocks, double last);
  /// p_l = 1 - (l / L) (1 - p_L), equation 4; `block` counts all blocks of the network from 0 (l = block + 1).
  double survival(int block) const;
  /// Whether this mini-batch goes without the block's branch. One draw from the default generator, unless `rule`
  /// decides.
  bool drops(int block) const;
  /// Decides instead of chance, where it is set: block -> dropped.
  std::function<bool(int)> rule;

 private:
  int blocks_;
  double last_;
};

/// A network that has one.
struct HasStochasticDepth {
  virtual ~HasStochasticDepth() = default;
  virtual StochasticDepth* stochastic_depth() = 0;  // null where every block survives
};

}  // namespace gradus::zoo
