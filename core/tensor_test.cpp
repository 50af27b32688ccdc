#include "core/tensor.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace gradus {
namespace {

const DType kAllDTypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::u8, DType::boolean};

using Doubles = std::vector<double>;
Doubles values(const Tensor& x) { return x.to_vector<double>(); }

/// 0, 1, 2, … in logical order.
Tensor counting(const Shape& shape, const TensorOptions& options = {}) {
  std::vector<double> v(static_cast<std::size_t>(numel(shape)));
  std::iota(v.begin(), v.end(), 0.0);
  return from_data(std::span<const double>(v), shape, options);
}

}  // namespace

TEST_CASE("tensor: the empty handle is undefined and describes itself as such") {
  const Tensor x;
  CHECK_FALSE(x.defined());
  CHECK_FALSE(static_cast<bool>(x));
  CHECK_FALSE(x.requires_grad());
  CHECK(describe(x) == "undefined");
  CHECK(to_string(x) == "undefined tensor");
}

TEST_CASE("tensor: a copied handle is the same tensor") {
  const Tensor x = zeros({2});
  Tensor y = x;
  y.fill_(3);
  CHECK(values(x) == Doubles{3, 3});
  CHECK(x.same(y));
  CHECK_FALSE(x.same(x.detach()));
  CHECK(x.shares_storage(x.detach()));
}

TEST_CASE("factories: make every dtype, with the values asked for") {
  for (const DType dtype : kAllDTypes) {
    CAPTURE(dtype_name(dtype));
    CHECK(values(zeros({2, 3}, {.dtype = dtype})) == Doubles(6, 0));
    CHECK(values(ones({3}, {.dtype = dtype})) == Doubles(3, 1));
    CHECK(values(full({}, 1, {.dtype = dtype})) == Doubles{1});
    CHECK(zeros({2, 3}, {.dtype = dtype}).bytes() == 6 * dtype_size(dtype));
    CHECK(ones_like(zeros({2}, {.dtype = dtype})).dtype() == dtype);
  }
  CHECK(values(full({2}, 2.5)) == Doubles{2.5, 2.5});
}

TEST_CASE("factories: sizes may be 0, and negative ones are refused") {
  CHECK(zeros({0}).numel() == 0);
  CHECK(zeros({3, 0, 2}).to_vector<float>().empty());
  CHECK_THROWS_WITH_AS(zeros({2, -3}), "shape: negative size in [2, -3]", ShapeError);
}

TEST_CASE("arange: begins at begin, stops below end, in both directions") {
  CHECK(values(arange(0, 4)) == Doubles{0, 1, 2, 3});
  CHECK(arange(0, 4).dtype() == DType::i64);
  CHECK(values(arange(1, 2, 0.25, {.dtype = DType::f64})) == Doubles{1, 1.25, 1.5, 1.75});
  CHECK(values(arange(3, 0, -1)) == Doubles{3, 2, 1});
  CHECK(arange(4, 0).numel() == 0);
  CHECK_THROWS_WITH_AS(arange(0, 1, 0), "arange: bad range begin 0, end 1, step 0", ValueError);
  CHECK_THROWS_AS(arange(0, std::numeric_limits<double>::infinity()), ValueError);
  CHECK_THROWS_WITH_AS(arange(0, 1e30), "arange: 1e+30 elements are too many", ValueError);
}

TEST_CASE("from_data: takes values in logical order and checks their number") {
  const Tensor x = from_data({1, 2, 3, 4}, {1, 2, 1, 2}, {.format = Format::channels_last});
  CHECK(values(x) == Doubles{1, 2, 3, 4});
  CHECK(x.is_contiguous(Format::channels_last));
  const std::vector<std::uint8_t> bytes{1, 255};
  CHECK(values(from_data(std::span<const std::uint8_t>(bytes), {2}, {.dtype = DType::f32})) == Doubles{1, 255});
  CHECK_THROWS_WITH_AS(from_data({1, 2, 3}, {2, 2}), "from_data: 3 values for shape [2, 2]", ShapeError);
}

