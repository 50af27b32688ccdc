#pragma once
// Checkpoints: weights by name, and the whole state of a training run.
//
// A run's checkpoint is one safetensors file. The model's tensors stand in it under their own names, so that the file
// is also a weight file; beside them "optimizer/…" and "ema/…", and under the metadata key "gradus" a JSON object with
// the rest. A run restored from it goes on to the same bits as one that never stopped.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.hpp"
#include "nn/ema.hpp"
#include "nn/files/named_tensors.hpp"
#include "nn/module.hpp"
#include "nn/optim/optimizer.hpp"
#include "nn/schedule/plateau.hpp"

namespace gradus {

/// How the tensors of a file and those of a network fail to match.
struct StateMismatch {
  std::vector<std::string> missing;      // the network's, not in the file
  std::vector<std::string> unexpected;   // the file's, not in the network
  std::vector<std::string> other_shape;  // "fc.weight [1000, 512] in the file, [10, 512] here"

  bool none() const { return missing.empty() && unexpected.empty() && other_shape.empty(); }
  /// "2 missing (fc.weight, fc.bias), 1 unexpected (head.weight)": one line, long lists abbreviated.
  std::string text() const;
};

StateMismatch compare_state(const std::vector<NamedState>& state, const NamedTensors& tensors);

/// Copies tensors into the module by name, converting dtypes. With `strict` everything must match: otherwise FileError,
/// which names `file` and what does not, and nothing is written. Without it what fits is copied. Returns the rest.
StateMismatch load_state(Module& module, const NamedTensors& tensors, bool strict = true,
                         std::string_view file = "weights");

/// The module's state dict, sharing its memory.
NamedTensors state_dict(Module& module);

/// What a checkpoint saves and restores. Null pointers: the run has none.
struct TrainingState {
  Module* model = nullptr;
  optim::Optimizer* optimizer = nullptr;
  Ema* ema = nullptr;
  Plateau* plateau = nullptr;
  Generator* generator = nullptr;
  std::int64_t epoch = 0, batch = 0;                 // the loader's position: the next batch to train on
  std::int64_t step = 0;                             // optimiser steps so far
  std::map<std::string, std::string> notes = {};     // the run's own: configuration, best metric, sums of this epoch
  std::map<std::string, std::string> metadata = {};  // of the weights: model, classes, preprocessing; not restored
};

/// Writes `path` whole or not at all. FileError.
void save_checkpoint(const std::string& path, const TrainingState& state);
/// Restores everything `state` points to and fills in its numbers and notes. All is checked before anything is written:
/// FileError where the file is no checkpoint of a run, was made with another optimizer, or holds other tensors.
void load_checkpoint(const std::string& path, TrainingState& state);

/// True where the tensors come from a training run's checkpoint.
bool is_checkpoint(const NamedTensors& tensors);
/// The weights in a checkpoint: the average's if the run kept one, else the model's. Other files: as they are.
NamedTensors weights_of(NamedTensors tensors);

}  // namespace gradus
