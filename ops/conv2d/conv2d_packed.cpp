// Convolution as a product of packed panels: the driver of conv2d_packed_simd.cpp.
//
// Forward and backward-data gather: a pixel of the output is a row, its channels are columns, and each tap adds a
// product whose depth is the channels of the input. The weight gradient's depth is the pixels. What a tap sees on
// padding is a pixel of zeros.

#include "ops/conv2d/conv2d_packed.hpp"

#include <algorithm>
#include <vector>

#include "core/parallel.hpp"
#include "ops/conv2d/conv2d_plan.hpp"
#include "ops/conv2d/conv2d_weights.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

constexpr int64_t kPanelsOfGather = 24;  // of rows in a task: its part of a stays in L2 beside two panels of weights
constexpr int64_t kBand = 64;            // rows of a weight that are packed together
constexpr int64_t kTasksOfThread = 4;    // to balance the cores: of a gather, at least
constexpr int64_t kLeastPanels = 4;      // of columns, in a task that has not all of them

int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/// Where output pixels (n, p, q) look on an input [images, height, width] of pixels `pixel` floats apart: at row
/// p·step_h + offset_h, column q·step_w + offset_w, for each tap its own offset.
struct Sight {
  const float* image;
  int64_t height, width, pixel;
  int64_t P, Q;
  int64_t step_h, step_w;
  const float* zeros;  // [channels]
};

/// line[i] = the input of output pixel begin + i, for `count` of them.
void see(const Sight& s, int64_t offset_h, int64_t offset_w, int64_t begin, int64_t count, const float** line) {
  int64_t q = begin % s.Q, p = begin / s.Q % s.P, n = begin / s.Q / s.P;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t h = p * s.step_h + offset_h, w = q * s.step_w + offset_w;
    const bool inside = h >= 0 && h < s.height && w >= 0 && w < s.width;
    line[i] = inside ? s.image + ((n * s.height + h) * s.width + w) * s.pixel : s.zeros;
    if (++q == s.Q && (q = 0, ++p == s.P)) p = 0, ++n;
  }
}

/// Equal stretches of depth, each at most PackedSimd::depth.
int64_t depth_each(int64_t depth) { return ceil_div(depth, ceil_div(depth, packed_simd().depth)); }

struct Tap {
  int64_t offset_h, offset_w;
  const float* b;  // its weights, packed
};

/// Rows whose moments are added up together.
int64_t moment_rows() { return kMomentTiles * packed_simd().rows; }

/// How a gather is cut. Every task over other pixels reads the weights again: as many pixels as a part of a may hold,
/// and more tasks by cutting the columns as long as each keeps a few panels.
struct GatherPlan {
  int64_t pixel_tasks, column_tasks;  // 0, 0 where there are no pixels
  int64_t pixels_each, panels_each;   // a task's share
  int64_t stretch;                    // of depth
};
/// `moments`: tasks begin where parts of moments do.
GatherPlan gather_plan(int64_t pixels, int64_t depth, int64_t columns, bool moments) {
  const PackedSimd& simd = packed_simd();
  const int64_t panels = ceil_div(columns, simd.columns), most_column_tasks = ceil_div(panels, kLeastPanels);
  const int64_t least_tasks = kTasksOfThread * num_threads();  // the sums of an output are the same however it is cut
  const int64_t most_pixels = std::min(kPanelsOfGather * simd.rows, ceil_div(pixels * most_column_tasks, least_tasks));
  GatherPlan plan{};
  plan.pixel_tasks = ceil_div(pixels, std::max<int64_t>(most_pixels, simd.rows));
  if (plan.pixel_tasks == 0) return plan;
  plan.pixels_each = round_up(ceil_div(pixels, plan.pixel_tasks), moments ? moment_rows() : simd.rows);
  plan.panels_each = ceil_div(panels, std::clamp<int64_t>(ceil_div(least_tasks, plan.pixel_tasks), 1, panels));
  plan.column_tasks = ceil_div(panels, plan.panels_each);
  plan.stretch = depth_each(depth);
  return plan;
}

/// Floats of the packed weights of so many taps.
int64_t packed_weights(int64_t taps, int64_t depth, int64_t columns) {
  return taps * round_up(columns, packed_simd().columns) * depth + kPackSlack;
}
/// Of a task's part of a, `count` pixels.
int64_t packed_pixels(int64_t count, int64_t stretch) {
  return round_up(count, packed_simd().rows) * stretch + kPackSlack;
}

