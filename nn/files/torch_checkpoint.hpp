#pragma once
// PyTorch checkpoints (.pth, .pt, .th) without Python: the zip archive that PyTorch writes since 1.6 and the stream of
// pickles it wrote before. What the pickles may hold is pickle.hpp's matter.

#include <string>
#include <string_view>

#include "nn/files/bytes.hpp"
#include "nn/files/named_tensors.hpp"

namespace gradus::files {

bool is_torch_zip(Bytes bytes);
bool is_torch_legacy(Bytes bytes);

/// The state dict of a checkpoint: the object itself, or the dict under `state_dict`, `model_state_dict`, `model`,
/// `net`, … of a training checkpoint. Names are as they stand in the file. Tensors are views, with the file's strides,
/// of storages they may share. Numbers and text beside the state dict (epoch, best accuracy) become metadata. FileError
/// for a damaged file, a global that is not allowed, a tensor or storage that does not fit its data, and an object
/// without a state dict. Storages that no tensor of the state dict uses (an optimiser's) are not read.
NamedTensors read_torch_checkpoint(Bytes bytes, std::string_view file);
NamedTensors read_torch_checkpoint(const std::string& path);

/// A state dict in the zip form, which torch.load(path, weights_only=True) reads. Replaces `path` as AtomicFile does.
/// The metadata has no place in a state dict and stands in a record of its own, which PyTorch passes over. FileError
/// for two tensors of one name and beyond 4 GiB.
void write_torch_checkpoint(const std::string& path, const NamedTensors& weights);

}  // namespace gradus::files
