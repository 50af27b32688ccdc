#include "ops/index/index.hpp"

#include <doctest/doctest.h>

#include "core/parallel.hpp"
#include "ops/candidates.hpp"
#include "ops/pointwise/unary.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

Tensor ints(std::initializer_list<double> values, const Shape& shape) {
  return from_data(values, shape, {.dtype = DType::i64});
}

}  // namespace

TEST_CASE("gather: picks along a dim") {
  const Tensor x = from_data({1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(gather(x, 1, ints({2, 0}, {2, 1})).to_vector<float>() == std::vector<float>{3, 4});
  CHECK(gather(x, 0, ints({1, 0, 1}, {1, 3})).to_vector<float>() == std::vector<float>{4, 2, 6});
  CHECK(gather(transpose(x, 0, 1), 0, ints({2, 0}, {1, 2})).to_vector<float>() == std::vector<float>{3, 4});
  CHECK(gather(x, 1, ints({}, {2, 0})).shape() == Shape{2, 0});
}

TEST_CASE("index_select: picks whole slices, some of them twice") {
  const Tensor x = from_data({1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(index_select(x, 1, ints({2, 2, 0}, {3})).to_vector<float>() == std::vector<float>{3, 3, 1, 6, 6, 4});
  CHECK(index_select(x, 0, ints({1}, {1})).to_vector<float>() == std::vector<float>{4, 5, 6});
  const Tensor image = rand({4, 3, 2, 2}, {.format = Format::channels_last});
  CHECK(index_select(image, 0, ints({3, 1}, {2})).is_contiguous(Format::channels_last));
}

TEST_CASE("scatter_add: adds what falls on one place, in the order of the indices") {
  CHECK(scatter_add({3}, 0, ints({2, 0, 2}, {3}), from_data({1, 2, 4}, {3})).to_vector<float>() ==
        std::vector<float>{2, 0, 5});
}

TEST_CASE("gather and scatter_add: lanes in parallel agree with the reference bit for bit, on any number of threads") {
  const int before = num_threads();
  Tensor index = empty({50, 40, 30}, {.dtype = DType::i64});
  for (std::int64_t i = 0; i < index.numel(); ++i) index.data<std::int64_t>()[i] = (i * 7919) % 23;
  for (const Tensor& x : layouts({50, 40, 30}, DType::f32)) {
    std::vector<float> expected;
    {
      const ForceKernel reference("scatter_add", "reference");
      expected = scatter_add({50, 23, 30}, 1, index, x).to_vector<float>();
    }
    for (int threads : {1, 3}) {
      set_num_threads(threads);
      CHECK(scatter_add({50, 23, 30}, 1, index, x).to_vector<float>() == expected);
    }
  }
  set_num_threads(before);
}

TEST_CASE("gather and index_select: gradients and gradients of gradients agree with differences") {
  const auto picked = [](const auto& in) { return square(gather(in[0], 1, ints({2, 2, 0, 1}, {2, 2}))); };
  const auto selected = [](const auto& in) { return square(index_select(in[0], 1, ints({2, 0, 2, 2}, {4}))); };
  const auto added = [](const auto& in) {
    return square(scatter_add({2, 4}, 1, ints({3, 3, 0, 1, 1, 1}, {2, 3}), in[0]));
  };
  for (const TensorFn& fn : {TensorFn(picked), TensorFn(selected), TensorFn(added)})
    check_gradients(fn, {layouts({2, 3})[0]});
  for (const Shape& shape : {Shape{2, 3, 1, 2}, Shape{1, 3, 1, 1}, Shape{0, 3, 2, 1}})
    check_gradients(selected, {layouts(shape)[0]});
  check_gradients([](const auto& in) { return square(index_select(in[0], 1, ints({}, {0}))); }, {layouts({2, 3})[0]});
}

TEST_CASE("gather: an index out of range is a ValueError with its value and place; other misfits say what came") {
  CHECK_THROWS_WITH_AS(gather(zeros({2, 3}), 1, ints({0, 3}, {2, 1})),
                       "gather: index 3 at [1, 0] is out of range for dim 1 of size 3\n  x      f32 [2, 3]  cpu\n"
                       "  index  i64 [2, 1]  cpu",
                       ValueError);
  CHECK_THROWS_WITH_AS(
      index_select(zeros({2, 3}), 0, ints({-1}, {1})),
      "index_select: index -1 at [0, 0] is out of range for dim 0 of size 2\n  x      f32 [2, 3]  cpu\n"
      "  index  i64 [1, 1]  cpu",
      ValueError);
  CHECK_THROWS_WITH_AS(gather(zeros({2, 3}), 1, zeros({2, 1})),
                       "gather: indices are i64, got f32\n  x      f32 [2, 3]  cpu\n  index  f32 [2, 1]  cpu",
                       DTypeError);
  CHECK_THROWS_WITH_AS(gather(zeros({2, 3}), 1, ints({0, 0, 0}, {3, 1})),
                       "gather: an index of shape [3, 1] does not fit [2, 3] along dim 1\n  x      f32 [2, 3]  cpu\n"
                       "  index  i64 [3, 1]  cpu",
                       ShapeError);
}

}  // namespace gradus