/// What a kernel takes that packs its weights, keeps a pixel of zeros and gathers.
int64_t gather_workspace(int64_t pixels, int64_t taps, int64_t depth, int64_t columns, bool moments) {
  const GatherPlan plan = gather_plan(pixels, depth, columns, moments);
  const int64_t task = packed_pixels(std::min(plan.pixels_each, pixels), plan.stretch);
  return (packed_weights(taps, depth, columns) + depth + tasks_at_once(plan.pixel_tasks * plan.column_tasks) * task) *
         kFloatBytes;
}

/// What is done with the sums of a gather.
struct Result {
  const float* bias = nullptr;
  bool add = false;                    // to what is there; bias is not looked at
  const ConvFinish* finish = nullptr;  // null: the sum is the result
  Moments* moments = nullptr;          // receives those of the results
};

/// Every output pixel's row: the sum over taps of its input pixel times the tap's weights. `at(i)` is the row of pixel
/// i.
template <class At>
void gather(const Sight& sight, int64_t pixels, const std::vector<Tap>& taps, int64_t depth, int64_t columns,
            const Result& result, At&& at) {
  const PackedSimd& simd = packed_simd();
  const GatherPlan plan = gather_plan(pixels, depth, columns, result.moments != nullptr);
  // A task fills in its columns of its parts.
  MomentParts moments(columns, result.moments ? ceil_div(pixels, moment_rows()) : 0);
  std::vector<ResultSums> sums;
  for (int64_t i = 0; result.moments && i * moment_rows() < pixels; ++i)
    sums.push_back(moments.begin(i, std::min(moment_rows(), pixels - i * moment_rows())));
  const int64_t pixels_each = plan.pixels_each, panels_each = plan.panels_each, column_tasks = plan.column_tasks,
                stretch = plan.stretch;
  parallel_for(plan.pixel_tasks * column_tasks, [&](int64_t task) {
    const int64_t begin = task / column_tasks * pixels_each, count = std::min(pixels_each, pixels - begin);
    if (count <= 0) return;  // the tasks before were rounded up
    const int64_t c0 = task % column_tasks * panels_each * simd.columns;
    const int64_t c1 = std::min(columns, c0 + panels_each * simd.columns);
    const Workspace<float> a(packed_pixels(count, stretch));
    std::vector<const float*> line(static_cast<size_t>(count));
    std::vector<float*> out(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = at(begin + i) + c0;
    PackedProduct t{};
    t.a = a.data();
    t.b_panel = depth * simd.columns;
    t.rows = count, t.columns = c1 - c0;
    t.out = out.data();
    t.start = result.bias ? result.bias + c0 : nullptr;
    t.far = true;
    t.add = result.add;
    t.channel = c0;
    for (const Tap& tap : taps) {
      see(sight, tap.offset_h, tap.offset_w, begin, count, line.data());
      for (int64_t d = 0; d < depth; d += stretch) {
        t.depth = std::min(stretch, depth - d);
        simd.across(line.data(), count, t.depth, simd.rows, a.data());
        for (const float*& from : line) from += t.depth;
        t.b = tap.b + c0 * depth + d * simd.columns;
        if (&tap == &taps.back() && d + stretch >= depth) {
          t.finish = result.finish;
          if (result.moments) t.sums = sums.data() + begin / moment_rows();
        }
        const int64_t next = d + stretch;
        t.ahead = {};
        if (next < depth) {
          const int64_t length = std::min(stretch, depth - next);
          t.ahead.first = {tap.b + c0 * depth + next * simd.columns, length, simd.columns, simd.columns};
          if (taps.size() == 1 && sight.step_h == 1 && sight.step_w == 1)
            t.ahead.second = {sight.image + begin * sight.pixel + next, count, length, sight.pixel};
        }
        simd.multiply(t);
        t.add = true;
      }
    }
  });
  if (result.moments) *result.moments = moments.all();
}

/// A 1x1 convolution's product, on AVX-512. `sums` are wanted of the result (ConvGradientSums): `direct` takes them.
bool is_packed_product(int64_t depth, int64_t columns, bool sums = false) {
  return (columns >= 512 && !sums) || depth * columns > 1 << 18;
}
bool is_pointwise(const ConvShape& c) { return c.R == 1 && c.S == 1 && c.padding_h == 0 && c.padding_w == 0; }

}  // namespace

