// Cooperative groups against their definitions.
#include <doctest/doctest.h>

#include <numeric>

#include "cuda/cooperative_groups.cuh"
#include "cuda/simt/test_support.cuh"

namespace cg = cooperative_groups;

namespace gradus::simt::test {
namespace {

using cuda::launch;

__global__ void ranks(unsigned* out) {
  const auto block = cg::this_thread_block();
  const auto grid = cg::this_grid();
  const auto tile = cg::tiled_partition<8>(block);
  const auto pair = cg::tiled_partition<2>(tile);
  unsigned* mine = out + 8 * grid.thread_rank();
  mine[0] = block.thread_rank(), mine[1] = block.size();
  mine[2] = tile.thread_rank(), mine[3] = tile.meta_group_rank(), mine[4] = tile.meta_group_size();
  mine[5] = pair.thread_rank(), mine[6] = pair.meta_group_rank();
  mine[7] = static_cast<unsigned>(grid.size());
}

template <unsigned kSize>
__global__ void tile_collectives(int* out) {
  const auto tile = cg::tiled_partition<kSize>(cg::this_thread_block());
  const int thread = static_cast<int>(threadIdx.x), rank = static_cast<int>(tile.thread_rank());
  int* mine = out + 8 * thread;
  mine[0] = tile.shfl(thread, 1);
  mine[1] = tile.shfl_up(thread, 1);
  mine[2] = tile.shfl_down(thread, 1);
  mine[3] = tile.shfl_xor(thread, kSize / 2);
  mine[4] = static_cast<int>(tile.ballot(rank % 2 == 0));
  mine[5] = cg::reduce(tile, thread, cg::plus<int>()) + 1000 * cg::reduce(tile, thread, cg::greater<int>());
  mine[6] = static_cast<int>(tile.match_any(rank / 2));
  mine[7] = tile.any(rank == 3) + 2 * tile.all(rank < 4);
}

// A block's sum as the groups write it.
__global__ void block_sum(const float* x, float* y) {
  __shared__ float sums[32];
  const auto block = cg::this_thread_block();
  const auto warp = cg::tiled_partition<32>(block);
  const float mine = cg::reduce(warp, x[block.thread_rank()], cg::plus<float>());
  if (warp.thread_rank() == 0) sums[warp.meta_group_rank()] = mine;
  cg::sync(block);
  if (warp.meta_group_rank() != 0) return;
  const float of_warp = warp.thread_rank() < warp.meta_group_size() ? sums[warp.thread_rank()] : 0.0f;
  const float total = cg::reduce(warp, of_warp, cg::plus<float>());
  if (warp.thread_rank() == 0) *y = total;
}

// Every third thread takes a place in a list; one of them asks for all.
__global__ void compact(int* count, int* list) {
  if (threadIdx.x % 3 != 0) return;
  const auto group = cg::coalesced_threads();
  int begin = 0;
  if (group.thread_rank() == 0) begin = atomicAdd(count, static_cast<int>(group.size()));
  begin = group.shfl(begin, 0);
  list[begin + static_cast<int>(group.thread_rank())] = static_cast<int>(threadIdx.x);
}

__global__ void coalesced_ranks(int* out) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread % 4 < 2) {
    const auto group = cg::coalesced_threads();
    out[thread] = static_cast<int>(1000 * group.size() + 10 * group.thread_rank()) + group.any(thread == 1);
    out[thread] += 100000 * (cg::reduce(group, thread, cg::plus<int>()) == 16 * 15 - 8);
  } else {
    const auto group = cg::coalesced_threads();
    const auto half = cg::labeled_partition(group, static_cast<unsigned>(thread / 16));
    out[thread] = static_cast<int>(1000 * half.size() + 100 * half.meta_group_rank() + half.thread_rank());
  }
}

__global__ void sync_grid() { cg::this_grid().sync(); }

__global__ void a_lane_missing() {
  const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  if (threadIdx.x != 5) tile.sync();
  tile.shfl(0, 0);
}

}  // namespace

