#include "cuda/simt/warp.hpp"

#include <algorithm>
#include <bit>

#include "cuda/simt/block.hpp"
#include "cuda/simt/observer.hpp"
#include "cuda/simt/warp_finish.hpp"

namespace gradus::simt {
namespace {

// What a lane outside the collective gives: NaN as f32, f64 (upper half), half and bf16.
constexpr std::uint64_t kUndefined = 0x7fffbad07fffbad0u;

/// Calls fn(lane) for each lane of the mask.
template <class Fn>
void each_lane(std::uint32_t mask, Fn fn) {
  for (; mask != 0; mask &= mask - 1) fn(std::countr_zero(mask));
}

template <class T, class F>
void reduce(Warp& warp, std::uint32_t lanes, F f) {
  T total = static_cast<T>(warp.operand<WarpOperand>(std::countr_zero(lanes)).value);
  each_lane(lanes & (lanes - 1), [&](int l) { total = f(total, static_cast<T>(warp.operand<WarpOperand>(l).value)); });
  each_lane(lanes, [&](int l) { warp.operand<WarpOperand>(l).result = static_cast<std::uint32_t>(total); });
}

}  // namespace

const char* name(Collective op) {
  switch (op) {
    case Collective::syncwarp: return "__syncwarp";
    case Collective::shfl: return "__shfl_sync";
    case Collective::shfl_up: return "__shfl_up_sync";
    case Collective::shfl_down: return "__shfl_down_sync";
    case Collective::shfl_xor: return "__shfl_xor_sync";
    case Collective::ballot: return "__ballot_sync";
    case Collective::any: return "__any_sync";
    case Collective::all: return "__all_sync";
    case Collective::match_any: return "__match_any_sync";
    case Collective::match_all: return "__match_all_sync";
    case Collective::reduce_add: return "__reduce_add_sync";
    case Collective::reduce_min:
    case Collective::reduce_umin: return "__reduce_min_sync";
    case Collective::reduce_max:
    case Collective::reduce_umax: return "__reduce_max_sync";
    case Collective::reduce_and: return "__reduce_and_sync";
    case Collective::reduce_or: return "__reduce_or_sync";
    case Collective::reduce_xor: return "__reduce_xor_sync";
    case Collective::ldmatrix: return "ldmatrix";
    case Collective::wgmma: return "wgmma";
    case Collective::coalesced_threads: return "coalesced_threads";
    case Collective::mma: break;
  }
  return "mma.sync";
}

std::uint32_t finish_collective(Executor& e, Warp& warp, int lane) {
  const Collective op = warp.arrival[lane].op;
  if (op == Collective::coalesced_threads) return 0;  // finish_coalesced
  const std::uint32_t mask = warp.arrival[lane].mask;
  std::uint32_t lanes = mask & warp.exists;
  if (op == Collective::syncwarp) lanes &= ~warp.exited;
  if ((warp.waiting & lanes) != lanes) return 0;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const Warp::Arrival& other = warp.arrival[std::countr_zero(rest)];
    if (other.op != op || other.mask != mask) return 0;
  }
  warp.waiting &= ~lanes;

  const auto operand = [&](int l) -> WarpOperand& { return *warp.arrival[l].operand; };
  switch (op) {
    case Collective::syncwarp:
      if (observer) {
        ++e.clock;
        each_lane(lanes, [&](int l) { warp.thread[l]->warp_time = e.clock; });
        observer->syncwarp_passed(e, warp, lanes);
      }
      break;
    case Collective::shfl:
    case Collective::shfl_up:
    case Collective::shfl_down:
    case Collective::shfl_xor:
      each_lane(lanes, [&](int l) {
        const int source = operand(l).source;
        operand(l).result = (lanes >> source & 1u) != 0 ? operand(source).value : kUndefined;
      });
      break;
    case Collective::ballot:
    case Collective::any:
    case Collective::all: {
      std::uint32_t votes = 0;
      each_lane(lanes, [&](int l) { votes |= static_cast<std::uint32_t>(operand(l).value) << l; });
      const std::uint32_t result = op == Collective::ballot ? votes
                                   : op == Collective::any  ? votes != 0
                                                            : votes == lanes;
      each_lane(lanes, [&](int l) { operand(l).result = result; });
      break;
    }
    case Collective::match_any:
      each_lane(lanes, [&](int l) {
        std::uint32_t equal = 0;
        each_lane(lanes,
                  [&](int m) { equal |= static_cast<std::uint32_t>(operand(m).value == operand(l).value) << m; });
        operand(l).result = equal;
      });
      break;
    case Collective::match_all: {
      bool equal = true;
      each_lane(lanes, [&](int l) { equal = equal && operand(l).value == operand(lane).value; });
      each_lane(lanes, [&](int l) { operand(l).result = equal ? lanes : 0; });
      break;
    }
    case Collective::reduce_add:
      reduce<std::uint32_t>(warp, lanes, [](std::uint32_t a, std::uint32_t b) { return a + b; });
      break;
    case Collective::reduce_min:
      reduce<std::int32_t>(warp, lanes, [](std::int32_t a, std::int32_t b) { return std::min(a, b); });
      break;
    case Collective::reduce_max:
      reduce<std::int32_t>(warp, lanes, [](std::int32_t a, std::int32_t b) { return std::max(a, b); });
      break;
    case Collective::reduce_umin:
      reduce<std::uint32_t>(warp, lanes, [](std::uint32_t a, std::uint32_t b) { return std::min(a, b); });
      break;
    case Collective::reduce_umax:
      reduce<std::uint32_t>(warp, lanes, [](std::uint32_t a, std::uint32_t b) { return std::max(a, b); });
      break;
    case Collective::reduce_and:
      reduce<std::uint32_t>(warp, lanes, [](std::uint32_t a, std::uint32_t b) { return a & b; });
      break;
    case Collective::reduce_or:
      reduce<std::uint32_t>(warp, lanes, [](std::uint32_t a, std::uint32_t b) { return a | b; });
      break;
    case Collective::reduce_xor:
      reduce<std::uint32_t>(warp, lanes, [](std::uint32_t a, std::uint32_t b) { return a ^ b; });
      break;
    case Collective::ldmatrix: finish_ldmatrix(e, warp); break;
    case Collective::mma: finish_mma(warp); break;
    case Collective::wgmma: finish_wgmma(e, warp); break;
    case Collective::coalesced_threads: break;
  }
  return lanes;
}

std::uint32_t finish_coalesced(Warp& warp) {
  const Warp::Arrival* first = nullptr;
  std::uint32_t lanes = 0;
  each_lane(warp.waiting, [&](int l) {
    const Warp::Arrival& a = warp.arrival[l];
    if (a.op != Collective::coalesced_threads || (first && !same_place(a.where, first->where))) return;
    if (!first) first = &a;
    lanes |= 1u << l;
  });
  each_lane(lanes, [&](int l) { warp.operand<WarpOperand>(l).result = lanes; });
  warp.waiting &= ~lanes;
  return lanes;
}

}  // namespace gradus::simt
