#include "core/tensor.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/strided.hpp"

namespace gradus {

Tensor Tensor::make(std::shared_ptr<Storage> storage, const Shape& shape, const Strides& strides, std::int64_t offset,
                    DType dtype) {
  Tensor t;
  t.impl_ = std::make_shared<Impl>();
  t.impl_->storage = std::move(storage);
  t.impl_->shape = shape;
  t.impl_->strides = strides;
  t.impl_->offset = offset;
  t.impl_->numel = gradus::numel(shape);
  t.impl_->dtype = dtype;
  return t;
}

bool Tensor::is_contiguous(Format format) const {
  if (format == Format::channels_last && rank() != 4) return false;
  if (numel() == 0) return true;
  const Strides want = dense_strides(shape(), format);
  for (int d = 0; d < rank(); ++d)
    if (shape()[d] != 1 && strides()[d] != want[d]) return false;
  return true;
}

bool Tensor::is_dense() const {
  if (numel() == 0) return true;
  const StridedLoop<1> loop(shape(), {&strides()});
  return loop.rank == 1 && (loop.inner() == 1 || loop.inner_stride(0) == 1);
}

Format Tensor::format() const {
  const bool channels_adjoin =
      rank() == 4 && shape()[1] > 1 && strides()[1] == 1 && (shape()[3] == 1 || strides()[3] > 1);
  return !is_contiguous() && (channels_adjoin || is_contiguous(Format::channels_last)) ? Format::channels_last
                                                                                       : Format::contiguous;
}

void* Tensor::data_ptr() const {
  auto* base = static_cast<char*>(impl_->storage->data());
  return base ? base + impl_->offset * dtype_size(impl_->dtype) : nullptr;
}

double Tensor::item() const {
  if (numel() != 1) fail<ShapeError>("item: needs one element, got {}", describe(*this));
  if (is_meta()) fail<DeviceError>("item: a meta tensor has no values: {}", describe(*this));
  double value = 0;
  Tensor host = empty({}, {.dtype = DType::f64});
  host.copy_(as_strided({}, {}, offset()));
  value = *host.data<double>();
  return value;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  if (is_meta()) fail<DeviceError>("to_vector: a meta tensor has no values: {}", describe(*this));
  Tensor host = empty(shape(), {.dtype = dtype_of<T>});
  host.copy_(*this);
  const T* p = host.data<T>();
  return std::vector<T>(p, p + numel());
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;
template std::vector<std::uint8_t> Tensor::to_vector() const;

Tensor Tensor::as_strided(const Shape& new_shape, const Strides& new_strides, std::int64_t new_offset) const {
  if (new_shape.size() != new_strides.size())
    fail<ShapeError>("as_strided: shape {} and strides {} differ in length", to_string(new_shape),
                     to_string(new_strides));
  std::int64_t last = new_offset, first = new_offset;
  bool overflow = false;
  for (int d = 0; d < new_shape.size(); ++d) {
    std::int64_t reach = 0, &end = new_strides[d] >= 0 ? last : first;
    overflow |= __builtin_mul_overflow(new_strides[d], std::max<std::int64_t>(new_shape[d] - 1, 0), &reach);
    overflow |= __builtin_add_overflow(end, reach, &end);
  }
  const std::int64_t held = impl_->storage->bytes() / dtype_size(dtype());
  if (gradus::numel(new_shape) != 0 && (overflow || first < 0 || last >= held))
    fail<ShapeError>("as_strided: shape {}, strides {}, offset {} reach outside a storage of {} elements",
                     to_string(new_shape), to_string(new_strides), new_offset, held);
  return make(impl_->storage, new_shape, new_strides, new_offset, dtype());
}

Tensor Tensor::clone(Format format) const {
  Tensor y = empty(shape(), {.dtype = dtype(), .device = device(), .format = format});
  y.copy_(detach());
  return y;
}

void Tensor::check_writable(const char* op) const {
  if (impl_->result)
    fail<GraphError>(
        "{}: the tensor is a result on the tape; writing it would falsify its gradient "
        "(write a clone(), or detach() it if that is meant)\n  self  {}",
        op, describe(*this));
}

Tensor& Tensor::fill_(double value) {
  check_writable("fill_");
  if (!is_meta()) backend(device()).fill(view(), value);
  written("fill_");
  return *this;
}

Tensor& Tensor::copy_(const Tensor& x) {
  check_writable("copy_");
  if (x.shape() != shape()) fail<ShapeError>("copy_: shapes differ\n{}", describe({{"x", &x}, {"self", this}}));
  if (!is_meta()) {
    if (x.is_meta()) fail<DeviceError>("copy_: a meta tensor has no values to copy\n{}", describe({{"x", &x}}));
    // A transfer is done by the device that is not the CPU.
    const Device by = device().type == DeviceType::cpu ? x.device() : device();
    backend(by).copy(x.view(), view());
  }
  written("copy_");
  return *this;
}

Tensor& Tensor::accumulate_(const Tensor& x) {
  check_writable("accumulate_");
  if (x.shape() != shape()) fail<ShapeError>("accumulate_: shapes differ\n{}", describe({{"x", &x}, {"self", this}}));
  check_same_dtype("accumulate_", {{"x", &x}, {"self", this}});
  check_same_device("accumulate_", {{"x", &x}, {"self", this}});
  if (!is_meta()) backend(device()).accumulate(x.view(), view());
  written("accumulate_");
  return *this;
}

void Tensor::written(const char* writer) const {
  ++impl_->storage->version;
  impl_->storage->writer = writer;
}

Tensor empty(const Shape& shape, const TensorOptions& options) {
  const std::int64_t bytes = numel(shape) * dtype_size(options.dtype);
  return Tensor::make(std::make_shared<Storage>(bytes, options.device), shape, dense_strides(shape, options.format), 0,
                      options.dtype);
}

Tensor empty_like(const Tensor& x) {
  if (!x.is_dense()) return empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = x.format()});
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  return y.as_strided(x.shape(), x.strides(), 0);
}

