#include "zoo/recipes.hpp"

#include <algorithm>

namespace gradus::zoo {
namespace {

// Augmentations that several recipes share.
constexpr const char* kCifar = "random_crop(32, padding=4) | flip | normalize(cifar10)";
constexpr const char* kArea = "random_resized_crop(224) | flip | normalize(imagenet)";
constexpr const char* kTorchRelease =
    "random_resized_crop(224) | flip | color_jitter(brightness=0.4, contrast=0.4, saturation=0.4) | pca_color(0.1) | "
    "normalize(imagenet)";

std::vector<Recipe> all_recipes() {
  std::vector<Recipe> all;
  const auto add = [&](const char* name, const char* model, const char* source) -> Recipe& {
    Recipe recipe;
    recipe.name = name;
    recipe.model = model;
    recipe.source = source;
    return all.emplace_back(std::move(recipe));
  };

  Recipe& alexnet = add("alexnet", "alexnet_paper", "Krizhevsky et al. 2012, section 5");
  alexnet.lr = 0.01;
  alexnet.schedule = "plateau";
  alexnet.velocity_form = true;
  alexnet.weight_decay = 5e-4;
  alexnet.init = Init::paper;
  alexnet.augment = "resize(256) | center_crop(256) | random_crop(227) | flip | pca_color(0.1) | normalize(imagenet)";
  alexnet.notes = "the rate was divided by ten by hand, three times in about 90 epochs";

  Recipe& zfnet = add("zfnet", "zfnet", "Zeiler and Fergus 2013, section 3.1; weight decay not stated, AlexNet's");
  zfnet.epochs = 70;
  zfnet.lr = 0.01;
  zfnet.schedule = "plateau";
  zfnet.velocity_form = true;
  zfnet.weight_decay = 5e-4;
  zfnet.init = Init::paper;
  zfnet.augment = "resize(256) | center_crop(256) | random_crop(224) | flip | normalize(imagenet)";
  zfnet.filter_rms = 0.1;
  zfnet.notes = "the bound on the filters was found for pixels of -128 … 128";

  Recipe& vgg = add("vgg", "vgg16", "Simonyan and Zisserman 2014, section 3.1");
  vgg.batch = 256;
  vgg.epochs = 74;
  vgg.lr = 0.01;
  vgg.schedule = "plateau";
  vgg.velocity_form = true;
  vgg.weight_decay = 5e-4;
  vgg.augment = "random_resize(256 512) | random_crop(224) | flip | pca_color(0.1) | normalize(imagenet)";
  vgg.notes = "the paper starts deep networks from a trained A; here Kaiming's initial values do";

  Recipe& googlenet = add("googlenet", "googlenet_paper",
                          "Szegedy et al. 2014, section 6; what it leaves open as Caffe's bvlc_googlenet");
  googlenet.batch = 32;
  googlenet.epochs = 60;
  googlenet.lr = 0.01;
  googlenet.schedule = "poly:0.5";
  googlenet.velocity_form = true;
  googlenet.weight_decay = 2e-4;
  googlenet.augment = kArea;
  googlenet.notes = "2.4 million steps; the paper itself: 4 % less every 8 epochs, averaged weights, photometric noise";

  Recipe& inception3 = add("inception-v3", "inception_v3", "Szegedy et al. 2015, section 8");
  inception3.batch = 1600;
  inception3.epochs = 100;
  inception3.optimizer = "rmsprop";
  inception3.lr = 0.045;
  inception3.schedule = "step:2,0.94";
  inception3.rms_decay = 0.9;
  inception3.rms_eps = 1;
  inception3.weight_decay = 0;
  inception3.label_smoothing = 0.1;
  inception3.clip_norm = 2;
  inception3.ema = 0.9999;
  inception3.augment = "random_resized_crop(299) | flip | normalize(imagenet)";
  inception3.notes = "50 replicas of batch 32 each; weight decay not stated";

  Recipe& inception4 = add("inception-v4", "inceptionv4", "Szegedy et al. 2016, section 4");
  inception4.batch = 640;
  inception4.epochs = 160;
  inception4.optimizer = "rmsprop";
  inception4.lr = 0.045;
  inception4.schedule = "step:2,0.94";
  inception4.rms_decay = 0.9;
  inception4.rms_eps = 1;
  inception4.weight_decay = 0;
  inception4.label_smoothing = 0.1;
  inception4.ema = 0.9999;
  inception4.augment = "random_resized_crop(299) | flip | normalize(half)";
  inception4.notes = "20 replicas; batch per replica and weight decay not stated";

  Recipe& resnet = add("resnet-imagenet", "resnet50", "He et al. 2015, section 3.4");
  resnet.batch = 256;
  resnet.epochs = 120;
  resnet.schedule = "multistep:30,60,90";
  resnet.velocity_form = true;
  resnet.augment = "random_resize(256 480) | random_crop(224) | flip | pca_color(0.1) | normalize(imagenet)";
  resnet.notes = "the paper lowered the rate on a plateau; the milestones are the later custom";

  Recipe& torch = add("resnet-torch", "resnet50", "the authors' Torch release of He et al. 2015");
  torch.batch = 256;
  torch.schedule = "multistep:30,60";
  torch.nesterov = true;
  torch.augment = kTorchRelease;

  Recipe& cifar = add("resnet-cifar", "cifar_resnet20", "He et al. 2015, section 4.2");
  cifar.epochs = 164;
  cifar.schedule = "multistep:81,122";
  cifar.velocity_form = true;
  cifar.augment = kCifar;
  cifar.notes = "64,000 steps, rate divided at 32,000 and 48,000; ResNet-110 begins at 0.01 for about 400 steps";

  Recipe& preact = add("preresnet-cifar", "cifar_preresnet164", "He et al. 2016, appendix");
  preact.epochs = 164;
  preact.schedule = "multistep:81,122";
  preact.warmup_lr = 0.01;
  preact.warmup_steps = 400;
  preact.augment = kCifar;

  Recipe& depth = add("stochastic-depth-cifar", "cifar_sdresnet110", "Huang et al. 2016 (stochastic depth), section 4");
  depth.epochs = 500;
  depth.schedule = "multistep:250,375";
  depth.nesterov = true;
  depth.survival = 0.5;
  depth.augment = kCifar;
  depth.notes = "45,000 images for training, 5,000 for validation";

  Recipe& deep = add("stochastic-depth-imagenet", "resnet152", "Huang et al. 2016 (stochastic depth), section 4");
  deep.schedule = "step:30";
  deep.survival = 0.5;
  deep.augment = kTorchRelease;

  Recipe& resnext = add("resnext-imagenet", "resnext50_32x4d", "Xie et al. 2016, section 4");
  resnext.batch = 256;
  resnext.epochs = 100;
  resnext.schedule = "multistep:30,60,90";
  resnext.augment = kTorchRelease;

  Recipe& resnext_cifar = add("resnext-cifar", "cifar_resnext29_8x64d", "Xie et al. 2016, section 5.3");
  resnext_cifar.epochs = 300;
  resnext_cifar.schedule = "multistep:150,225";
  resnext_cifar.weight_decay = 5e-4;
  resnext_cifar.augment = kCifar;

  Recipe& densenet = add("densenet-imagenet", "densenet121", "Huang et al. 2016 (DenseNet), section 4.2");
  densenet.batch = 256;
  densenet.schedule = "multistep:30,60";
  densenet.nesterov = true;
  densenet.augment = kTorchRelease;
  densenet.notes = "DenseNet-161: batch 128, 100 epochs, one more drop at 90";

  Recipe& dense_cifar = add("densenet-cifar", "cifar_densenet_bc100_k12", "Huang et al. 2016 (DenseNet), section 4.2");
  dense_cifar.batch = 64;
  dense_cifar.epochs = 300;
  dense_cifar.schedule = "multistep:150,225";
  dense_cifar.nesterov = true;
  dense_cifar.augment = kCifar;
  dense_cifar.notes = "without augmentation dropout 0.2; SVHN: 40 epochs";

  Recipe& senet = add("senet", "se_resnet50", "Hu et al. 2017, section 6; weight decay not stated");
  senet.batch = 1024;
  senet.epochs = 100;
  senet.lr = 0.6;
  senet.schedule = "step:30";
  senet.velocity_form = true;
  senet.augment = kArea;
  senet.notes =
      "also rotations by 10 degrees, pixel jitter of 20, class-balanced sampling; released: batch 256, rate 0.1";

  Recipe& senet154 = add("senet154", "senet154", "Hu et al. 2017, appendix; weight decay not stated");
  senet154.batch = 2048;
  senet154.epochs = 100;
  senet154.lr = 1;
  senet154.schedule = "step:30";
  senet154.velocity_form = true;
  senet154.dropout = 0.2;
  senet154.label_smoothing = 0.1;
  senet154.augment = kArea;
  senet154.notes = "batch norm frozen in the last epochs";

  Recipe& dpn = add("dpn", "dpn68", "Chen et al. 2017, section 4; weight decay not checked");
  dpn.batch = 1280;
  dpn.epochs = 100;
  dpn.lr = 0.31622776601683794;  // sqrt(0.1)
  dpn.schedule = "step:30";
  dpn.nesterov = true;
  dpn.augment = kArea;
  dpn.notes = "40 devices with 32 images each; also shifts of hue, saturation and lightness by 20, 40, 50";

  Recipe& plain = add("small-cifar", "cifar_alexnet", "ours, for the small-input networks without batch norm");
  plain.epochs = 164;
  plain.lr = 0.01;
  plain.schedule = "multistep:81,122";
  plain.weight_decay = 5e-4;
  plain.augment = kCifar;

  Recipe& normed = add("small-bn-cifar", "cifar_vgg16_bn", "ours, for the small-input networks with batch norm");
  normed.epochs = 164;
  normed.schedule = "multistep:81,122";
  normed.weight_decay = 5e-4;
  normed.augment = kCifar;
  return all;
}

// What checkpoints expect, row by row.
constexpr std::array kImageNetMean{.485, .456, .406}, kImageNetStd{.229, .224, .225};

}  // namespace

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all = all_recipes();
  return all;
}

