#pragma once
#include "nn/module.hpp"

namespace gradus {

/// Several ways from one x, joined along the channels in the order they were added: an inception block. A branch added
/// under the name "" has no name of its own: what is in it counts as this module's.
class Branches : public Module {
 public:
  template <class M>
  requires std::is_base_of_v<Module, M> M& add(std::string name, M module) {
    auto owned = std::make_unique<M>(std::move(module));
    M& added = *owned;
    children_.emplace_back(std::move(name), std::move(owned));
    return added;
  }

  /// x [N, C, H, W] -> [N, sum of the branches' channels, P, Q]; the branches agree on P and Q.
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override {
    for (auto& [name, child] : children_) visit(name, *child);
  }
  std::string type_name() const override { return "Branches"; }
  bool is_block() const override { return is_block_; }
  /// Recomputed as a whole, where recomputing is asked for. `label` names it in errors where it has no path.
  Branches& as_block(std::string label = "") {
    is_block_ = true;
    label_ = std::move(label);
    return *this;
  }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  bool is_block_ = false;
  std::string label_;
};

}  // namespace gradus
