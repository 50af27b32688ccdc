#pragma once
// The last step of a warp collective: all lanes have come, and the results are given out.

#include <cstdint>

#include "cuda/simt/block.hpp"

namespace gradus::simt {

/// If everyone that the collective of `lane` waits for has come to it, gives all of them their results, and returns
/// them: they no longer wait. Else returns 0.
std::uint32_t finish_collective(Executor& executor, Warp& warp, int lane);

/// The lanes that wait in coalesced_threads() at one line become a group and no longer wait; returns them, 0 if none
/// does. For when no lane of the warp can run.
std::uint32_t finish_coalesced(Warp& warp);

// simt/tensor_core.cpp
void finish_ldmatrix(Executor& executor, Warp& warp);
void finish_mma(Warp& warp);
// simt/wgmma.cpp
void finish_wgmma(Executor& executor, Warp& warp);

}  // namespace gradus::simt
