#include "cuda/simt/wgmma.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.hpp"
#include "cuda/simt/block.hpp"
#include "cuda/simt/half.hpp"
#include "cuda/simt/observer.hpp"
#include "cuda/simt/tensor_core.hpp"
#include "cuda/simt/tensor_map.hpp"
#include "cuda/simt/warp_finish.hpp"

namespace gradus::simt {
namespace {

constexpr std::uint32_t kWholeWarp = 0xffffffffu;
constexpr std::uint32_t kPoison = 0x7fffbad1u;  // NaN: an accumulator under way
constexpr int kRows = 16;                       // of a warp

enum class Step : unsigned char { multiply, fence, commit, wait };

struct Operand : WarpOperand {
  Step step;
  WgmmaForm form;
  float* d;
  int groups_left;
};

std::string text(const Where& where) { return fmt::format("{}:{}", where.file, where.line); }
int depth_of(const WgmmaForm& f) { return f.kind == WgmmaKind::bf16 ? 16 : 8; }

/// Row and column of the accumulator `i` of a lane, within the warp's rows.
int row_of(int lane, int i) { return lane / 4 + i / 2 % 2 * 8; }
int column_of(int lane, int i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }

struct Descriptor {
  std::uint32_t start, leading, stride;  // bytes
  unsigned swizzle;                      // bytes
};

Descriptor decode(Executor& e, std::uint64_t bits, const Where& where) {
  const auto field = [&](int at) { return static_cast<std::uint32_t>(bits >> at & 0x3fffu) << 4; };
  constexpr unsigned kSpans[] = {0, 128, 64, 32};
  const Descriptor d{field(0), field(16), field(32), kSpans[bits >> 62]};
  if ((bits >> 49 & 7u) != 0)
    e.fault(fmt::format("wgmma: descriptors with a base offset are not emulated\n  at {}", text(where)));
  // The pattern repeats after eight rows of the swizzle's width and is laid by address, so tiles begin in its first
  // row.
  if (d.swizzle != 0 && (d.start & (8 * d.swizzle - 1)) >= 128)
    e.fault(
        fmt::format("wgmma: a tile of {}-byte swizzle must begin at a multiple of {} bytes (but for steps along its "
                    "first row), got {}\n  at {}",
                    d.swizzle, 8 * d.swizzle, d.start, text(where)));
  return d;
}

/// Where 16 bytes of an operand lie. Along the depth: those of row `row`, piece `piece` (0, 1). Along m or n: those of
/// depth `row`, and eight rows from 8 `piece`.
std::uint32_t chunk_offset(const Descriptor& d, bool mn_major, int row, int piece) {
  const auto r = static_cast<std::uint32_t>(row), p = static_cast<std::uint32_t>(piece);
  std::uint32_t at = d.start;
  if (d.swizzle == 0) {
    at += mn_major ? r / 8 * d.leading + p * d.stride : r / 8 * d.stride + p * d.leading;
    return at + r % 8 * 16;
  }
  const std::uint32_t across = d.swizzle / 16;
  at += r / 8 * d.stride + r % 8 * d.swizzle;
  at += mn_major ? p / across * d.leading + p % across * 16 : p * 16;
  return static_cast<std::uint32_t>(swizzled(at, d.swizzle));
}

/// Reads an operand as values [depth][width], columns from `begin`; tells the observer, for `reader` if there is one.
std::vector<float> gather(Executor& e, const WgmmaForm& form, bool is_a, int begin, int width, const Thread* reader,
                          bool done, const Where& where) {
  const Descriptor d = decode(e, is_a ? form.a : form.b, where);
  const bool mn_major = is_a ? form.a_mn_major : form.b_mn_major, tf32 = form.kind == WgmmaKind::tf32;
  const int depth = depth_of(form);
  std::vector<float> values(static_cast<std::size_t>(depth) * static_cast<std::size_t>(width));
  const auto read = [&](int row, int piece) {
    const std::uint32_t at = chunk_offset(d, mn_major, row, piece);
    if (at + 16 > e.dynamic_shared_bytes)
      e.fault(
          fmt::format("wgmma: the descriptor of {} reaches byte {} of dynamic shared memory, of which the launch "
                      "gives {}\n  at {}",
                      is_a ? "a" : "b", at + 16, e.dynamic_shared_bytes, text(where)));
    const char* p = e.dynamic_shared + at;
    if (reader && observer) observer->wgmma_reads(e, *reader, p, done, where);
    return p;
  };
  const auto put = [&](int k, int column, float v) {
    values[static_cast<std::size_t>(k) * static_cast<std::size_t>(width) + static_cast<std::size_t>(column)] = v;
  };
  if (mn_major) {  // 16-bit only
    for (int k = 0; k < depth; ++k)
      for (int c = 0; c < width; c += 8) {
        std::uint16_t bits[8];
        std::memcpy(bits, read(k, (begin + c) / 8), 16);
        for (int i = 0; i < 8; ++i) put(k, c + i, bf16_value(bits[i]));
      }
  } else {
    for (int c = 0; c < width; ++c)
      for (int piece = 0; piece < 2; ++piece) {
        const char* p = read(begin + c, piece);
        if (tf32) {
          std::uint32_t bits[4];
          std::memcpy(bits, p, 16);
          for (int i = 0; i < 4; ++i) put(4 * piece + i, c, std::bit_cast<float>(bits[i] & 0xffffe000u));
        } else {
          std::uint16_t bits[8];
          std::memcpy(bits, p, 16);
          for (int i = 0; i < 8; ++i) put(8 * piece + i, c, bf16_value(bits[i]));
        }
      }
  }
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

/// One instruction of one warp.
struct Wgmma::Job {
  WgmmaForm form;
  Where where;
  int group;
  std::array<float*, 32> d;   // by lane
  std::vector<float> a, b;    // [depth][16], [depth][n], as they were when it was issued
  std::vector<float> before;  // [16][n] the accumulators, unless an earlier job still works on them
};

struct Wgmma::OfWarp {
  std::deque<Job> jobs;  // oldest first
  int open_group = 0;
  std::size_t issued = 0;
  int fences = 0;
  /// Accumulators as they were left: writing to them wants a fence before the next instruction.
  struct Left {
    float* d;  // lane 0's
    std::vector<float> values;
    int fences;
  };
  std::vector<Left> left;
};

namespace {

/// The accumulators of a warp as a matrix [16][n], and back.
std::vector<float> collect(const std::array<float*, 32>& d, int n) {
  std::vector<float> m(static_cast<std::size_t>(kRows) * static_cast<std::size_t>(n));
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < n / 2; ++i)
      m[static_cast<std::size_t>(row_of(lane, i) * n + column_of(lane, i))] = d[static_cast<std::size_t>(lane)][i];
  return m;
}
void spread(const std::vector<float>& m, const std::array<float*, 32>& d, int n) {
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < n / 2; ++i)
      d[static_cast<std::size_t>(lane)][i] = m[static_cast<std::size_t>(row_of(lane, i) * n + column_of(lane, i))];
}
void poison(const std::array<float*, 32>& d, int n) {
  for (float* p : d) std::fill_n(p, n / 2, std::bit_cast<float>(kPoison));
}
bool is_poisoned(const std::array<float*, 32>& d, int n) {
  for (const float* p : d)
    for (int i = 0; i < n / 2; ++i)
      if (std::bit_cast<std::uint32_t>(p[i]) != kPoison) return false;
  return true;
}

Wgmma::OfWarp& of_warp(Executor& e, const Warp& warp) {
  auto& slot = e.wgmma->warps[static_cast<std::size_t>(warp.number)];
  if (!slot) slot = std::make_unique<Wgmma::OfWarp>();
  return *slot;
}

const Thread* reader_of_b(const Warp& warp) { return warp.number % 4 == 0 ? warp.thread[0] : nullptr; }

void issue(Executor& e, Warp& warp) {
  const Where where = warp.arrival[0].where;
  const WgmmaForm form = warp.operand<Operand>(0).form;
  for (int lane = 1; lane < 32; ++lane)
    if (!(warp.operand<Operand>(lane).form == form))
      e.fault(fmt::format("wgmma: the lanes of a warp give different descriptors\n  at {}", text(where)));
  Wgmma::OfWarp& mine = of_warp(e, warp);
  auto& issued = e.wgmma->issued[static_cast<std::size_t>(warp.number / 4)];
  if (mine.issued == issued.size()) issued.push_back({form, where});
  if (!(issued[mine.issued].form == form))
    e.fault(fmt::format("wgmma: the warps of a warpgroup issue different instructions\n  at {}\n  at {}", text(where),
                        text(issued[mine.issued].where)));
  ++mine.issued;

  Wgmma::Job job{.form = form, .where = where, .group = mine.open_group, .d = {}, .a = {}, .b = {}, .before = {}};
  for (int lane = 0; lane < 32; ++lane) job.d[static_cast<std::size_t>(lane)] = warp.operand<Operand>(lane).d;
  job.a = gather(e, form, true, warp.number % 4 * kRows, kRows, warp.thread[0], false, where);
  job.b = gather(e, form, false, 0, form.n, reader_of_b(warp), false, where);
  const bool under_way =
      std::any_of(mine.jobs.begin(), mine.jobs.end(), [&](const Wgmma::Job& j) { return j.d == job.d; });
  if (!under_way) {
    job.before = collect(job.d, form.n);
    const auto left = std::find_if(mine.left.begin(), mine.left.end(), [&](const auto& l) { return l.d == job.d[0]; });
    const bool touched =
        left == mine.left.end() ||
        (form.accumulate && (left->values.size() != job.before.size() || !same_bits(left->values, job.before)));
    if (touched && mine.fences == (left == mine.left.end() ? 0 : left->fences))
      e.fault(fmt::format("wgmma: accumulators that the thread has written want a wgmma.fence first\n  at {}",
                          text(where)));
    if (left != mine.left.end()) mine.left.erase(left);
    poison(job.d, form.n);
  }
  mine.jobs.push_back(std::move(job));
}

void finish_job(Executor& e, Warp& warp, Wgmma::OfWarp& mine) {
  Wgmma::Job job = std::move(mine.jobs.front());
  mine.jobs.pop_front();
  const int n = job.form.n, depth = depth_of(job.form);
  if (!same_bits(job.a, gather(e, job.form, true, warp.number % 4 * kRows, kRows, warp.thread[0], true, job.where)) ||
      !same_bits(job.b, gather(e, job.form, false, 0, n, reader_of_b(warp), true, job.where)))
    e.fault(
        fmt::format("wgmma: an operand in shared memory was written before the wgmma.wait_group that ends its use\n"
                    "  at {}",
                    text(job.where)));
  if (!is_poisoned(job.d, n))
    e.fault(fmt::format("wgmma: accumulators were written before the wgmma.wait_group that ends their use\n  at {}",
                        text(job.where)));
  std::vector<float> result(job.before.size());
  std::vector<double> sums(static_cast<std::size_t>(n));
  for (int i = 0; i < kRows; ++i) {
    float* row = result.data() + static_cast<std::size_t>(i * n);
    const float* before = job.before.data() + static_cast<std::size_t>(i * n);
    for (int j = 0; j < n; ++j)
      sums[static_cast<std::size_t>(j)] = job.form.accumulate ? static_cast<double>(before[j]) : 0;
    for (int k = 0; k < depth; ++k) {
      const double x = job.a[static_cast<std::size_t>(k * kRows + i)];
      const float* y = job.b.data() + static_cast<std::size_t>(k * n);
      double* s = sums.data();
      for (int j = 0; j < n; ++j) s[j] += x * static_cast<double>(y[j]);
    }
    for (int j = 0; j < n; ++j) row[j] = truncated(sums[static_cast<std::size_t>(j)]);
  }
  const auto next = std::find_if(mine.jobs.begin(), mine.jobs.end(), [&](const auto& j) { return j.d == job.d; });
  if (next != mine.jobs.end()) {  // it goes on in the same accumulators
    next->before = std::move(result);
    return;
  }
  spread(result, job.d, n);
  mine.left.push_back({job.d[0], std::move(result), mine.fences});
}

void run(Operand& operand, const char* what, const Where& where) {
  Executor& e = *executor;
  const OutsideKernel outside(*e.current);
  const int first = e.current->warp->number / 4 * 4;
  if (e.thread_count < 32 * (first + 4))
    e.fault(fmt::format("{}: takes four whole warps, but the block's last warpgroup has {} threads\n  at {}", what,
                        e.thread_count - 32 * first, text(where)));
  if (!e.wgmma) e.wgmma = std::make_unique<Wgmma>();
  collective(Collective::wgmma, kWholeWarp, operand, where);
}

}  // namespace

void finish_wgmma(Executor& e, Warp& warp) {
  const auto& first = warp.operand<Operand>(0);
  for (int lane = 1; lane < 32; ++lane)
    if (warp.operand<Operand>(lane).step != first.step)
      e.fault(fmt::format("wgmma: the lanes of a warp come to different instructions\n  at {}\n  at {}",
                          text(warp.arrival[0].where), text(warp.arrival[lane].where)));
  Wgmma::OfWarp& mine = of_warp(e, warp);
  switch (first.step) {
    case Step::multiply: issue(e, warp); break;
    case Step::fence: ++mine.fences; break;
    case Step::commit: ++mine.open_group; break;
    case Step::wait:
      while (!mine.jobs.empty() && mine.jobs.front().group < mine.open_group - first.groups_left)
        finish_job(e, warp, mine);
      break;
  }
}

Wgmma::Wgmma() = default;
Wgmma::~Wgmma() = default;

void Wgmma::clear() {
  for (auto& w : warps)
    if (w) *w = OfWarp();
  for (auto& i : issued) i.clear();
}

std::string Wgmma::left_text() const {
  for (std::size_t w = 0; w < warps.size(); ++w) {
    const auto& all = issued[w / 4];
    const std::size_t mine = warps[w] ? warps[w]->issued : 0;
    if (mine < all.size())
      return fmt::format("wgmma: warp {} never comes to an instruction that its warpgroup issues\n  at {}", w,
                         text(all[mine].where));
  }
  return "";
}

std::uint32_t shared_offset(const void* p, const Where& where) {
  const Executor& e = *executor;
  const std::ptrdiff_t offset = static_cast<const char*>(p) - e.dynamic_shared;
  if (offset < 0 || static_cast<std::size_t>(offset) >= e.dynamic_shared_bytes)
    executor->fault(fmt::format(
        "wgmma: the emulator's descriptors take addresses in dynamic shared memory, got {}\n  at {}", p, text(where)));
  return static_cast<std::uint32_t>(offset);
}

void wgmma(const WgmmaForm& form, float* d, const Where& where) {
  Operand operand{{}, Step::multiply, form, d, 0};
  run(operand, "wgmma.mma_async", where);
}
void wgmma_fence(const Where& where) {
  Operand operand{{}, Step::fence, {}, nullptr, 0};
  run(operand, "wgmma.fence", where);
}
void wgmma_commit(const Where& where) {
  Operand operand{{}, Step::commit, {}, nullptr, 0};
  run(operand, "wgmma.commit_group", where);
}
void wgmma_wait(int groups_left, const Where& where) {
  Operand operand{{}, Step::wait, {}, nullptr, groups_left};
  run(operand, "wgmma.wait_group", where);
}

}  // namespace gradus::simt
