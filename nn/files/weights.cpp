#include "nn/files/weights.hpp"

#include <algorithm>
#include <cctype>
#include <unordered_set>
#include <utility>

#include "core/error.hpp"
#include "nn/files/mapped_file.hpp"
#include "nn/files/safetensors.hpp"
#include "nn/files/torch_checkpoint.hpp"

namespace gradus {
namespace {

using files::in_quotes;

constexpr std::int64_t kClassesWithBackground = 1001;

/// Removes `prefix` where every name begins with it.
void strip_prefix(NamedTensors& weights, std::string_view prefix) {
  const bool everywhere = std::all_of(weights.tensors.begin(), weights.tensors.end(), [&](const NamedTensor& t) {
    return t.name.size() > prefix.size() && t.name.starts_with(prefix);
  });
  if (!everywhere) return;
  for (NamedTensor& t : weights.tensors) t.name.erase(0, prefix.size());
}

/// "….denselayer3.norm.1.weight" to "….denselayer3.norm1.weight"; likewise conv. Other names stay.
void join_dense_layer_index(std::string& name) {
  const std::size_t layer = name.rfind(".denselayer");
  if (layer == name.npos) return;
  for (const std::string_view part : {".norm.", ".conv."}) {
    const std::size_t at = name.find(part, layer + 1);
    const std::size_t digit = at + part.size();
    if (at == name.npos || digit + 1 >= name.size() || std::isdigit(static_cast<unsigned char>(name[digit])) == 0 ||
        name[digit + 1] != '.') {
      continue;
    }
    name.erase(digit - 1, 1);
    return;
  }
}

/// Batch-norm vectors [1, C] to [C]. A batch norm is known by its running mean.
void flatten_batch_norms(NamedTensors& weights) {
  std::unordered_set<std::string> norms;
  for (const NamedTensor& t : weights.tensors) {
    const std::string_view suffix = "running_mean";
    if (t.name.ends_with(suffix)) norms.insert(t.name.substr(0, t.name.size() - suffix.size()));
  }
  for (NamedTensor& t : weights.tensors) {
    const Tensor& x = t.tensor;
    if (x.rank() != 2 || x.size(0) != 1 || !norms.contains(t.name.substr(0, t.name.rfind('.') + 1))) continue;
    t.tensor = x.as_strided({x.size(1)}, {x.strides()[1]}, x.offset());
  }
}

}  // namespace

WeightFormat detect_weight_format(files::Bytes bytes, std::string_view file) {
  const std::string_view text = files::as_text(bytes);
  if (files::is_torch_zip(bytes) || files::is_torch_legacy(bytes)) return WeightFormat::torch;
  if (bytes.size() > 8 && text[8] == '{') return WeightFormat::safetensors;

  const char* guess = "neither safetensors nor a PyTorch checkpoint";
  const std::size_t first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  if (text.empty()) guess = "an empty file";
  if (text.starts_with("version https://git-lfs")) guess = "a Git LFS pointer, not the file it stands for";
  if (text.substr(first).starts_with("<")) guess = "a web page: the download went wrong";
  if (text.size() > 262 && text.substr(257, 5) == "ustar")
    guess = "a tar archive, PyTorch's form before 0.1.10, which is not read";
  if (text.starts_with("\x1f\x8b")) guess = "compressed by gzip: unpack it first";
  if (text.starts_with('\x80')) guess = "a plain pickle, not one of PyTorch's checkpoints";
  if (text.starts_with("\x89HDF")) guess = "an HDF5 file, which is not read";
  fail<FileError>("{}: is {}", file, guess);
}

NamedTensors load_weights(files::Bytes bytes, std::string_view file, const LoadOptions& options) {
  const WeightFormat format = detect_weight_format(bytes, file);
  NamedTensors weights =
      format == WeightFormat::torch ? files::read_torch_checkpoint(bytes, file) : files::read_safetensors(bytes, file);
  canonical_names(weights, file);
  if (options.drop_background) drop_background_class(weights);
  return weights;
}

NamedTensors load_weights(const std::string& path, const LoadOptions& options) {
  return load_weights(files::MappedFile(path).bytes(), path, options);
}

void save_weights(const std::string& path, const NamedTensors& weights) {
  const bool torch = path.ends_with(".pth") || path.ends_with(".pt") || path.ends_with(".th");
  torch ? files::write_torch_checkpoint(path, weights) : files::write_safetensors(path, weights);
}

void canonical_names(NamedTensors& weights, std::string_view file) {
  strip_prefix(weights, "module.");
  strip_prefix(weights, "_orig_mod.");
  std::erase_if(weights.tensors, [](const NamedTensor& t) { return t.name.ends_with("num_batches_tracked"); });
  for (NamedTensor& t : weights.tensors) join_dense_layer_index(t.name);
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& t : weights.tensors) {
    check<FileError>(names.insert(t.name).second, "{}: two tensors are called {} once names are brought to one form",
                     file, in_quotes(t.name));
  }
  flatten_batch_norms(weights);
}

void drop_background_class(NamedTensors& weights) {
  for (NamedTensor& t : weights.tensors) {
    const bool head = t.name.starts_with("last_linear.") || t.name.starts_with("fc.") || t.name.starts_with("classif.");
    const Tensor& x = t.tensor;
    if (!head || x.rank() == 0 || x.size(0) != kClassesWithBackground) continue;
    Shape shape = x.shape();
    shape[0] -= 1;
    t.tensor = x.as_strided(shape, x.strides(), x.offset() + x.strides()[0]);
  }
}

}  // namespace gradus