// A pixel is packed once for each tap: many columns must share it. Windows share what the direct kernel reads; it loses
// where its weights are too many for a cache. So do 1x1 convolutions on AVX-512, whose direct tiles are few addresses
// wide and whose L2 holds 1 MiB of weights, unless 512 columns share a packed pixel. Measured on AVX2 and AVX-512.

bool is_packed_forward(const ConvShape& c) {
  if (c.groups != 1) return false;
  if (!is_pointwise(c)) return c.C >= 256 && c.K >= 512;
  return has_wide_vectors() ? is_packed_product(c.C, c.K) : c.K >= 64 && c.C >= 32;
}

bool is_packed_backward_input(const ConvShape& c, bool sums) {
  if (c.groups != 1) return false;
  if (!is_pointwise(c)) return c.stride_h == 1 && c.stride_w == 1 && c.C >= 256 && c.K >= 512;
  return has_wide_vectors() ? is_packed_product(c.K, c.C, sums) : c.C >= 64;
}

bool is_packed_backward_weight(const ConvShape& c) {
  const int64_t least = has_wide_vectors() ? 64 : 48;
  return c.groups == 1 && c.C >= least && c.K >= least && c.C * c.K >= 8192;
}

int64_t forward_packed_workspace(const ConvShape& c, bool moments) {
  return gather_workspace(c.N * c.P * c.Q, c.R * c.S, c.C, c.K, moments);
}
int64_t backward_input_packed_workspace(const ConvShape& c) {
  // Strided (1x1 alone), the pixels are gy's.
  const bool strided = c.stride_h != 1 || c.stride_w != 1;
  return gather_workspace(strided ? c.N * c.P * c.Q : c.N * c.H * c.W, c.R * c.S, c.K, c.C, false);
}

void forward_packed(const ConvForward& f) {
  const ConvShape& c = f.shape;
  const PackedSimd& simd = packed_simd();
  const float *x = static_cast<const float*>(f.x), *w = static_cast<const float*>(f.w);
  float* y = static_cast<float*>(f.y);
  const int64_t count = c.R * c.S, panels = ceil_div(c.K, simd.columns), panel = c.C * simd.columns;
  const PackedWeights packed(f, "packed", packed_weights(count, c.C, c.K), [&](float* to) {
    parallel_for(count * panels, [&](int64_t i) {
      const int64_t t = i / panels, k0 = i % panels * simd.columns;
      std::vector<const float*> line;
      for (int64_t k = k0; k < std::min(k0 + simd.columns, c.K); ++k) line.push_back(w + (k * count + t) * c.C);
      simd.across(line.data(), static_cast<int64_t>(line.size()), c.C, simd.columns, to + i * panel);
    });
  });
  const Workspace<float> zeros(c.C);
  std::fill_n(zeros.data(), c.C, 0.f);
  std::vector<Tap> taps;
  for (int64_t t = 0; t < count; ++t)
    taps.push_back({t / c.S * c.dilation_h - c.padding_h, t % c.S * c.dilation_w - c.padding_w,
                    packed.data() + t * panels * panel});
  const ConvFinish finish(f.epilogue, y);
  gather(
      {x, c.H, c.W, c.C, c.P, c.Q, c.stride_h, c.stride_w, zeros.data()}, c.N * c.P * c.Q, taps, c.C, c.K,
      {.bias = static_cast<const float*>(f.bias), .finish = f.epilogue.any() ? &finish : nullptr, .moments = f.moments},
      [&](int64_t i) { return y + i * c.K; });
}