Tensor full(const Shape& shape, double value, const TensorOptions& options) {
  Tensor y = empty(shape, options);
  if (!y.is_meta()) backend(y.device()).fill(y.view(), value);
  return y;
}
Tensor zeros(const Shape& shape, const TensorOptions& options) { return full(shape, 0, options); }
Tensor ones(const Shape& shape, const TensorOptions& options) { return full(shape, 1, options); }
Tensor zeros_like(const Tensor& x) { return empty_like(x).zero_(); }
Tensor ones_like(const Tensor& x) { return empty_like(x).fill_(1); }

Tensor arange(double begin, double end, double step, const TensorOptions& options) {
  check(step != 0 && std::isfinite(begin) && std::isfinite(end) && std::isfinite(step),
        "arange: bad range begin {}, end {}, step {}", begin, end, step);
  const double count = std::max(0.0, std::ceil((end - begin) / step));
  check(count < 0x1p53, "arange: {} elements are too many", count);
  const auto n = static_cast<std::int64_t>(count);
  Tensor host = empty({n}, {.dtype = DType::f64});
  for (std::int64_t i = 0; i < n; ++i) host.data<double>()[i] = begin + static_cast<double>(i) * step;
  Tensor y = empty({n}, options);
  if (!y.is_meta()) y.copy_(host);
  return y;
}

template <class T>
Tensor from_data(std::span<const T> values, const Shape& shape, const TensorOptions& options) {
  if (static_cast<std::int64_t>(values.size()) != numel(shape))
    fail<ShapeError>("from_data: {} values for shape {}", values.size(), to_string(shape));
  Tensor host = empty(shape, {.dtype = dtype_of<T>});
  std::copy(values.begin(), values.end(), host.data<T>());
  Tensor y = empty(shape, options);
  if (!y.is_meta()) y.copy_(host);
  return y;
}
template Tensor from_data(std::span<const float>, const Shape&, const TensorOptions&);
template Tensor from_data(std::span<const double>, const Shape&, const TensorOptions&);
template Tensor from_data(std::span<const std::int64_t>, const Shape&, const TensorOptions&);
template Tensor from_data(std::span<const std::uint8_t>, const Shape&, const TensorOptions&);

Tensor from_data(std::initializer_list<double> values, const Shape& shape, const TensorOptions& options) {
  return from_data(std::span<const double>(values.begin(), values.size()), shape, options);
}

Tensor dense(const Tensor& x, Format format) {
  return x.is_contiguous(x.rank() == 4 ? format : Format::contiguous) ? x.detach() : x.clone(format);
}

