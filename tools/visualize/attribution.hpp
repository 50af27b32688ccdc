#pragma once
// Which pixels a decision rests on. x is one picture [1, 3, H, W] as the network sees it; the network is in eval mode.

#include <cstdint>
#include <string>

#include "nn/module.hpp"

namespace gradus::program {

/// d logit[target] / d x, [1, 3, H, W] (Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034).
Tensor input_gradient(Module& net, const Tensor& x, std::int64_t target);
/// The largest magnitude over the channels: [H, W].
Tensor saliency_map(const Tensor& gradient);

/// As input_gradient(), but a rectifier also holds back what is negative on the way back (Springenberg et al. 2014,
/// "Striving for Simplicity", arXiv:1412.6806). ValueError for a network without rectifiers.
Tensor guided_gradient(Module& net, const Tensor& x, std::int64_t target);

/// relu(sum of w_k A_k) over the maps A of `layer`, w_k the mean of d logit[target] / d A_k: [h, w] of that layer
/// (Selvaraju et al. 2016, arXiv:1610.02391). An empty layer is the last one that gives a map. ValueError for a layer
/// that gives none.
Tensor grad_cam(Module& net, const Tensor& x, std::int64_t target, const std::string& layer = "");

/// The probability of `target` while a square of patch x patch pixels, moved by `stride`, is the mean colour (Zeiler
/// and Fergus 2013, section 4.2): [rows, columns]. Squares reach over the edge so that every pixel is covered equally.
Tensor occlusion_map(Module& net, const Tensor& x, std::int64_t target, std::int64_t patch, std::int64_t stride);

}  // namespace gradus::program
