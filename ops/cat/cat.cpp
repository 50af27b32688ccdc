#include "ops/cat/cat.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/cat/cat_kernels.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

struct CatNode final : Node {
  int dim = 0;
  const char* name() const override { return "cat"; }
  Grads backward(const Tensor& gy) override {
    Grads g(inputs.size());
    std::int64_t start = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::int64_t length = inputs[i].shape[dim];
      if (needs(i)) g[i] = narrow(gy, dim, start, length);
      start += length;
    }
    return g;
  }
  void release() override {}
};

std::string describe_all(const std::vector<Tensor>& tensors) {
  std::string text;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    text += fmt::format("{}  x{}  {}", i ? "\n" : "", i, describe(tensors[i]));
  return text;
}

}  // namespace

Tensor cat(const std::vector<Tensor>& operands, std::int64_t wanted) {
  check<ShapeError>(!operands.empty(), "cat: of no tensors");
  const std::vector<Tensor> tensors = promoted(operands);
  const Tensor& first = tensors[0];
  const int dim = wrap_dim("cat", wanted, first.rank());
  Shape shape = first.shape();
  bool channels_last = first.rank() == 4;
  shape[dim] = 0;
  for (const Tensor& x : tensors) {
    bool fits = x.rank() == first.rank();
    for (int d = 0; fits && d < x.rank(); ++d) fits = d == dim || x.shape()[d] == first.shape()[d];
    check<ShapeError>(fits, "cat: sizes differ in another dim than {}\n{}", dim, describe_all(tensors));
    check<DTypeError>(x.dtype() == first.dtype(), "cat: operands have different dtypes (convert with to())\n{}",
                      describe_all(tensors));
    check<DeviceError>(x.device() == first.device(), "cat: operands are on different devices (move them with to())\n{}",
                       describe_all(tensors));
    shape[dim] += x.shape()[dim];
    channels_last = channels_last && x.is_contiguous(Format::channels_last);
  }
  const Tensor y = empty(shape, {.dtype = first.dtype(),
                                 .device = first.device(),
                                 .format = channels_last ? Format::channels_last : Format::contiguous});
  const auto copy_blocks = [&](const Candidates<BlockCopyProblem>& kernel) {
    std::int64_t start = 0;
    for (const Tensor& x : tensors) {
      if (x.numel() == 0) continue;
      const Tensor place = y.as_strided(x.shape(), y.strides(), start * y.strides()[dim]);
      kernel.run({x.view(), place.view()});
      start += x.shape()[dim];
    }
  };
  run(
      "cat", {first, y}, [&] { copy_blocks(cpu::block_copy()); }, [&] { copy_blocks(cuda::block_copy()); });
  if (recording(tensors)) {
    auto node = std::make_shared<CatNode>();
    node->dim = dim;
    attach(y, std::move(node), tensors);
  }
  return y;
}

Tensor stack(const std::vector<Tensor>& tensors, std::int64_t dim) {
  std::vector<Tensor> rows;
  for (const Tensor& x : tensors) {
    check<ShapeError>(x.shape() == tensors[0].shape(), "stack: shapes differ\n{}", describe_all(tensors));
    rows.push_back(unsqueeze(x, dim));
  }
  check<ShapeError>(!rows.empty(), "stack: of no tensors");
  return cat(rows, dim);
}

std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& sizes, std::int64_t wanted) {
  const int dim = wrap_dim("split", wanted, x.rank());
  std::int64_t total = 0;
  bool fits = true;
  for (std::int64_t size : sizes) total += size, fits = fits && size >= 0;
  if (!fits || total != x.shape()[dim])
    fail<ShapeError>("split: sizes {} do not make up dim {} of size {}\n  x  {}", to_string(Dims(sizes)), dim,
                     x.shape()[dim], describe(x));
  std::vector<Tensor> parts;
  std::int64_t start = 0;
  for (std::int64_t size : sizes) {
    parts.push_back(narrow(x, dim, start, size));
    start += size;
  }
  return parts;
}

std::vector<Tensor> split(const Tensor& x, std::int64_t size, std::int64_t wanted) {
  const int dim = wrap_dim("split", wanted, x.rank());
  check(size >= 1, "split: size {} is not positive", size);
  std::vector<Tensor> parts;
  for (std::int64_t start = 0; start < x.shape()[dim] || start == 0; start += size)
    parts.push_back(narrow(x, dim, start, std::min(size, x.shape()[dim] - start)));
  return parts;
}

std::vector<Tensor> chunk(const Tensor& x, std::int64_t chunks, std::int64_t wanted) {
  const int dim = wrap_dim("chunk", wanted, x.rank());
  check(chunks >= 1, "chunk: {} chunks", chunks);
  return split(x, std::max<std::int64_t>(1, (x.shape()[dim] + chunks - 1) / chunks), dim);
}

}  // namespace gradus
