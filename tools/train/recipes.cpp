#include "tools/train/recipes.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "data/arguments.hpp"
#include "zoo/recipes.hpp"

namespace gradus::program {
namespace {

constexpr double kCifarImages = 50'000;

const char* name_of(zoo::Init init) {
  switch (init) {
    case zoo::Init::paper: return "paper";
    case zoo::Init::framework: return "framework";
    case zoo::Init::published: break;
  }
  return "published";
}

TrainConfig config_of(const zoo::Recipe& r) {
  TrainConfig c;
  c.model = r.model;
  c.dropout = r.dropout;
  c.survival = r.survival;
  c.init = name_of(r.init);
  // The recipes for small images share the standard augmentation, which also suits other sets than CIFAR-10.
  c.augment = zoo::find_model(r.model).input == 32 ? "standard" : r.augment;
  c.epochs = r.epochs;
  c.batch = r.batch;
  c.optimizer = r.optimizer == "rmsprop" ? "rmsprop-tf" : r.velocity_form ? "sgd-velocity" : r.optimizer;
  c.lr = r.lr;
  c.schedule = r.schedule;
  c.warmup = static_cast<double>(r.warmup_steps * r.batch) / kCifarImages;
  c.warmup_lr = r.warmup_lr;
  c.momentum = r.momentum;
  c.nesterov = r.nesterov;
  c.weight_decay = r.weight_decay;
  c.decay_all = r.decay_all;
  c.label_smoothing = r.label_smoothing;
  c.clip_norm = r.clip_norm;
  c.filter_rms = r.filter_rms;
  c.ema = r.ema;
  return c;
}

std::vector<std::string_view> names() {
  std::vector<std::string_view> all{"short"};
  for (const zoo::Recipe& r : zoo::recipes()) all.push_back(r.name);
  return all;
}

}  // namespace

std::string recipe_names() {
  std::string text;
  for (const std::string_view name : names()) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

TrainConfig recipe_config(const std::string& name) {
  if (name == "short") return {};
  const std::vector<std::string_view> known = names();
  check(std::find(known.begin(), known.end(), name) != known.end(),
        "--recipe: there is no \"{}\"; the nearest is {} (`gradus train --help` lists all)", name,
        data::nearest_name(name, known));
  return config_of(zoo::find_recipe(name));
}

}  // namespace gradus::program
