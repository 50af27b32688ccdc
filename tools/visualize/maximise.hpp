#pragma once
// The picture a network likes best (Simonyan et al. 2013, section 2; Yosinski et al. 2015, arXiv:1506.06579).

#include <cstdint>
#include <functional>
#include <string>

#include "nn/module.hpp"

namespace gradus::program {

struct MaximiseOptions {
  std::int64_t size = 224;  // height and width
  int steps = 256;
  double rate = 0.05;   // step length, in standard deviations of a pixel: gradients are scaled to it
  double decay = 1e-3;  // pulls every pixel towards the mean colour
  int blur_every = 4;   // a small blur after so many steps holds high frequencies down
  int jitter = 8;       // the picture is moved by up to so many pixels before each step
  std::uint64_t seed = 0;
  Device device = kCpu;  // where `score` computes
};

/// A picture [1, 3, size, size] that raises `score`, a number made from the network's run on it: gradient ascent from
/// faint noise. `each` is told the score after every step; false stops.
Tensor maximise(const std::function<Tensor(const Tensor& x)>& score, const MaximiseOptions& options,
                const std::function<bool(int step, double score)>& each = {});

/// The logit of a class; and the mean of one feature's map in a layer. ValueError where there is none.
Tensor class_score(Module& net, const Tensor& x, std::int64_t target);
Tensor feature_score(Module& net, const Tensor& x, const std::string& layer, std::int64_t feature);

}  // namespace gradus::program