const Recipe& find_recipe(const std::string& name) {
  const auto found = std::find_if(recipes().begin(), recipes().end(), [&](const Recipe& r) { return r.name == name; });
  if (found != recipes().end()) return *found;
  std::string known;
  for (const Recipe& recipe : recipes()) known += (known.empty() ? "" : ", ") + recipe.name;
  fail("recipe: no \"{}\"; there are {}", name, known);
}

Preprocessing preprocessing(const std::string& name) {
  const ModelInfo& model = find_model(name);
  if (model.input == 32) {
    if (model.naming == "akamaster") return {0, 0, kImageNetMean, kImageNetStd};
    return {0, 0, {.4914, .4822, .4465}, {.2470, .2435, .2616}};
  }
  if (model.name == "inceptionv4" || model.name == "inceptionresnetv2" || model.name == "se_inceptionresnetv2")
    return {342, 299, {.5, .5, .5}, {.5, .5, .5}};
  if (model.name == "inception_v3") return {342, 299, kImageNetMean, kImageNetStd, false, 1, true};
  if (model.name == "googlenet") return {256, 224, kImageNetMean, kImageNetStd, false, 1, true};
  if (model.name == "bninception") return {256, 224, {104, 117, 128}, {1, 1, 1}, true, 255};
  if (model.family == "dpn") {
    constexpr double kStd = 1 / (.0167 * 255);
    return {256, 224, {124 / 255.0, 117 / 255.0, 104 / 255.0}, {kStd, kStd, kStd}};
  }
  return {256, model.input, kImageNetMean, kImageNetStd};
}

}  // namespace gradus::zoo
