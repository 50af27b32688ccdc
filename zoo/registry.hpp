#pragma once
// The zoo: names -> builders.

#include <memory>
#include <string>
#include <vector>

#include "nn/module.hpp"

namespace gradus::zoo {

/// Where the first values of the weights come from.
enum class Init {
  published,  // the paper's; where it gives none, or one that does not train, the widespread implementation's
  paper,      // the paper's to the letter, where it gives one
  framework,  // PyTorch's defaults: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) everywhere
};

/// What a builder may be asked to change. Unset values (0, negative) mean the paper's.
struct ModelOptions {
  std::int64_t classes = 0;         // 0: the model's own, 1000 or 10
  std::int64_t image_channels = 0;  // 0: 3
  std::int64_t image_size = 0;      // 0: the native one; height and width, for networks that are built for one size
  double dropout = -1;              // probability, where the network has dropout
  std::int64_t growth_rate = 0;     // DenseNet: channels each layer adds
  double compression = -1;          // DenseNet: theta of the transitions
  std::int64_t cardinality = 0;     // ResNeXt: groups
  std::int64_t base_width = 0;      // ResNeXt: channels per group in the first stage; wide ResNets: 64 is plain
  std::int64_t reduction = 0;       // SE: channels per excited channel
  double survival = -1;             // stochastic depth: probability that the last block survives; 1 drops none
  bool stride_on_1x1 = false;       // ResNet: the paper's position of a bottleneck's stride ("v1"), not torchvision's
  bool zero_last_norm = false;      // ResNet: residual branches begin at zero (Goyal et al. 2017)
  Init init = Init::published;
  bool recompute = false;  // keep block inputs only and run blocks again in backward
};

/// A row of `gradus models`.
struct ModelInfo {
  std::string name;    // as in checkpoints' and papers' lists: "resnet50", "cifar_resnet20"
  std::string family;  // "resnet"
  std::string title;   // "ResNet-50"
  int year = 0;
  std::string paper;          // "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
  std::int64_t input = 224;   // native height and width
  std::int64_t smallest = 1;  // smallest legal height and width
  std::int64_t classes = 1000;
  std::string naming;      // whose state dict names: torchvision, pretrainedmodels, caffe, akamaster, gpleiss
  double top1_error = -1;  // published, per cent; negative where there is none
  double top5_error = -1;
  std::unique_ptr<Classifier> (*build)(const ModelOptions&) = nullptr;
};

/// Every model, in the order of the papers.
const std::vector<ModelInfo>& models();
/// The model of that name. Short names work where the data set makes them plain: `small_input` (a data
/// set of 32x32 images) turns "resnet20" into "cifar_resnet20". ValueError with the nearest known names otherwise.
const ModelInfo& find_model(const std::string& name, bool small_input = false);
/// Builds it with its paths named; initialised as published from the default generator.
std::unique_ptr<Classifier> build(const std::string& name, const ModelOptions& options = {}, bool small_input = false);
/// Makes every block of the network keep its input only and run again in backward; a network without blocks (VGG) is
/// cut into parts instead.
void recompute_blocks(Module& net);

}  // namespace gradus::zoo