std::string describe(const Tensor& x) {
  if (!x.defined()) return "undefined";
  return fmt::format("{} {}  {}{}", dtype_name(x.dtype()), to_string(x.shape()), to_string(x.device()),
                     x.format() == Format::channels_last ? "  channels_last" : "");
}

std::string describe(std::initializer_list<std::pair<const char*, const Tensor*>> operands) {
  std::size_t width = 0;
  for (const auto& [name, x] : operands) width = std::max(width, std::string_view(name).size());
  std::string text;
  for (const auto& [name, x] : operands)
    if (x->defined()) text += fmt::format("{}  {:<{}}  {}", text.empty() ? "" : "\n", name, width, describe(*x));
  return text;
}

namespace {

/// Nested lists of text(element) over `shape`, elements in logical order, the middle of long dimensions left out.
template <class Text>
void print_dim(std::string& out, const Shape& shape, int dim, std::size_t at, int edge_items, const Text& text) {
  if (dim == shape.size()) {
    out += text(at);
    return;
  }
  std::size_t step = 1;
  for (int d = dim + 1; d < shape.size(); ++d) step *= static_cast<std::size_t>(shape[d]);
  const std::string separator =
      dim + 1 == shape.size() ? ", " : ",\n" + std::string(static_cast<std::size_t>(dim) + 1, ' ');
  out += '[';
  for (std::int64_t i = 0; i < shape[dim]; ++i) {
    if (i > 0) out += separator;
    if (i == edge_items && shape[dim] > 2 * edge_items) {
      out += "...";
      i = shape[dim] - edge_items - 1;
      continue;
    }
    print_dim(out, shape, dim + 1, at + static_cast<std::size_t>(i) * step, edge_items, text);
  }
  out += ']';
}

template <class Text>
std::string print(const Shape& shape, int edge_items, const Text& text) {
  std::string out;
  std::size_t width = 0;  // columns line up
  print_dim(out, shape, 0, 0, edge_items, [&](std::size_t i) {
    width = std::max(width, text(i).size());
    return "";
  });
  out.clear();
  print_dim(out, shape, 0, 0, edge_items, [&](std::size_t i) { return fmt::format("{:>{}}", text(i), width); });
  return out;
}

}  // namespace

std::string to_string(const Tensor& x, int edge_items, int precision) {
  if (!x.defined()) return "undefined tensor";
  const std::string head = describe(x) + "\n";
  if (x.is_meta()) return head + "(no values)";
  if (!is_floating(x.dtype())) {
    const auto values = x.to_vector<std::int64_t>();
    return head + print(x.shape(), edge_items, [&](std::size_t i) { return std::to_string(values[i]); });
  }
  const auto values = x.to_vector<double>();
  // Fixed point where it shows every value well, else powers of ten.
  double largest = 0, smallest = std::numeric_limits<double>::infinity();
  for (const double v : values)
    if (std::isfinite(v) && v != 0)
      largest = std::max(largest, std::abs(v)), smallest = std::min(smallest, std::abs(v));
  const bool fixed = largest == 0 || (largest < 1e6 && (smallest >= std::pow(10, -precision) || largest >= 0.1));
  return head + print(x.shape(), edge_items, [&](std::size_t i) {
           return fixed ? fmt::format("{:.{}f}", values[i], precision) : fmt::format("{:.{}e}", values[i], precision);
         });
}

void check_same_device(const char* op, std::initializer_list<std::pair<const char*, const Tensor*>> operands) {
  const Tensor* first = nullptr;
  for (const auto& [name, x] : operands) {
    if (!x->defined()) continue;
    if (first && x->device() != first->device())
      fail<DeviceError>("{}: operands are on different devices (move them with to())\n{}", op, describe(operands));
    if (!first) first = x;
  }
}

void check_same_dtype(const char* op, std::initializer_list<std::pair<const char*, const Tensor*>> operands) {
  const Tensor* first = nullptr;
  for (const auto& [name, x] : operands) {
    if (!x->defined()) continue;
    if (first && x->dtype() != first->dtype())
      fail<DTypeError>("{}: operands have different dtypes (convert with to())\n{}", op, describe(operands));
    if (!first) first = x;
  }
}

}  // namespace gradus
