#pragma once
// What the fuzz targets of this folder share: a reader may return or throw FileError; everything else is a finding.

#include <cstddef>
#include <cstdint>

#include "core/error.hpp"
#include "nn/files/named_tensors.hpp"

namespace gradus::files {

/// Reads every element of every tensor, so that a view beyond its storage is seen. A view may have more elements than
/// its storage (a stride of 0); those with very many are passed over.
inline void visit(const NamedTensors& weights) {
  constexpr std::int64_t kMost = 1 << 16;
  for (const NamedTensor& t : weights.tensors) {
    if (t.tensor.numel() <= kMost) t.tensor.clone(Format::contiguous);
  }
}

template <class Read>
int try_to_read(Read&& read) {
  try {
    read();
  } catch (const FileError&) {
  }
  return 0;
}

}  // namespace gradus::files
