#pragma once
// What the families' constructors share: options with the paper's value as default, and initialisation.

#include <cstdint>
#include <memory>
#include <string>

#include "nn/init.hpp"
#include "nn/module.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// The option where the caller set it, else the paper's value.
inline std::int64_t or_paper(std::int64_t option, std::int64_t paper) { return option > 0 ? option : paper; }
inline double or_paper(double option, double paper) { return option >= 0 ? option : paper; }

/// Builder of a network that is constructed from the options alone.
template <class Net>
std::unique_ptr<Classifier> build_net(const ModelOptions& options) {
  return std::make_unique<Net>(options);
}

/// fn(layer) for every layer of type M below `net`.
template <class M, class Fn>
void for_each(Module& net, Fn&& fn) {
  net.apply([&](Module& module) {
    if (auto* layer = dynamic_cast<M*>(&module)) fn(*layer);
  });
}

// Initialisations that several families use. Batch norms keep weight 1 and bias 0 in all of them.

/// Convolutions: weights N(0, 2 / fan), biases 0 (He et al. 2015, arXiv:1502.01852). Linear layers stay as they are.
void init_kaiming(Module& net, init::Fan fan);
/// Linear layers: weights N(0, std^2), biases 0.
void init_linear_normal(Module& net, double std);
/// Convolutions and linear layers: weights N(0, std^2), biases 0 (Krizhevsky et al. 2012, section 5).
void init_normal(Module& net, double std);
/// Convolutions and linear layers: Glorot's uniform, biases as given (Caffe's "xavier").
void init_xavier(Module& net, double bias);

}  // namespace gradus::zoo
