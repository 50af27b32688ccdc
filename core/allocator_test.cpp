// The CPU's caching allocator, seen through tensors and memory_stats().
#include <doctest/doctest.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "core/tensor.hpp"

namespace gradus {
namespace {

// Under AddressSanitizer nothing is cached, so that every use after free is seen.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaches = false;
#else
constexpr bool kCaches = true;
#endif

}  // namespace

TEST_CASE("allocator: every block is 64-byte aligned, large ones 64 KiB aligned, the empty one included") {
  std::vector<Tensor> held;
  for (const std::int64_t bytes : {0, 1, 63, 64, 65, 100, 4097, 1 << 20, (1 << 20) + 1, 5'000'000}) {
    held.push_back(empty({bytes}, {.dtype = DType::u8}));
    const auto address = reinterpret_cast<std::uintptr_t>(held.back().data_ptr());
    CHECK(address != 0);
    CHECK(address % 64 == 0);
    if (kCaches && bytes > 1 << 20) CHECK(address % (1 << 16) == 0);
  }
}

TEST_CASE("allocator: blocks do not overlap") {
  std::vector<Tensor> held;
  for (int i = 0; i < 300; ++i) {
    held.push_back(empty({1 + i * 37}, {.dtype = DType::u8}));
    held.back().fill_(i % 251);
  }
  for (int i = 0; i < 300; ++i) {
    const auto v = held[static_cast<std::size_t>(i)].to_vector<std::uint8_t>();
    for (const std::uint8_t b : v) REQUIRE(b == i % 251);
  }
}

TEST_CASE("allocator: statistics follow what is held, and the peak stays until it is reset") {
  const MemoryStats before = memory_stats(kCpu);
  {
    const Tensor x = empty({1 << 20});
    const MemoryStats during = memory_stats(kCpu);
    CHECK(during.current - before.current == 4 << 20);
    CHECK(during.allocations - before.allocations == 1);
    CHECK(during.peak >= during.current);
    CHECK(during.reserved >= during.current);
  }
  CHECK(memory_stats(kCpu).current == before.current);
  CHECK(memory_stats(kCpu).peak >= before.current + (4 << 20));
  reset_peak_memory(kCpu);
  CHECK(memory_stats(kCpu).peak == before.current);
}

TEST_CASE("allocator: rounding wastes at most a quarter") {
  for (const std::int64_t bytes : {1000, 1025, 5000, 70'001, 1'000'001, 9'000'000}) {
    const std::int64_t before = memory_stats(kCpu).current;
    const Tensor x = empty({bytes}, {.dtype = DType::u8});
    const std::int64_t taken = memory_stats(kCpu).current - before;
    CHECK(taken >= bytes);
    CHECK(taken <= bytes + bytes / 4 + 64);
  }
}

TEST_CASE("allocator: a freed block is used again, and a repeated step asks the system for nothing" *
          doctest::skip(!kCaches)) {
  const auto step = [] {
    std::vector<Tensor> held;
    for (const std::int64_t n : {10, 1000, 300'000, 2'000'000}) held.push_back(empty({n}));
  };
  step();
  const std::int64_t before = memory_stats(kCpu).system_allocations, reserved = memory_stats(kCpu).reserved;
  for (int i = 0; i < 100; ++i) step();
  CHECK(memory_stats(kCpu).system_allocations == before);
  CHECK(memory_stats(kCpu).reserved == reserved);
  void* address = empty({123'456}).data_ptr();
  CHECK(empty({123'456}).data_ptr() == address);
}

TEST_CASE("allocator: freed neighbours serve any size that fits into both" * doctest::skip(!kCaches)) {
  constexpr std::int64_t kMiB = 1 << 20;
  const auto bytes = [](std::int64_t n) { return empty({n}, {.dtype = DType::u8}); };
  { const Tensor warm = bytes(16 * kMiB); }
  const std::int64_t before = memory_stats(kCpu).reserved, asked = memory_stats(kCpu).system_allocations;
  for (std::int64_t cut = 2; cut < 15; ++cut) {
    Tensor a = bytes(cut * kMiB), b = bytes((16 - cut) * kMiB);
    a.fill_(1);
    b.fill_(2);
    CHECK(a.data<std::uint8_t>()[cut * kMiB - 1] == 1);
    if (cut % 2) std::swap(a, b);  // freed in either order
    a = Tensor();
    b = Tensor();
    const Tensor whole = bytes(16 * kMiB);
  }
  CHECK(memory_stats(kCpu).reserved == before);
  CHECK(memory_stats(kCpu).system_allocations == asked);
}

TEST_CASE("allocator: more than the machine has is a DeviceError that says what is held" * doctest::skip(!kCaches)) {
  const std::int64_t before = memory_stats(kCpu).current;
  CHECK_THROWS_WITH_AS(empty({std::int64_t{1} << 44}, {.dtype = DType::u8}),
                       doctest::Contains("cpu: out of memory: asked for 16777216 MiB, tensors hold"), DeviceError);
  CHECK(memory_stats(kCpu).current == before);
}

TEST_CASE("allocator: empty_cache gives free large blocks back" * doctest::skip(!kCaches)) {
  empty_cache();
  const std::int64_t before = memory_stats(kCpu).reserved;
  { const Tensor x = empty({8 << 20}); }
  CHECK(memory_stats(kCpu).reserved == before + (32 << 20));
  empty_cache();
  CHECK(memory_stats(kCpu).reserved == before);
}

TEST_CASE("allocator: the meta device predicts the CPU's peak") {
  const auto peak_of = [](Device device) {
    const std::int64_t before = memory_stats(device).current;
    reset_peak_memory(device);
    {
      const Tensor a = empty({1'234'567}, {.device = device});
      { const Tensor b = empty({999}, {.device = device}); }
      const Tensor c = empty({77, 77}, {.dtype = DType::f64, .device = device});
    }
    return memory_stats(device).peak - before;
  };
  CHECK(peak_of(kMeta) == peak_of(kCpu));
}

TEST_CASE("allocator: an impossible request is a DeviceError and changes nothing") {
  const std::int64_t before = memory_stats(kCpu).current;
  CHECK_THROWS_WITH_AS(empty({std::int64_t{1} << 50}), "cpu: cannot allocate 4503599627370496 bytes", DeviceError);
  CHECK(memory_stats(kCpu).current == before);
}

TEST_CASE("allocator: threads allocate and free at the same time") {
  const std::int64_t before = memory_stats(kCpu).current;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) {
        Tensor x = empty({64 * (1 + (i * 7 + t) % 50)}, {.dtype = DType::u8});
        auto* p = static_cast<std::uint8_t*>(x.data_ptr());
        for (std::int64_t k = 0; k < x.numel(); ++k) p[k] = static_cast<std::uint8_t>(t);
        for (std::int64_t k = 0; k < x.numel(); ++k)
          if (p[k] != t) throw Error("a block was handed out twice");
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(memory_stats(kCpu).current == before);
}

}  // namespace gradus
