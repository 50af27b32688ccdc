#pragma once
// Lists of up to eight sizes, kept inline: a tensor's shape and its strides.

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace gradus {

inline constexpr int kMaxRank = 8;

/// A short list of integers. Shape and Strides are the same type: strides count elements, not bytes.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> values) : Dims(values.begin(), values.end()) {}
  Dims(const std::vector<std::int64_t>& values) : Dims(values.begin(), values.end()) {}  // NOLINT: a list is a list
  template <class It>
  Dims(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }
  static Dims filled(int rank, std::int64_t value) {
    Dims d;
    for (int i = 0; i < rank; ++i) d.push_back(value);
    return d;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::int64_t operator[](int i) const { return values_[i]; }
  std::int64_t& operator[](int i) { return values_[i]; }
  std::int64_t back() const { return values_[size_ - 1]; }
  const std::int64_t* begin() const { return values_.data(); }
  const std::int64_t* end() const { return values_.data() + size_; }
  std::int64_t* begin() { return values_.data(); }
  std::int64_t* end() { return values_.data() + size_; }

  void push_back(std::int64_t value) {
    check<ShapeError>(size_ < kMaxRank, "shape: more than {} dimensions", kMaxRank);
    values_[size_++] = value;
  }
  void insert(int at, std::int64_t value) {
    push_back(value);
    std::rotate(begin() + at, end() - 1, end());
  }
  void erase(int at) {
    std::copy(begin() + at + 1, end(), begin() + at);
    --size_;
  }

  bool operator==(const Dims& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

 private:
  std::array<std::int64_t, kMaxRank> values_{};
  int size_ = 0;
};

using Shape = Dims;
using Strides = Dims;

/// Product of the sizes (1 for a scalar's empty shape). ShapeError on a negative size, or where the sizes (a 0 among
/// them left out) multiply to 2^59 or more: below that, neither bytes nor strides overflow.
std::int64_t numel(const Shape& shape);

/// "[8, 64, 32, 32]"
std::string to_string(const Dims& dims);

/// `dim` counted from the end when negative; ShapeError unless in [-rank, rank). `op` begins the message.
int wrap_dim(const char* op, std::int64_t dim, int rank);

/// The shape both broadcast to (NumPy's rule: align at the right; sizes are equal or one of them is 1).
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

/// Order of elements in memory. channels_last is for rank 4: logical [N,C,H,W], stored as N,H,W,C.
enum class Format { contiguous, channels_last };

/// Strides of a dense tensor of that shape. channels_last needs rank 4 and falls back to contiguous elsewhere.
Strides dense_strides(const Shape& shape, Format format);

}  // namespace gradus
