#include "tools/visualize/layers.hpp"

#include <algorithm>

#include "nn/layers/batch_norm.hpp"
#include "nn/layers/squeeze_excite.hpp"
#include "ops/reduce/reduce.hpp"
#include "tools/train/transfer.hpp"

namespace gradus::program {

void LayerOutputs::after(Module& module, const Tensor&, const Tensor& y) {
  std::erase_if(outputs_, [&](const auto& entry) { return entry.first == module.path(); });
  outputs_.emplace_back(module.path(), y);
  // A normalisation may rectify in the same pass, which its node does not say; a result without a negative number
  // tells.
  const bool may = dynamic_cast<BatchNorm2d*>(&module) != nullptr || dynamic_cast<SqueezeExcite*>(&module) != nullptr;
  if (may && y.node() && min(y.detach()).item() >= 0) rectified_.push_back(y.node().get());
}

Tensor LayerOutputs::at(const std::string& path) const {
  std::string maps;
  for (const auto& [name, y] : outputs_) {
    if (name == path) return y;
    if (y.rank() == 4 && !name.empty()) maps += (maps.empty() ? "" : ", ") + name;
  }
  fail("--layer: this network has no layer \"{}\" that gave a result; maps come from {}", path, maps);
}

std::string LayerOutputs::last_map(std::int64_t classes) const {
  for (auto entry = outputs_.rbegin(); entry != outputs_.rend(); ++entry) {
    const Tensor& y = entry->second;
    if (!entry->first.empty() && y.rank() == 4 && y.size(2) * y.size(3) > 1 && y.size(1) != classes)
      return entry->first;
  }
  fail("this network has no layer that gives a map");
}

bool LayerOutputs::is_rectified(const Node& node) const {
  return std::find(rectified_.begin(), rectified_.end(), &node) != rectified_.end();
}

namespace {

class InputOf final : public ForwardObserver {
 public:
  explicit InputOf(std::string path) : path_(std::move(path)) {}
  void before(Module& module, const Tensor& x) override {
    if (module.path() == path_) input = x;
  }
  void after(Module&, const Tensor&, const Tensor&) override {}
  Tensor input;

 private:
  std::string path_;
};

}  // namespace

Tensor last_features(Module& net, const Tensor& x, std::int64_t classes) {
  const NoGrad no_grad;
  InputOf head(head_of(net, classes));
  net(x);
  check(head.input.defined(), "embed: the layer that makes the logits did not run");
  return head.input.rank() == 4 ? mean(head.input, {2, 3}) : head.input;
}

}  // namespace gradus::program
