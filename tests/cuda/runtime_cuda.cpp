// The runtime of CUDA devices: memory, copies, errors.

#include "tests/cuda/both.hpp"

#include <cmath>

#include "cuda/allocator.hpp"
#include "cuda/prefetch.hpp"
#include "cuda/runtime.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {

using test::kCuda;

TEST_CASE("runtime: tensors go to the device and back, every dtype in every layout") {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::u8, DType::boolean})
    for (const Tensor& x : layouts({3, 4, 2, 5}, DType::f32, 0, 9)) {
      const Tensor here = to(x, dtype), there = to(here, kCuda);
      CHECK(there.device() == kCuda);
      CHECK(there.format() == here.format());
      CHECK(there.to_vector<double>() == here.to_vector<double>());
      CHECK(to(transpose(there, 1, 2), kCpu).to_vector<double>() == transpose(here, 1, 2).to_vector<double>());
      Tensor strided = slice(zeros({3, 4, 2, 10}, {.dtype = dtype, .device = kCuda}), 3, 0, 10, 2);
      strided.copy_(here);
      CHECK(strided.to_vector<double>() == here.to_vector<double>());
    }
}

TEST_CASE("runtime: the device converts between all dtypes as the CPU does") {
  const std::vector<double> special = {0,     -0.0,     1,         -1,   0.3,           1e-8,        6e-8,  1e-5,
                                       65504, 65519.9,  65520,     1e30, -1e30,         3.7,         255.9, 256,
                                       -0.5,  INFINITY, -INFINITY, NAN,  1.00048828125, 1.0029296875};
  const Tensor x =
      from_data(std::span<const double>(special), {static_cast<std::int64_t>(special.size())}, {.dtype = DType::f64});
  const DType all[] = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::u8, DType::boolean};
  for (DType from : all)
    for (DType into : all) {
      CAPTURE(dtype_name(from));
      CAPTURE(dtype_name(into));
      const Tensor here = to(x, from);
      const auto expected = to(here, into).to_vector<double>(), got = to(to(here, kCuda), into).to_vector<double>();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(special[i]);
        CHECK((got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i]))));
      }
    }
}

TEST_CASE("runtime: fill, accumulate and item work on views") {
  Tensor x = zeros({4, 6}, {.device = kCuda});
  slice(x, 1, 1, 6, 2).fill_(3);
  CHECK(sum(x).item() == 36);
  transpose(x, 0, 1).accumulate_(ones({6, 4}, {.device = kCuda}));
  CHECK(sum(x).item() == 60);
  CHECK(arange(0, 5, 1, {.dtype = DType::i64, .device = kCuda}).to_vector<std::int64_t>() ==
        std::vector<std::int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("runtime: freed memory is used again and statistics count it") {
  { const Tensor warm = zeros({1000, 1000}, {.device = kCuda}); }
  const MemoryStats before = memory_stats(kCuda);
  for (int i = 0; i < 5; ++i) {
    const Tensor x = zeros({1000, 1000}, {.device = kCuda});
    CHECK(memory_stats(kCuda).current >= before.current + 4'000'000);
  }
  const MemoryStats after = memory_stats(kCuda);
  CHECK(after.current == before.current);
  CHECK(after.system_allocations == before.system_allocations);
  CHECK(after.allocations == before.allocations + 5);
  CHECK(after.peak >= before.current + 4'000'000);
}

TEST_CASE("runtime: out of memory says what was asked, what is held and by whom; smaller requests still work") {
  const std::string path = "layer1.0.conv1";
  Tensor held;
  {
    const Scope scope(path);
    held = zeros({1024, 1024}, {.device = kCuda});
  }
  cuda::limit_memory(0, memory_stats(kCuda).current + (8 << 20));
  std::string message;
  try {
    empty({16, 1024, 1024}, {.device = kCuda});
  } catch (const DeviceError& e) {
    message = e.what();
  }
  CAPTURE(message);
  CHECK(message.find("cuda:0: out of memory: asked for 64.0 MiB; tensors hold ") == 0);
  CHECK(message.find("(a smaller batch needs less)") != std::string::npos);
  CHECK(message.find("layer1.0.conv1                          4.0 MiB in     1 block") != std::string::npos);
  CHECK_NOTHROW(empty({1024, 1024}, {.device = kCuda}));
  cuda::limit_memory(0, 0);
  CHECK_NOTHROW(empty({16, 1024, 1024}, {.device = kCuda}));
}

TEST_CASE("runtime: a fault names the operator, the layer and its operands' dtypes and shapes") {
  const std::string path = "layer1.0.conv1";
  const Scope scope(path);
  const Tensor x = zeros({2, 3, 8, 8}, {.device = kCuda}), weight = zeros({4, 3, 3, 3}, {.device = kCuda});
  const Tensor bias = Tensor();
  CHECK_THROWS_WITH_AS(run(
                           "conv2d.forward", {x, weight, bias, to(x, DType::f64)}, [] {},
                           [] { fail<DeviceError>("forward_kernel: misaligned access"); }),
                       "forward_kernel: misaligned access\n"
                       "  in conv2d.forward (layer1.0.conv1) f32 [2, 3, 8, 8], f32 [4, 3, 3, 3], f64 [2, 3, 8, 8]",
                       DeviceError);
  // One that shows later is among those queued last.
  conv2d(x, weight);
  relu(zeros({5}, {.device = kCuda}));
  std::string message;
  try {
    cuda::check_cuda(cudaErrorInvalidValue, "cudaStreamSynchronize");
  } catch (const DeviceError& e) {
    message = e.what();
  }
  CAPTURE(message);
  CHECK(message.find("cuda: cudaStreamSynchronize: ") == 0);
  CHECK(message.find("\n  queued last:\n"
                     "    relu (layer1.0.conv1) f32 [5], f32 [5]\n"
                     "    conv2d.forward (layer1.0.conv1) f32 [2, 3, 8, 8], f32 [4, 3, 3, 3], f32 [2, 4, 6, 6]\n") !=
        std::string::npos);
}

TEST_CASE("runtime: a device that is not there is refused with the reason") {
  CHECK_THROWS_WITH_AS(zeros({1}, {.device = {DeviceType::cuda, 7}}),
                       doctest::Contains(("cuda:7: this machine has " + std::to_string(cuda::device_count())).c_str()),
                       DeviceError);
  CHECK_THROWS_AS(zeros({1}, {.device = kCuda}) + zeros({1}), DeviceError);
}

TEST_CASE("runtime: prefetched batches arrive as they are, however many are under way") {
  cuda::Prefetcher prefetcher(kCuda);
  std::vector<Tensor> here, there;
  for (int i = 0; i < 5; ++i) {
    here.push_back(rand({8, 3, 5, 5}, {.format = Format::channels_last}));
    there.push_back(prefetcher.send(here.back()));
  }
  for (int i = 0; i < 5; ++i) {
    CHECK(there[static_cast<std::size_t>(i)].is_contiguous(Format::channels_last));
    CHECK((there[static_cast<std::size_t>(i)] * 2).to_vector<float>() ==
          (here[static_cast<std::size_t>(i)] * 2).to_vector<float>());
  }
}

}  // namespace gradus