void backward_input_packed(const ConvBackwardInput& f) {
  const ConvShape& c = f.shape;
  const PackedSimd& simd = packed_simd();
  const float *gy = static_cast<const float*>(f.gy), *w = static_cast<const float*>(f.w);
  float* gx = static_cast<float*>(f.gx);
  const int64_t count = c.R * c.S, panels = ceil_div(c.C, simd.columns), panel = c.K * simd.columns;
  const Workspace<float> packed(packed_weights(count, c.K, c.C)), zeros(c.K);
  std::fill_n(zeros.data(), c.K, 0.f);
  const int64_t bands = ceil_div(c.K, kBand);
  parallel_for(count * bands, [&](int64_t i) {
    const int64_t t = i / bands, k0 = i % bands * kBand;
    std::vector<const float*> line;
    for (int64_t k = k0; k < std::min(k0 + kBand, c.K); ++k) line.push_back(w + (k * count + t) * c.C);
    simd.along(line.data(), static_cast<int64_t>(line.size()), c.C, simd.columns,
               packed.data() + t * panels * panel + k0 * simd.columns, panel);
  });
  std::vector<Tap> taps;
  for (int64_t t = 0; t < count; ++t)
    taps.push_back({c.padding_h - t / c.S * c.dilation_h, c.padding_w - t % c.S * c.dilation_w,
                    packed.data() + t * panels * panel});
  if (c.stride_h == 1 && c.stride_w == 1)
    return gather({gy, c.P, c.Q, c.K, c.H, c.W, 1, 1, zeros.data()}, c.N * c.H * c.W, taps, c.K, c.C, {.add = f.add},
                  [&](int64_t i) { return gx + i * c.C; });
  // Strided 1x1: the pixels of gy are those of x that were looked at; the others have no gradient.
  parallel_for(f.add ? 0 : c.N * c.H, [&](int64_t nh) {
    float* row = gx + nh * c.W * c.C;
    if (nh % c.H % c.stride_h != 0 || nh % c.H / c.stride_h >= c.P) return void(std::fill_n(row, c.W * c.C, 0.f));
    for (int64_t v = 0; v < c.W; ++v)
      if (v % c.stride_w != 0 || v / c.stride_w >= c.Q) std::fill_n(row + v * c.C, c.C, 0.f);
  });
  gather({gy, c.P, c.Q, c.K, c.P, c.Q, 1, 1, zeros.data()}, c.N * c.P * c.Q, taps, c.K, c.C, {.add = f.add},
         [&](int64_t i) {
           const int64_t q = i % c.Q, np = i / c.Q, p = np % c.P, n = np / c.P;
           return gx + ((n * c.H + p * c.stride_h) * c.W + q * c.stride_w) * c.C;
         });
}

namespace {

// A weight gradient's task packs each of its channels' pixels once for all of the other factor's, so that large ones
// pack least. Their sums need not stay near: each tile's are fetched while it multiplies.
constexpr int64_t kMostChannels = 384;                          // of either factor
constexpr int64_t kLeastOutputs = 192, kLeastInputs = 256;      // not fewer, if there are so many
constexpr int64_t kWeightTasks = 16, kWeightTasksOfThread = 2;  // as many, if channels and pixels allow

/// How a weight gradient is cut. A task: a rectangle of output x input channels, over a part of the pixels. The parts
/// are added in their order.
struct WeightPlan {
  int64_t k_each, c_each;  // a task's channels
  int64_t k_tasks, c_tasks;
  int64_t stretches, stretch;  // of pixels; 0 where there are none
  int64_t parts;
};
WeightPlan weight_plan(const ConvShape& c) {
  const PackedSimd& simd = packed_simd();
  WeightPlan plan{};
  const int64_t pixels = c.N * c.P * c.Q;
  plan.stretches = ceil_div(pixels, simd.weight_depth);
  if (plan.stretches == 0) return plan;
  plan.stretch = ceil_div(pixels, plan.stretches);
  // The parts decide on the bits, and so depend on the problem alone. The rectangles may depend on the threads.
  const int64_t most_k = ceil_div(c.K, kLeastOutputs), most_c = ceil_div(c.C, kLeastInputs);
  plan.parts = std::clamp<int64_t>(kWeightTasks / (most_k * most_c), 1, plan.stretches);
  int64_t k = ceil_div(c.K, kMostChannels), d = ceil_div(c.C, kMostChannels);
  while (plan.parts * k * d < kWeightTasksOfThread * num_threads() && (k < most_k || d < most_c)) {
    const bool outputs = k < most_k && (d == most_c || c.K * d >= c.C * k);  // the longer side is cut
    ++(outputs ? k : d);
  }
  plan.k_each = round_up(ceil_div(c.K, k), simd.rows), plan.c_each = round_up(ceil_div(c.C, d), simd.columns);
  plan.k_tasks = ceil_div(c.K, plan.k_each), plan.c_tasks = ceil_div(c.C, plan.c_each);
  return plan;
}

}  // namespace

