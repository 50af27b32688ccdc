#pragma once
// Starting from weights that were trained before.

#include <cstdint>
#include <string>
#include <vector>

#include "nn/files/named_tensors.hpp"
#include "nn/module.hpp"
#include "zoo/registry.hpp"

namespace gradus::program {

/// Classes that weights of `model` tell apart, whatever order the file lists them in; the model's own number where its
/// head is not among them.
std::int64_t count_classes(const NamedTensors& weights, const zoo::ModelInfo& model);

/// The module that makes the logits: the last one whose weight has `classes` outputs.
std::string head_of(Module& model, std::int64_t classes);

/// Loads `weights` (from `file`) into the model. With `replace_head` the head, and whatever else depends on the number
/// of classes, keeps its initial values. FileError where the rest does not fit.
void start_from(Module& model, const NamedTensors& weights, const std::string& file, std::int64_t classes,
                bool replace_head);

/// Stops the training of part of the network: "none", "backbone" (all but the head), or "until=NAME" (what runs before
/// the module of that name). Returns the modules that are frozen, which stay in eval mode: their batch statistics are
/// part of what was learnt. ValueError for another word or an unknown name.
std::vector<Module*> freeze(Module& model, const std::string& what, std::int64_t classes);

}  // namespace gradus::program
