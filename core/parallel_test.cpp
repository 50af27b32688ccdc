#include "core/parallel.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "core/error.hpp"

namespace gradus {
namespace {

/// Sets the number of threads until the end of a test.
struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

}  // namespace

TEST_CASE("parallel_for: runs every chunk once, with 1, 2 and 7 threads") {
  for (const int threads : {1, 2, 7}) {
    const Threads t(threads);
    CHECK(num_threads() == threads);
    for (const std::int64_t chunks : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(chunks));
      parallel_for(chunks, [&](std::int64_t c) { ++runs[static_cast<std::size_t>(c)]; });
      for (const auto& n : runs) CHECK(n == 1);
    }
  }
}

TEST_CASE("parallel_for: twenty thousand jobs in a row, each complete when it returns") {
  const Threads t(4);
  std::vector<int> hits(8);
  for (int job = 0; job < 20'000; ++job) parallel_for(8, [&](std::int64_t c) { ++hits[static_cast<std::size_t>(c)]; });
  CHECK(hits == std::vector<int>(8, 20'000));
}

TEST_CASE("parallel_for: wakes workers that have gone to sleep") {
  const Threads t(3);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> sum{0};
    parallel_for(100, [&](std::int64_t c) { sum += static_cast<int>(c); });
    CHECK(sum == 4950);
  }
}

TEST_CASE("parallel_for: an inner call runs on the calling thread alone") {
  const Threads t(4);
  std::atomic<int> total{0}, strays{0};
  parallel_for(16, [&](std::int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(10, [&](std::int64_t) {
      ++total;
      strays += std::this_thread::get_id() != self;
    });
  });
  CHECK(total == 160);
  CHECK(strays == 0);
}

TEST_CASE("parallel_for: an exception ends the job, is thrown once, and the pool works on") {
  for (const int threads : {1, 4}) {
    const Threads t(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> running{0};
      CHECK_THROWS_WITH_AS(parallel_for(100,
                                        [&](std::int64_t c) {
                                          ++running;
                                          if (c == 3) fail("chunk {} failed", c);
                                          --running;
                                        }),
                           "chunk 3 failed", ValueError);
      CHECK(running == 1);  // the one that threw: nothing else is still under way
      std::atomic<int> after{0};
      parallel_for(10, [&](std::int64_t) { ++after; });
      CHECK(after == 10);
    }
  }
}

TEST_CASE("parallel_for: several callers take turns") {
  const Threads t(3);
  std::atomic<int> total{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int job = 0; job < 200; ++job) parallel_for(5, [&](std::int64_t) { ++total; });
    });
  for (auto& caller : callers) caller.join();
  CHECK(total == 4000);
}

TEST_CASE("parallel_for: denormals are zero inside chunks on every thread, and as before outside") {
  const Threads t(4);
  volatile float tiny = std::numeric_limits<float>::min();
  const auto is_flushed = [&] { return tiny * 0.5f == 0.0f; };
  std::atomic<int> kept{0};
  for (const std::int64_t chunks : {1, 64}) parallel_for(chunks, [&](std::int64_t) { kept += !is_flushed(); });
#if defined(__x86_64__)
  CHECK(kept == 0);
#endif
  CHECK_FALSE(is_flushed());
}

TEST_CASE("parallel_ranges: covers [0, n) in ranges of the grain, the last one shorter") {
  for (const std::int64_t n : {0, 1, 9, 10, 11, 95}) {
    std::vector<std::atomic<int>> hits(static_cast<std::size_t>(n));
    std::atomic<bool> aligned{true};
    parallel_ranges(n, 10, [&](std::int64_t begin, std::int64_t end) {
      if (begin % 10 != 0 || end - begin > 10 || (end - begin < 10 && end != n)) aligned = false;
      for (std::int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
    });
    CHECK(aligned);
    for (const auto& h : hits) CHECK(h == 1);
  }
}

TEST_CASE("set_num_threads: refuses numbers out of range and a call from inside a chunk") {
  CHECK_THROWS_WITH_AS(set_num_threads(0), "set_num_threads: expected 1 to 1024, got 0", ValueError);
  CHECK_THROWS_AS(set_num_threads(1025), ValueError);
  const Threads t(2);
  CHECK_THROWS_WITH_AS(parallel_for(4, [](std::int64_t) { set_num_threads(3); }),
                       "set_num_threads: called from inside a parallel_for", GraphError);
}

}  // namespace gradus
