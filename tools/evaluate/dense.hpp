#pragma once
// Networks run densely over pictures larger than they were trained on.

#include "nn/module.hpp"

namespace gradus::program {

/// Logits [N, classes] of pictures x [N, 3, H, W] of any size the network takes, averaged over all places where it
/// could look (Simonyan and Zisserman 2014, section 3.2): linear layers behind a map of s x s run as convolutions, s x
/// s the first and 1 x 1 the others, with ReLU between them, and the map of logits is averaged. Networks that end in a
/// global average already do so. Off the tape; the module stays in its mode. ShapeError where the map is smaller
/// than s x s.
Tensor dense_logits(Module& net, const Tensor& x);

}  // namespace gradus::program
