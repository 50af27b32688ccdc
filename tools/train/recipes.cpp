#include "tools/train/recipes.hpp"

#include <algorithm>

#include "data/arguments.hpp"

namespace gradus::program {
namespace {

/// SGD with momentum 0.9 in its plain form, which most of the papers share.
void sgd(TrainConfig& c, std::int64_t epochs, std::int64_t batch, double lr, double decay, const char* schedule) {
  c.optimizer = "sgd";
  c.momentum = 0.9;
  c.nesterov = false;
  c.epochs = epochs;
  c.batch = batch;
  c.lr = lr;
  c.weight_decay = decay;
  c.schedule = schedule;
  c.warmup = 0;
}

/// With the learning rate inside the velocity, as cuda-convnet and Caffe have it.
void caffe(TrainConfig& c, std::int64_t epochs, std::int64_t batch, double lr, double decay, const char* schedule) {
  sgd(c, epochs, batch, lr, decay, schedule);
  c.optimizer = "sgd-velocity";
}

/// With Nesterov's momentum, as the Torch releases have it.
void torch(TrainConfig& c, std::int64_t epochs, std::int64_t batch, double lr, double decay, const char* schedule) {
  sgd(c, epochs, batch, lr, decay, schedule);
  c.nesterov = true;
}

}  // namespace

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all = {
      {"short", "ours: one cycle of the learning rate (Smith and Topin 2018), for runs of 5 to 30 epochs",
       [](TrainConfig& c) { c = TrainConfig{}; }},
      {"alexnet", "Krizhevsky et al. 2012, section 5",
       [](TrainConfig& c) {
         caffe(c, 90, 128, 0.01, 5e-4, "plateau:3,0.1");
         c.augment = "resize(256) | random_crop(224) | flip | pca_color";
       }},
      {"vgg", "Simonyan and Zisserman 2014, section 3.1",
       [](TrainConfig& c) {
         caffe(c, 74, 256, 0.01, 5e-4, "plateau:3,0.1");
         c.augment = "random_resize(256 512) | random_crop(224) | flip | pca_color";
       }},
      {"googlenet", "Szegedy et al. 2014, section 6; rate and decay of the Caffe release",
       [](TrainConfig& c) { caffe(c, 90, 32, 0.01, 2e-4, "step:8,0.96"); }},
      {"inception", "Szegedy et al. 2015, section 8",
       [](TrainConfig& c) {
         sgd(c, 100, 32, 0.045, 0, "step:2,0.94");
         c.optimizer = "rmsprop-tf";
         c.label_smoothing = 0.1;
         c.clip_norm = 2;
         c.ema = 0.9999;
       }},
      {"resnet", "He et al. 2015, section 3.4",
       [](TrainConfig& c) {
         caffe(c, 120, 256, 0.1, 1e-4, "multistep:30,60,90");
         c.augment = "random_resize(256 480) | random_crop(224) | flip | pca_color";
       }},
      {"resnet-cifar", "He et al. 2015, section 4.2: 64,000 steps, the rate cut after 32,000 and 48,000",
       [](TrainConfig& c) { caffe(c, 164, 128, 0.1, 1e-4, "multistep:81,122"); }},
      {"stochastic-depth-cifar", "Huang et al. 2016 (Deep Networks with Stochastic Depth), section 4",
       [](TrainConfig& c) { torch(c, 500, 128, 0.1, 1e-4, "multistep:250,375"); }},
      {"resnext", "Xie et al. 2016, section 4.1",
       [](TrainConfig& c) { sgd(c, 100, 256, 0.1, 1e-4, "multistep:30,60,90"); }},
      {"resnext-cifar", "Xie et al. 2016, section 5.4",
       [](TrainConfig& c) { sgd(c, 300, 128, 0.1, 5e-4, "multistep:150,225"); }},
      {"densenet", "Huang et al. 2016 (Densely Connected Convolutional Networks), section 4.2",
       [](TrainConfig& c) { torch(c, 90, 256, 0.1, 1e-4, "multistep:30,60"); }},
      {"densenet-cifar", "Huang et al. 2016 (Densely Connected Convolutional Networks), section 4.2",
       [](TrainConfig& c) { torch(c, 300, 64, 0.1, 1e-4, "multistep:150,225"); }},
      {"senet", "Hu et al. 2017, section 5", [](TrainConfig& c) { caffe(c, 100, 1024, 0.6, 1e-4, "step:30,0.1"); }},
      {"small-images", "ours: AlexNet, ZFNet, VGG and GoogLeNet for 32 x 32 images; lr 0.01 without batch norm",
       [](TrainConfig& c) { sgd(c, 164, 128, 0.1, 5e-4, "multistep:81,122"); }},
  };
  return all;
}

const Recipe& find_recipe(const std::string& name) {
  std::vector<std::string_view> known;
  for (const Recipe& r : recipes()) {
    if (r.name == name) return r;
    known.push_back(r.name);
  }
  fail("--recipe: there is no \"{}\"; the nearest is {} (`gradus train --help` lists all)", name,
       data::nearest_name(name, known));
}

}  // namespace gradus::program