TEST_CASE("cooperative groups: ranks and sizes of block, tiles, tiles of tiles and grid") {
  const Buffer<unsigned> out(std::size_t{8} * 3 * 48, 0u);
  launch(ranks, 3, dim3(16, 3), 0, nullptr, out.data());
  const auto got = out.values();
  for (unsigned i = 0; i < 3 * 48; ++i) {
    const unsigned t = i % 48;
    CHECK(std::vector<unsigned>(got.begin() + 8 * i, got.begin() + 8 * i + 8) ==
          std::vector<unsigned>{t, 48, t % 8, t / 8, 6, t % 2, t % 8 / 2, 144});
  }
}

TEST_CASE("cooperative groups: a tile's collectives stay within it, by rank") {
  const auto run = [](auto kernel, int size) {
    const Buffer<int> out(std::size_t{8} * 64, -1);
    launch(kernel, 1, 64, 0, nullptr, out.data());
    const auto got = out.values();
    for (int t = 0; t < 64; ++t) {
      const int begin = t / size * size, rank = t % size, last = begin + size - 1;
      const std::vector<int> mine(got.begin() + 8 * t, got.begin() + 8 * t + 8);
      CHECK(mine[0] == begin + 1);
      CHECK(mine[1] == (rank > 0 ? t - 1 : t));
      CHECK(mine[2] == (rank < size - 1 ? t + 1 : t));
      CHECK(mine[3] == begin + (rank ^ size / 2));
      CHECK(static_cast<unsigned>(mine[4]) == (0x55555555u & (size == 32 ? ~0u : (1u << size) - 1u)));
      CHECK(mine[5] == (begin + last) * size / 2 + 1000 * last);
      CHECK(static_cast<unsigned>(mine[6]) == 3u << rank / 2 * 2);
      CHECK(mine[7] == 1 + 2 * (size == 4));
    }
  };
  run(tile_collectives<4>, 4);
  run(tile_collectives<8>, 8);
  run(tile_collectives<32>, 32);
}

TEST_CASE("cooperative groups: a block's sum") {
  std::vector<float> x(256);
  std::iota(x.begin(), x.end(), 0.0f);
  const Buffer<float> dx(x), y(1, 0.0f);
  launch(block_sum, 1, 256, 0, nullptr, dx.data(), y.data());
  CHECK(y.values()[0] == 255.0f * 128.0f);
}

TEST_CASE("coalesced_threads: lanes that come to a place together share one atomic") {
  const Buffer<int> count(1, 0), list(40, -1);
  launch(compact, 1, 100, 0, nullptr, count.data(), list.data());
  CHECK(count.values()[0] == 34);
  auto got = list.values();
  std::sort(got.begin(), got.begin() + 34);
  for (std::size_t i = 0; i < 34; ++i) CHECK(got[i] == static_cast<int>(3 * i));
  CHECK(got[34] == -1);
}

TEST_CASE("coalesced_threads: two branches are two groups; labels divide a group") {
  const Buffer<int> out(32, -1);
  launch(coalesced_ranks, 1, 32, 0, nullptr, out.data());
  const auto got = out.values();
  for (int t = 0; t < 32; ++t) {
    const int rank = t / 4 * 2 + t % 2;
    if (t % 4 < 2)
      CHECK(got[static_cast<std::size_t>(t)] == 100000 + 16000 + 10 * rank + 1);
    else
      CHECK(got[static_cast<std::size_t>(t)] == 8000 + 100 * (t / 16) + rank % 8);
  }
}

TEST_CASE("cooperative groups: a member that does not come, and a grid's sync, are errors at their line") {
  const std::string missing = error_of([] { launch(a_lane_missing, 1, 8, 0, nullptr); });
  CHECK(contains(missing, "__syncwarp: lanes of the mask 0x000000ff never come"));
  CHECK(contains(missing, "lane 5 waits in __shfl_sync"));
  CHECK(contains(error_of([] { launch(sync_grid, 1, 1, 0, nullptr); }),
                 "this_grid().sync(): the launch is not a cooperative one"));
}

}  // namespace gradus::simt::test
