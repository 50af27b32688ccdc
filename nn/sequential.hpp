#pragma once
// Containers of modules.

#include <vector>

#include "nn/module.hpp"

namespace gradus {

/// Modules in a row; an empty one is the identity. Children are named "0", "1", … or as given. A child named
/// "" has no name of its own: its members count as this module's.
class Sequential : public Module {
 public:
  Sequential() = default;
  /// Sequential(Conv2d(…), BatchNorm2d(…), …): takes the modules over.
  template <class... M>
  requires(sizeof...(M) > 0 && (std::is_base_of_v<Module, M> && ...)) explicit Sequential(M&&... modules) {
    (add(std::forward<M>(modules)), ...);
  }

  /// Appends a module and returns it.
  template <class M>
  requires std::is_base_of_v<Module, M> M& add(std::string name, M module) {
    auto owned = std::make_unique<M>(std::move(module));
    M& added = *owned;
    children_.emplace_back(std::move(name), std::move(owned));
    return added;
  }
  template <class M>
  requires std::is_base_of_v<Module, M> M& add(M module) {
    return add(std::to_string(children_.size()), std::move(module));
  }
  void add(std::string name, std::unique_ptr<Module> module) {
    children_.emplace_back(std::move(name), std::move(module));
  }

  std::size_t size() const { return children_.size(); }
  bool empty() const { return children_.empty(); }
  Module& operator[](std::size_t i) { return *children_[i].second; }

  /// The modules one after the other; a batch norm and the ReLU behind it run as one, and evaluating without a tape so
  /// do a convolution and the two (nn/layers/conv_bn.hpp).
  Tensor forward(const Tensor& x) override;
  /// Cuts the row behind the children with these indices, ascending; each part keeps its input only and runs again in
  /// backward. With none the row is whole.
  void recompute_in_parts(std::vector<std::size_t> cuts) { cuts_ = std::move(cuts); }
  void members(MemberVisitor& visit) override {
    for (auto& [name, child] : children_) visit(name, *child);
  }
  std::string type_name() const override { return "Sequential"; }

 private:
  Tensor run(const Tensor& x, std::size_t begin, std::size_t end);
  /// Child number `next` if it is below `end` and an M, and steps over it; else null.
  template <class M>
  M* child_if(std::size_t& next, std::size_t end);
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  std::vector<std::size_t> cuts_;
};

/// Modules of one type under "0", "1", …, to be called one by one.
template <class M>
class ModuleList : public Module {
 public:
  M& add(M module) {
    children_.push_back(std::make_unique<M>(std::move(module)));
    return *children_.back();
  }
  std::size_t size() const { return children_.size(); }
  M& operator[](std::size_t i) { return *children_[i]; }
  auto begin() { return children_.begin(); }
  auto end() { return children_.end(); }

  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (auto& child : children_) y = (*child)(y);
    return y;
  }
  void members(MemberVisitor& visit) override {
    for (std::size_t i = 0; i < children_.size(); ++i) visit(std::to_string(i), *children_[i]);
  }
  std::string type_name() const override { return "ModuleList"; }

 private:
  std::vector<std::unique_ptr<M>> children_;
};

}  // namespace gradus
