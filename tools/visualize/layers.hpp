#pragma once
// What a network's layers give for a picture.

#include <string>
#include <utility>
#include <vector>

#include "nn/module.hpp"

namespace gradus::program {

/// Records the result of every module that runs while it lives, by path, in the order in which they finish; of a module
/// that runs twice, the last. Also the results that were rectified on the way out of a normalisation or scaling.
class LayerOutputs final : public ForwardObserver {
 public:
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor& y) override;

  /// The result of the module at `path`. ValueError with the paths of maps (4-D results) if there is none.
  Tensor at(const std::string& path) const;
  /// The last map of more than one place that is not one of `classes` scores: what Grad-CAM looks at. ValueError if
  /// there is none.
  std::string last_map(std::int64_t classes) const;
  /// Whether that node's result was rectified in the same pass as something else.
  bool is_rectified(const Node& node) const;
  const std::vector<std::pair<std::string, Tensor>>& all() const { return outputs_; }

 private:
  std::vector<std::pair<std::string, Tensor>> outputs_;
  std::vector<const Node*> rectified_;
};

/// What the module that makes the logits is given for x, one row per picture [N, D]; of maps the mean over their
/// places. Off the tape.
Tensor last_features(Module& net, const Tensor& x, std::int64_t classes);

}  // namespace gradus::program
