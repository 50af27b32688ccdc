#pragma once
// The memory of CUDA graphs. While a graph is captured its memory is its own: what the captured work allocates and
// gives back serves that work alone, for every replay writes there again.

#include <cstdint>

namespace gradus::cuda {

/// From now on device `index` allocates for the graph `pool`, any number but 0.
void begin_pool(int index, std::uint64_t pool);
void end_pool(int index);
/// The graph is gone: its memory serves everybody again.
void drop_pool(int index, std::uint64_t pool);

}  // namespace gradus::cuda