TEST_CASE("tensor: knows whether it is dense, and in which order") {
  const Tensor x = zeros({2, 3, 4, 5}), y = zeros({2, 3, 4, 5}, {.format = Format::channels_last});
  CHECK(x.is_contiguous());
  CHECK_FALSE(x.is_contiguous(Format::channels_last));
  CHECK(y.is_contiguous(Format::channels_last));
  CHECK_FALSE(y.is_contiguous());
  CHECK(y.is_dense());
  CHECK(x.format() == Format::contiguous);
  CHECK(y.format() == Format::channels_last);
  const Tensor one_channel = zeros({2, 1, 4, 5}, {.format = Format::channels_last});
  CHECK(one_channel.is_contiguous());  // both at once
  CHECK(one_channel.is_contiguous(Format::channels_last));
  CHECK(one_channel.format() == Format::contiguous);
  CHECK_FALSE(zeros({2, 3}).is_contiguous(Format::channels_last));
  const Tensor expanded = zeros({3}).as_strided({2, 3}, {0, 1}, 0);
  CHECK_FALSE(expanded.is_dense());
  CHECK_FALSE(zeros({6}).as_strided({3}, {2}, 0).is_dense());
  CHECK_FALSE(zeros({3}).as_strided({3}, {-1}, 2).is_dense());
  CHECK(zeros({6}).as_strided({2, 3}, {1, 2}, 0).is_dense());
}

TEST_CASE("as_strided: looks at the same storage through other strides") {
  const Tensor x = counting({12});
  CHECK(values(x.as_strided({3, 4}, {1, 3}, 0)) == Doubles{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11});
  CHECK(values(x.as_strided({2, 2}, {4, 0}, 1)) == Doubles{1, 1, 5, 5});
  CHECK(values(x.as_strided({3}, {-2}, 11)) == Doubles{11, 9, 7});
  CHECK(values(x.as_strided({}, {}, 5)) == Doubles{5});
  CHECK(x.as_strided({0}, {1}, 0).numel() == 0);
}

TEST_CASE("as_strided: refuses whatever could reach outside the storage") {
  const Tensor x = zeros({12});
  CHECK_THROWS_WITH_AS(x.as_strided({3, 4}, {4, 1}, 1),
                       "as_strided: shape [3, 4], strides [4, 1], offset 1 reach outside a storage of 12 elements",
                       ShapeError);
  CHECK_THROWS_AS(x.as_strided({2}, {-1}, 0), ShapeError);
  CHECK_THROWS_AS(x.as_strided({1}, {1}, -1), ShapeError);
  CHECK_THROWS_AS(x.as_strided({2}, {std::numeric_limits<std::int64_t>::max()}, 8), ShapeError);
  CHECK_THROWS_AS(x.as_strided({3}, {std::int64_t{1} << 63}, 8), ShapeError);
  CHECK_THROWS_WITH_AS(x.as_strided({2}, {1, 1}, 0), "as_strided: shape [2] and strides [1, 1] differ in length",
                       ShapeError);
}

TEST_CASE("copy_: converts between all dtypes") {
  for (const DType from : kAllDTypes)
    for (const DType to : kAllDTypes) {
      CAPTURE(dtype_name(from));
      CAPTURE(dtype_name(to));
      Tensor y = zeros({2, 2}, {.dtype = to});
      y.copy_(from_data({0, 1, 1, 0}, {2, 2}, {.dtype = from}));
      CHECK(values(y) == Doubles{0, 1, 1, 0});
    }
  CHECK(values(empty({2}, {.dtype = DType::i64}).copy_(from_data({-1.7, 2.5}, {2}))) == Doubles{-1, 2});
  CHECK(values(empty({2}, {.dtype = DType::boolean}).copy_(from_data({0.5, 0}, {2}))) == Doubles{1, 0});
}

TEST_CASE("copy_: converts between memory orders and views, small and large") {
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{3, 17, 40, 41}}) {
    const Tensor x = counting(shape);
    const Tensor y = x.clone(Format::channels_last);
    CHECK(y.is_contiguous(Format::channels_last));
    CHECK(values(y) == values(x));
    CHECK(values(y.clone(Format::contiguous)) == values(x));
    Tensor column = zeros({shape[0]});
    column.copy_(y.as_strided({shape[0]}, {y.strides()[0]}, 0));
    const auto stepped = values(column);
    for (std::size_t i = 0; i < stepped.size(); ++i)
      CHECK(stepped[i] == static_cast<double>(i) * static_cast<double>(x.strides()[0]));
  }
}

TEST_CASE("copy_: refuses another shape") {
  CHECK_THROWS_WITH_AS(zeros({2}).copy_(zeros({1})), "copy_: shapes differ\n  x     f32 [1]  cpu\n  self  f32 [2]  cpu",
                       ShapeError);
}

