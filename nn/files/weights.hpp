#pragma once
// Weights from any file Gradus reads, under the names its models use.

#include <string>
#include <string_view>

#include "nn/files/bytes.hpp"
#include "nn/files/named_tensors.hpp"

namespace gradus {

enum class WeightFormat { safetensors, torch };

struct LoadOptions {
  /// Drop class 0 of a classifier with 1,001 classes: TensorFlow's "background", which the published Inception-v4 and
  /// Inception-ResNet-v2 files still hold.
  bool drop_background = false;
};

/// What the file's bytes say it is, whatever its name. FileError, with a guess at what else it is, where it is neither.
WeightFormat detect_weight_format(files::Bytes bytes, std::string_view file);

/// Reads a weight file and applies canonical_names(). FileError.
NamedTensors load_weights(const std::string& path, const LoadOptions& options = {});
NamedTensors load_weights(files::Bytes bytes, std::string_view file, const LoadOptions& options = {});

/// Writes safetensors, or PyTorch's zip form where the name ends in .pth, .pt or .th. FileError.
void save_weights(const std::string& path, const NamedTensors& weights);

/// Brings the spellings that published files use to one form. `file` is what messages call the file.
///  - "module." (data parallel) and "_orig_mod." (compiled) before every name: removed
///  - "….num_batches_tracked": removed, no model here reads it
///  - "….denselayer3.norm.1.weight", PyTorch before 0.4: "….denselayer3.norm1.weight"
///  - batch-norm vectors stored as [1, C]: [C]
/// FileError where two tensors end under one name.
void canonical_names(NamedTensors& weights, std::string_view file);

/// Rows 1 to 1,000 of every weight and bias whose name begins with "last_linear.", "fc." or "classif." and that has
/// 1,001.
void drop_background_class(NamedTensors& weights);

}  // namespace gradus
