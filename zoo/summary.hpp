#pragma once
// What a network is, without computing it: layers, output shapes, parameters, multiply-adds, memory of a training step.
// All of it comes from running the network on the meta device, which knows shapes and holds no values.

#include <cstdint>
#include <string>
#include <vector>

#include "core/shape.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// One layer, in the order in which it runs.
struct LayerSummary {
  std::string name;     // "layer1.0.conv1"
  std::string type;     // "Conv2d"
  std::string options;  // "64, 64, kernel 3, padding 1, no bias"
  Shape output;
  std::int64_t parameters = 0;     // of its own, without those of modules in it
  std::int64_t multiply_adds = 0;  // of one forward pass over the batch
};

struct Summary {
  std::string model;
  Shape input;
  std::vector<LayerSummary> layers;
  std::int64_t parameters = 0;  // auxiliary heads included
  std::size_t parameter_tensors = 0;
  std::int64_t buffers = 0;        // values of running statistics
  std::int64_t multiply_adds = 0;  // convolutions and linear layers, evaluation mode
};

/// The network run on one image in evaluation mode; image_size 0 is the native size. Errors: those of build(), and the
/// LayerError of an image too small.
Summary summarize(const std::string& model, const ModelOptions& options = {}, std::int64_t image_size = 0,
                  bool small_input = false);

/// A table to read, or one JSON object.
std::string to_text(const Summary& summary);
std::string to_json(const Summary& summary);

/// Bytes of a training step: what the allocator will report as its peak.
struct MemoryPrediction {
  std::int64_t batch = 0;
  std::int64_t parameters = 0;  // and buffers
  std::int64_t peak = 0;        // of the second step on, when gradients and momentum exist
};

/// Runs forward, cross-entropy, backward and SGD with momentum on the meta device.
MemoryPrediction predict_memory(const std::string& model, std::int64_t batch, const ModelOptions& options = {},
                                std::int64_t image_size = 0, bool small_input = false);

}  // namespace gradus::zoo