TEST_CASE("accumulate_: adds in every dtype, also on views") {
  for (const DType dtype : kAllDTypes) {
    if (dtype == DType::boolean) continue;
    Tensor x = full({2, 3}, 2, {.dtype = dtype});
    x.accumulate_(counting({2, 3}, {.dtype = dtype}));
    CHECK(values(x) == Doubles{2, 3, 4, 5, 6, 7});
  }
  Tensor y = zeros({2, 3});
  y.accumulate_(counting({3}).as_strided({2, 3}, {0, 1}, 0));
  CHECK(values(y) == Doubles{0, 1, 2, 0, 1, 2});
  CHECK_THROWS_WITH_AS(y.accumulate_(zeros({2, 3}, {.dtype = DType::f64})),
                       "accumulate_: operands have different dtypes (convert with to())\n"
                       "  x     f64 [2, 3]  cpu\n  self  f32 [2, 3]  cpu",
                       DTypeError);
}

TEST_CASE("clone: keeps values and order and shares nothing") {
  const Tensor x = counting({2, 3, 2, 2}, {.format = Format::channels_last});
  Tensor y = x.clone();
  CHECK(y.is_contiguous(Format::channels_last));
  y.zero_();
  CHECK(x.to_vector<float>()[5] == 5);
}

TEST_CASE("dense: is the tensor itself where the order is right") {
  const Tensor x = counting({2, 3});
  CHECK(dense(x, Format::contiguous).shares_storage(x));
  CHECK(dense(x, Format::channels_last).shares_storage(x));  // rank 2 has no channels
  const Tensor t = x.as_strided({3, 2}, {1, 3}, 0);
  CHECK_FALSE(dense(t, Format::contiguous).shares_storage(x));
  CHECK(values(dense(t, Format::contiguous)) == values(t));
}

TEST_CASE("empty_like: takes the memory order of a dense tensor, whatever it is") {
  const Tensor x = zeros({24}).as_strided({2, 3, 4}, {1, 8, 2}, 0);
  CHECK(empty_like(x).strides() == x.strides());
  CHECK(empty_like(zeros({3}).as_strided({2, 3}, {0, 1}, 0)).is_contiguous());
  CHECK(empty_like(zeros({0, 2})).numel() == 0);
}

TEST_CASE("versions: every in-place write counts on the whole storage and leaves its name") {
  const Tensor x = zeros({4});
  const Tensor view = x.as_strided({2}, {1}, 2);
  CHECK(x.version() == 0);
  Tensor(view).fill_(1);
  CHECK(x.version() == 1);
  CHECK(std::string(x.last_writer()) == "fill_");
  Tensor(x).copy_(ones({4}));
  CHECK(view.version() == 2);
  CHECK(std::string(view.last_writer()) == "copy_");
  x.written("sgd");
  CHECK(std::string(x.last_writer()) == "sgd");
  CHECK(ones({2}).version() == 0);
}

TEST_CASE("item: reads the one element of any dtype, and refuses more or none") {
  CHECK(full({1, 1}, 3, {.dtype = DType::u8}).item() == 3);
  CHECK(counting({5}).as_strided({}, {}, 4).item() == 4);
  CHECK_THROWS_WITH_AS(zeros({2}).item(), "item: needs one element, got f32 [2]  cpu", ShapeError);
  CHECK_THROWS_AS(zeros({0}).item(), ShapeError);
}

TEST_CASE("data: refuses another element type") {
  const Tensor x = zeros({1});
  CHECK_NOTHROW(x.data<float>());
  CHECK_THROWS_WITH_AS(x.data<double>(), "data: asked for f64, the tensor holds f32", DTypeError);
}

TEST_CASE("unique_storage: is true while one handle alone sees the memory") {
  Tensor x = zeros({2});
  CHECK(x.unique_storage());
  {
    const Tensor view = x.detach();
    CHECK_FALSE(x.unique_storage());
  }
  CHECK(x.unique_storage());
  const Tensor handle = x;  // NOLINT(performance-unnecessary-copy-initialization): the copy is what is tested
  CHECK_FALSE(x.unique_storage());
}

