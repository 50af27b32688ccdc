#include "zoo/registry.hpp"

#include <algorithm>
#include <numeric>

#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/alexnet/alexnet.hpp"
#include "zoo/densenet/densenet.hpp"
#include "zoo/dpn/dpn.hpp"
#include "zoo/googlenet/googlenet.hpp"
#include "zoo/inception/bn_inception.hpp"
#include "zoo/inception/inception_v3.hpp"
#include "zoo/inception/inception_v4.hpp"
#include "zoo/lenet/lenet.hpp"
#include "zoo/mlp/mlp.hpp"
#include "zoo/model_name.hpp"
#include "zoo/resnet/cifar_resnet.hpp"
#include "zoo/resnet/preactivation.hpp"
#include "zoo/resnet/resnet.hpp"
#include "zoo/senet/senet.hpp"
#include "zoo/squeezenet/squeezenet.hpp"
#include "zoo/vgg/vgg.hpp"

namespace gradus::zoo {
namespace {

std::vector<ModelInfo> all_models() {
  std::vector<ModelInfo> all;
  for (auto* family :
       {mlp_models, lenet_models, alexnet_models, vgg_models, googlenet_models, bn_inception_models,
        inception_v3_models, inception_v4_models, resnet_models, cifar_resnet_models, preactivation_models,
        resnext_models, squeezenet_models, densenet_models, senet_models, dpn_models}) {
    std::vector<ModelInfo> rows = family();
    std::move(rows.begin(), rows.end(), std::back_inserter(all));
  }
  return all;
}

/// Letters to insert, drop or change to turn a into b (Levenshtein).
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

const ModelInfo* lookup(const std::string& name) {
  const auto found = std::find_if(models().begin(), models().end(), [&](const ModelInfo& m) { return m.name == name; });
  return found == models().end() ? nullptr : &*found;
}

}  // namespace

const std::vector<ModelInfo>& models() {
  static const std::vector<ModelInfo> all = all_models();
  return all;
}

const ModelInfo& find_model(const std::string& with_options, bool small_input) {
  ModelOptions ignored;
  const std::string name = take_options(with_options, ignored);
  if (small_input)
    if (const ModelInfo* model = lookup("cifar_" + name)) return *model;
  if (const ModelInfo* model = lookup(name)) return *model;
  if (const ModelInfo* model = lookup("cifar_" + name)) return *model;

  // The three nearest, a short name standing for the small-image form of it.
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const ModelInfo& model : models()) {
    std::size_t distance = edits(name, model.name);
    if (model.name.starts_with("cifar_")) distance = std::min(distance, edits(name, model.name.substr(6)));
    near.emplace_back(distance, model.name);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  fail("model: no \"{}\"; the nearest names are {}, {} and {} (`gradus models` lists all)", name, near[0].second,
       near[1].second, near[2].second);
}

std::unique_ptr<Classifier> build(const std::string& name, const ModelOptions& options, bool small_input) {
  ModelOptions all = options;
  take_options(name, all);
  std::unique_ptr<Classifier> net = find_model(name, small_input).build(all);
  net->name_paths();
  if (all.recompute) recompute_blocks(*net);
  return net;
}

void recompute_blocks(Module& net) {
  bool any = false;
  net.apply([&](Module& module) {
    if (!module.is_block()) return;
    module.recompute_in_backward();
    any = true;
  });
  if (any) return;
  // A net without blocks: its rows of convolutions, cut behind the pools, where the least is to be kept.
  net.apply([](Module& module) {
    auto* row = dynamic_cast<Sequential*>(&module);
    if (!row) return;
    std::vector<std::size_t> pools;
    for (std::size_t i = 0; i < row->size(); ++i)
      if (dynamic_cast<MaxPool2d*>(&(*row)[i])) pools.push_back(i);
    row->recompute_in_parts(pools);
  });
}

}  // namespace gradus::zoo
