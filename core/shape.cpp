#include "core/shape.hpp"

#include <fmt/format.h>

namespace gradus {

std::int64_t numel(const Shape& shape) {
  std::int64_t n = 1;
  bool none = false;
  for (std::int64_t size : shape) {
    // Plain `if`: this runs for every operator, and check() would make the texts of its arguments each time.
    if (size < 0) fail<ShapeError>("shape: negative size in {}", to_string(shape));
    none = none || size == 0;
    if (size != 0 && (__builtin_mul_overflow(n, size, &n) || n >= (std::int64_t{1} << 59)))
      fail<ShapeError>("shape: too many elements in {}", to_string(shape));
  }
  return none ? 0 : n;
}

std::string to_string(const Dims& dims) { return fmt::format("[{}]", fmt::join(dims.begin(), dims.end(), ", ")); }

int wrap_dim(const char* op, std::int64_t dim, int rank) {
  check<ShapeError>(dim >= -rank && dim < rank, "{}: dim {} is out of range for {} dimensions", op, dim, rank);
  return static_cast<int>(dim < 0 ? dim + rank : dim);
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.size(), b.size());
  Shape out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t m = i <= a.size() ? a[a.size() - i] : 1;
    const std::int64_t n = i <= b.size() ? b[b.size() - i] : 1;
    if (m != n && m != 1 && n != 1)
      fail<ShapeError>("{}: shapes {} and {} do not broadcast: sizes {} and {} at dim {}", op, to_string(a),
                       to_string(b), m, n, -i);
    out[rank - i] = m == 1 ? n : m;
  }
  return out;
}

Strides dense_strides(const Shape& shape, Format format) {
  Strides strides = Strides::filled(shape.size(), 1);
  std::int64_t step = 1;
  if (format == Format::channels_last && shape.size() == 4) {
    for (int dim : {1, 3, 2, 0}) {
      strides[dim] = step;
      step *= std::max<std::int64_t>(shape[dim], 1);
    }
  } else {
    for (int dim = shape.size() - 1; dim >= 0; --dim) {
      strides[dim] = step;
      step *= std::max<std::int64_t>(shape[dim], 1);
    }
  }
  return strides;
}

}  // namespace gradus