int64_t backward_weight_packed_workspace(const ConvShape& c) {
  const WeightPlan plan = weight_plan(c);
  if (plan.stretches == 0) return c.C * kFloatBytes;
  const int64_t tasks = tasks_at_once(plan.parts * plan.k_tasks * plan.c_tasks);
  return (c.C + (plan.parts - 1) * c.w_size() + tasks * (plan.k_each + plan.c_each) * plan.stretch) * kFloatBytes;
}

void backward_weight_packed(const ConvBackwardWeight& f) {
  const ConvShape& c = f.shape;
  const PackedSimd& simd = packed_simd();
  const float *x = static_cast<const float*>(f.x), *gy = static_cast<const float*>(f.gy);
  float* gw = static_cast<float*>(f.gw);
  const int64_t taps = c.R * c.S, pixels = c.N * c.P * c.Q, size = c.w_size();
  const Workspace<float> zeros(c.C);
  std::fill_n(zeros.data(), c.C, 0.f);
  const Sight sight{x,          c.H,        c.W,         f.prologue.any() ? f.prologue.pixel : c.C, c.P, c.Q,
                    c.stride_h, c.stride_w, zeros.data()};
  const WeightPlan plan = weight_plan(c);
  const int64_t k_each = plan.k_each, c_each = plan.c_each, k_tasks = plan.k_tasks, c_tasks = plan.c_tasks,
                stretches = plan.stretches, stretch = plan.stretch, parts = plan.parts;
  if (stretches == 0) return void(std::fill_n(gw, size, 0.f));
  const bool aligned = c.P == c.H && c.Q == c.W;  // pixel i of y lies on pixel i of x
  const Workspace<float> sums((parts - 1) * size);
  parallel_for(parts * k_tasks * c_tasks, [&](int64_t task) {
    const int64_t part = task / c_tasks / k_tasks;
    const int64_t k0 = task / c_tasks % k_tasks * k_each, k1 = std::min(k0 + k_each, c.K);
    const int64_t c0 = task % c_tasks * c_each, c1 = std::min(c0 + c_each, c.C);
    float* sum = part == 0 ? gw : sums.data() + (part - 1) * size;
    const Workspace<float> a(k_each * stretch), b(c_each * stretch);
    std::vector<const float*> line(static_cast<size_t>(stretch));
    std::vector<float*> out(static_cast<size_t>(k1 - k0));
    PackedProduct t{};
    t.a = a.data(), t.b = b.data();
    t.rows = k1 - k0, t.columns = c1 - c0;
    t.out = out.data();
    const int64_t last = (part + 1) * stretches / parts - 1;
    for (int64_t s = part * stretches / parts; s <= last; ++s) {
      const int64_t begin = s * stretch, next = begin + stretch;
      t.depth = std::clamp<int64_t>(pixels - begin, 0, stretch);
      t.b_panel = t.depth * simd.columns;
      for (int64_t i = 0; i < t.depth; ++i) line[static_cast<size_t>(i)] = gy + (begin + i) * c.K + k0;
      simd.along(line.data(), t.depth, k1 - k0, simd.rows, a.data(), t.depth * simd.rows);
      for (int64_t tap = 0; tap < taps; ++tap) {
        see(sight, tap / c.S * c.dilation_h - c.padding_h, tap % c.S * c.dilation_w - c.padding_w, begin, t.depth,
            line.data());
        for (const float*& from : line) from += c0;
        simd.along(line.data(), t.depth, c1 - c0, simd.columns, b.data(), t.b_panel);
        if (f.prologue.any()) normalise_panels(f.prologue, b.data(), t.b_panel, t.depth, simd.columns, c0, c1 - c0);
        for (int64_t k = k0; k < k1; ++k) out[static_cast<size_t>(k - k0)] = sum + (k * taps + tap) * c.C + c0;
        if (tap + 1 == taps && s < last) {
          const int64_t count = std::min(pixels - next, stretch);
          t.ahead.first = {gy + next * c.K + k0, count, k1 - k0, c.K};
          if (aligned) t.ahead.second = {x + next * sight.pixel + c0, count, c1 - c0, sight.pixel};
        }
        simd.multiply(t);
        t.ahead = {};
      }
      t.add = true;
    }
  });
  if (parts > 1)
    parallel_ranges(size, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t part = 0; part + 1 < parts; ++part) {
        const float* sum = sums.data() + part * size;
        for (int64_t e = begin; e < end; ++e) gw[e] += sum[e];
      }
    });
}

}  // namespace gradus::cpu
