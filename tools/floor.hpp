#pragma once
// The least time that a step's layers could take on this machine: their operations at the measured peak, or their bytes
// at the measured bandwidth, whichever is longer.

#include <map>
#include <string>

#include "nn/module.hpp"

namespace gradus::program {

/// What a layer must compute and move.
struct Work {
  double operations = 0;  // 2 for a multiply-add
  double bytes = 0;       // of f32, through memory once for each pass over a tensor
  Work& operator+=(const Work& other);
};

/// The work of each layer of one training step (or, with `inference`, one forward pass) on `x`, by the layer's path.
///
/// Layers without children count. Convolutions and linear layers take 6 operations for a multiply-add (4 where x needs
/// no gradient, 2 in inference), read or write x and y three times and a weight eight times, five of them in SGD. Batch
/// norm moves ten times its input: statistics 1, forward 2, its reader again 2, sums 2, gradient 3. Other layers move x
/// and y twice. What networks do between layers (sums, concatenation) is left out.
std::map<std::string, Work> work_by_layer(Classifier& net, const Tensor& x, bool inference);

/// This machine's peaks; milliseconds of work at them.
class Floor {
 public:
  Floor();  // measures, which takes about half a second
  double ms(const Work& work) const;
  double gflops() const { return gflops_; }
  double gigabytes_per_second() const { return bandwidth_; }

 private:
  double gflops_, bandwidth_;
};

}  // namespace gradus::program
