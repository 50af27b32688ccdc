#pragma once
// Weights as a forward kernel wants them: packed in panels, or transformed. Made in each call; or, where the operator
// says that the same weights will be used again, once, and kept beside them until they are written or freed.

#include <cstdint>
#include <memory>

#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {

class PackedWeights {
 public:
  /// `floats` of them, in the layout of `candidate`, which depends on the weight's shape alone. fill(to) makes them.
  template <class Fill>
  PackedWeights(const ConvForward& f, const char* candidate, std::int64_t floats, Fill&& fill)
      : held_(find_kept(f, candidate)) {
    if (held_) return;
    held_ = std::make_shared<Workspace<float>>(floats);
    fill(held_->data());
    keep(f, candidate, held_);
  }
  const float* data() const { return held_->data(); }

 private:
  using Held = std::shared_ptr<Workspace<float>>;
  // Both do nothing where nothing is to be kept.
  static Held find_kept(const ConvForward& f, const char* candidate);
  static void keep(const ConvForward& f, const char* candidate, const Held& packed);
  Held held_;
};

}  // namespace gradus::cpu
