#pragma once
// safetensors: 8 bytes little-endian length of the header, a JSON header, raw little-endian data.
// Format: https://github.com/huggingface/safetensors (README, "Format").
//
//   {"__metadata__": {"model": "resnet20"}, "conv1.weight": {"dtype": "F32", "shape": [16,3,3,3], "data_offsets":
//   [0,1728]}}
//
// Names keep the header's order. Read are F64 F32 F16 BF16 I64 U8 BOOL, and I32 I16 I8 U32 U16 as i64.

#include <string>
#include <string_view>

#include "nn/files/bytes.hpp"
#include "nn/files/named_tensors.hpp"

namespace gradus::files {

/// FileError that names the file and the tensor where the header is not what the format says: cut short, too large, not
/// JSON, a name twice, an unknown dtype, sizes that do not give the bytes, offsets that overlap, leave a gap or pass
/// the file's end. Nothing is allocated for a tensor before all of that has been checked.
NamedTensors read_safetensors(Bytes bytes, std::string_view file);
NamedTensors read_safetensors(const std::string& path);

/// Replaces `path` as AtomicFile does. The data is laid out by falling element size, so that every tensor is aligned;
/// `safetensors.torch.load_file` reads it. FileError for two tensors of one name.
void write_safetensors(const std::string& path, const NamedTensors& weights);

/// The bytes of a file that holds metadata and no tensor. FileError, about `file`, for text that is not UTF-8.
std::string metadata_as_safetensors(const std::map<std::string, std::string>& metadata, std::string_view file);

}  // namespace gradus::files
