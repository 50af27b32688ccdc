#pragma once
// Tensor: a small handle on shared storage.
//
// A tensor has a logical shape (PyTorch's order: activations [N,C,H,W], convolution weights [K,C,R,S]), strides in
// elements, a dtype and a device. Copying a Tensor copies the handle. Logical order is not memory order: activations
// and convolution weights are kept channels-last in memory (Format::channels_last). What reads a tensor's elements one
// by one (item(), to_vector(), printing) always sees logical order.
//
// Everything here is free of gradients. Operators that the tape records (reshape, add, conv2d…) are in ops/; a tensor
// only carries the pointer to the tape's node, whose meaning autograd/node.hpp gives.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/device.hpp"
#include "core/dtype.hpp"
#include "core/shape.hpp"
#include "core/storage.hpp"

namespace gradus {

struct Node;  // autograd/node.hpp

/// What a factory makes. Members can be named: zeros({2, 3}, {.dtype = DType::f64}).
struct TensorOptions {
  DType dtype = DType::f32;
  Device device = kCpu;
  Format format = Format::contiguous;
};

class Tensor {
 public:
  /// No tensor at all; defined() is false and nothing else may be called.
  Tensor() = default;

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }

  const Shape& shape() const { return impl_->shape; }
  std::int64_t size(std::int64_t dim) const { return impl_->shape[wrap_dim("size", dim, rank())]; }
  int rank() const { return impl_->shape.size(); }
  std::int64_t numel() const { return impl_->numel; }
  const Strides& strides() const { return impl_->strides; }
  std::int64_t offset() const { return impl_->offset; }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->storage->device(); }
  bool is_meta() const { return device().type == DeviceType::meta; }
  std::int64_t bytes() const { return numel() * dtype_size(dtype()); }

  /// Dense in that order, ignoring the strides of 1-sized dimensions. channels_last needs rank 4.
  bool is_contiguous(Format format = Format::contiguous) const;
  /// Dense in some order of the dimensions: every element of a block exactly once.
  bool is_dense() const;
  /// The order a new tensor like this one should have. channels_last where channels lie next to each other (also in a
  /// strided view of a channels-last tensor) and contiguous does not fit too; else contiguous.
  Format format() const;

  /// First element. T must be the element type (char-sized access through data_ptr()).
  template <class T>
  T* data() const {
    check<DTypeError>(dtype_of<T> == dtype(), "data: asked for {}, the tensor holds {}", dtype_name(dtype_of<T>),
                      dtype_name(dtype()));
    return static_cast<T*>(data_ptr());
  }
  void* data_ptr() const;
  MemoryView view() const { return {data_ptr(), dtype(), shape(), strides()}; }

  /// The single element of a one-element tensor, as double (from any device).
  double item() const;
  /// All elements in logical order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;

  /// A tensor on the same storage with another geometry: the raw view every view operator is made of. Offset counts
  /// from the storage's start. Throws ShapeError if it could reach outside the storage. Carries no tape node.
  Tensor as_strided(const Shape& shape, const Strides& strides, std::int64_t offset) const;
  /// The same elements, off the tape.
  Tensor detach() const { return as_strided(shape(), strides(), offset()); }
  /// A dense copy in the given order, off the tape.
  Tensor clone(Format format) const;
  Tensor clone() const { return clone(format()); }

  // In-place writes, off the tape. Each raises the storage's version. A leaf that requires gradients may be written
  // (optimisers do); a tensor in the middle of a graph may not: GraphError.
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }
  Tensor& copy_(const Tensor& x);        // same shape; converts dtype, format and device
  Tensor& accumulate_(const Tensor& x);  // += x, same shape and dtype
  /// To be called by whoever writes through data(): raises the version and names the writer.
  void written(const char* writer) const;
  std::uint64_t version() const { return impl_->storage->version; }
  const char* last_writer() const { return impl_->storage->writer; }
  Storage& storage() const { return *impl_->storage; }

  // The tape's pointer (autograd/node.hpp).
  const std::shared_ptr<Node>& node() const { return impl_->node; }
  /// `leaf` says that the tensor begins the tape instead of being some operator's result.
  void set_node(std::shared_ptr<Node> node, bool leaf = false) const {
    impl_->node = std::move(node);
    impl_->result = impl_->node != nullptr && !leaf;
  }
  bool requires_grad() const { return defined() && impl_->node != nullptr; }

  /// True if no other tensor or view uses the storage: the holder may reuse it.
  bool unique_storage() const { return impl_.use_count() == 1 && impl_->storage.use_count() == 1; }
  bool shares_storage(const Tensor& other) const { return impl_->storage == other.impl_->storage; }
  bool same(const Tensor& other) const { return impl_ == other.impl_; }

  static Tensor make(std::shared_ptr<Storage> storage, const Shape& shape, const Strides& strides, std::int64_t offset,
                     DType dtype);

 private:
  void check_writable(const char* op) const;

  struct Impl {
    std::shared_ptr<Storage> storage;
    Shape shape;
    Strides strides;
    std::int64_t offset = 0;
    std::int64_t numel = 0;
    DType dtype = DType::f32;
    std::shared_ptr<Node> node;
    bool result = false;  // node is that of the operator that made it
  };
  std::shared_ptr<Impl> impl_;
};

// Factories. Shapes with a negative size are ShapeErrors; a size may be 0.
Tensor empty(const Shape& shape, const TensorOptions& options = {});  // uninitialised
Tensor empty_like(const Tensor& x);  // shape, dtype, device and, if dense, memory order
Tensor full(const Shape& shape, double value, const TensorOptions& options = {});
Tensor zeros(const Shape& shape, const TensorOptions& options = {});
Tensor ones(const Shape& shape, const TensorOptions& options = {});
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);
/// begin, begin + step, … below end; i64 unless the options say otherwise.
Tensor arange(double begin, double end, double step = 1, const TensorOptions& options = {.dtype = DType::i64});
/// `values` in logical order, converted to options.dtype. Their number must be that of the shape.
template <class T>
Tensor from_data(std::span<const T> values, const Shape& shape, const TensorOptions& options = {});
Tensor from_data(std::initializer_list<double> values, const Shape& shape, const TensorOptions& options = {});

/// x dense in that order: x itself if it is already (off the tape otherwise; the recorded form is contiguous() in ops).
Tensor dense(const Tensor& x, Format format);

/// "f32 [8, 64, 32, 32]  cpu", with "channels_last" appended where it is: for error messages.
std::string describe(const Tensor& x);
/// Lines "  name   f32 [...]  cpu" for the operands of an error message. Undefined tensors are left out.
std::string describe(std::initializer_list<std::pair<const char*, const Tensor*>> operands);
/// Values as nested lists in logical order, long dimensions abbreviated, preceded by describe().
std::string to_string(const Tensor& x, int edge_items = 3, int precision = 4);

/// DeviceError unless all defined operands are on one device, DTypeError unless they have one dtype.
void check_same_device(const char* op, std::initializer_list<std::pair<const char*, const Tensor*>> operands);
void check_same_dtype(const char* op, std::initializer_list<std::pair<const char*, const Tensor*>> operands);

}  // namespace gradus
