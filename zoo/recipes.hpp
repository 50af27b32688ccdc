#pragma once
// How networks were trained and what their published weights expect, as data.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "zoo/registry.hpp"

namespace gradus::zoo {

/// A paper's training recipe. Texts are in the program's notation: `schedule` as `gradus train --schedule` (times in
/// epochs), `augment` as a pipeline of transforms.
struct Recipe {
  std::string name;    // "resnet-cifar"
  std::string model;   // the network it is for, where none is named
  std::string source;  // paper, and what it leaves open
  std::int64_t batch = 128;
  std::int64_t epochs = 90;
  std::string optimizer = "sgd";  // sgd, rmsprop
  double lr = 0.1;
  std::string schedule;
  double warmup_lr = 0;  // constant rate of the first warmup_steps; 0: none
  std::int64_t warmup_steps = 0;
  double momentum = 0.9;
  bool nesterov = false;
  bool velocity_form = false;  // learning rate inside the velocity: cuda-convnet and Caffe
  double rms_decay = 0, rms_eps = 0;
  double weight_decay = 1e-4;
  bool decay_all = true;  // biases and normalisation too, as in all of the papers
  Init init = Init::published;
  double dropout = -1;  // negative: the network's own
  double survival = -1;
  double label_smoothing = 0;
  double clip_norm = 0;
  double filter_rms = 0;  // bound of the root mean square of a filter's weights; 0: none
  double ema = 0;         // decay of the weight average
  std::string augment;
  std::string notes;  // what the fields cannot say
};

/// In the order of the papers.
const std::vector<Recipe>& recipes();
/// ValueError with all names where there is none of this one.
const Recipe& find_recipe(const std::string& name);

/// What images must look like for a model's published weights.
struct Preprocessing {
  std::int64_t resize = 0;  // shorter side; 0: none
  std::int64_t crop = 0;    // centre crop
  std::array<double, 3> mean{}, std{};
  bool bgr = false;  // channel order blue, green, red; else red, green, blue
  double range = 1;  // values 0 … range before the mean is taken off
  /// After that, x = x std / 0.5 + (mean - 0.5) / 0.5 per channel (std, mean above): torchvision's transform_input, for
  /// weights that came from networks fed with -1 … 1.
  bool transform_input = false;
};

/// For the model of that name; of the networks for small images, CIFAR-10's own, and ImageNet's for the public
/// `akamaster` files (resnet, plain), which were trained so.
Preprocessing preprocessing(const std::string& model);

}  // namespace gradus::zoo