TEST_CASE("meta: has shapes, counts its bytes, and has no values") {
  const auto before = memory_stats(kMeta);
  const Tensor x = zeros({1'000'000, 1000}, {.device = kMeta});
  CHECK(x.is_meta());
  CHECK(x.data_ptr() == nullptr);
  CHECK(memory_stats(kMeta).current - before.current >= x.bytes());
  CHECK(x.clone().shape() == x.shape());
  CHECK_THROWS_WITH_AS(x.to_vector<float>(), "to_vector: a meta tensor has no values: f32 [1000000, 1000]  meta",
                       DeviceError);
  CHECK_THROWS_AS(full({}, 1, {.device = kMeta}).item(), DeviceError);
  CHECK_THROWS_AS(empty({2}).copy_(empty({2}, {.device = kMeta})), DeviceError);
}

TEST_CASE("devices: names go both ways; one that is absent says what to do") {
  for (const char* name : {"cpu", "meta", "cuda:3"}) CHECK(to_string(device_from_name(name)) == name);
  CHECK(device_from_name("cuda") == Device{DeviceType::cuda, 0});
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 "}) {
    CAPTURE(name);
    CHECK_THROWS_AS(device_from_name(name), ValueError);
  }
  CHECK_THROWS_WITH_AS(device_from_name("gpu"), "device: unknown name \"gpu\", expected cpu, cuda or cuda:INDEX",
                       ValueError);
}

TEST_CASE("describe: aligns the operands of an error message and leaves out what is not there") {
  const Tensor x = zeros({8, 64, 4, 4}, {.format = Format::channels_last}), weight = zeros({16, 3, 3, 3}), none;
  CHECK(describe({{"x", &x}, {"weight", &weight}, {"bias", &none}}) ==
        "  x       f32 [8, 64, 4, 4]  cpu  channels_last\n"
        "  weight  f32 [16, 3, 3, 3]  cpu");
  CHECK(describe({{"bias", &none}}).empty());
}

TEST_CASE("check_same_device: names the operands that are apart") {
  const Tensor a = zeros({1}), b = zeros({1}, {.device = kMeta}), none;
  CHECK_NOTHROW(check_same_device("add", {{"a", &a}, {"none", &none}, {"c", &a}}));
  CHECK_THROWS_WITH_AS(
      check_same_device("add", {{"a", &a}, {"b", &b}}),
      "add: operands are on different devices (move them with to())\n  a  f32 [1]  cpu\n  b  f32 [1]  meta",
      DeviceError);
}

TEST_CASE("printing: nested lists in logical order, columns aligned") {
  CHECK(to_string(from_data({1, -2, 3, 4.5}, {2, 2})) ==
        "f32 [2, 2]  cpu\n"
        "[[ 1.0000, -2.0000],\n"
        " [ 3.0000,  4.5000]]");
  CHECK(to_string(full({}, 7, {.dtype = DType::i64})) == "i64 []  cpu\n7");
  CHECK(to_string(zeros({0})) == "f32 [0]  cpu\n[]");
  CHECK(to_string(counting({1, 2, 1, 2}, {.dtype = DType::i64, .format = Format::channels_last})) ==
        "i64 [1, 2, 1, 2]  cpu  channels_last\n"
        "[[[[0, 1]],\n"
        "  [[2, 3]]]]");
  CHECK(to_string(zeros({2}, {.device = kMeta})) == "f32 [2]  meta\n(no values)");
}

TEST_CASE("printing: long dimensions are abbreviated") {
  CHECK(to_string(arange(0, 100)) == "i64 [100]  cpu\n[ 0,  1,  2, ..., 97, 98, 99]");
  CHECK(to_string(arange(0, 6)) == "i64 [6]  cpu\n[0, 1, 2, 3, 4, 5]");
}

TEST_CASE("printing: tiny and huge values are written with powers of ten, integers exactly") {
  CHECK(to_string(from_data({1e-9, 2e-7}, {2}), 3, 2) == "f32 [2]  cpu\n[1.00e-09, 2.00e-07]");
  CHECK(to_string(from_data({1e12}, {1}), 3, 2) == "f32 [1]  cpu\n[1.00e+12]");
  CHECK(to_string(from_data({NAN, INFINITY, 1}, {3}), 3, 1) == "f32 [3]  cpu\n[nan, inf, 1.0]");
  Tensor big = zeros({1}, {.dtype = DType::i64});
  big.data<std::int64_t>()[0] = 9007199254740993;  // no double is equal to it
  CHECK(to_string(big) == "i64 [1]  cpu\n[9007199254740993]");
}

}  // namespace gradus
