// Grouped convolution with few channels in a group, and depthwise: the driver of conv2d_groups_simd.cpp.

#include <algorithm>
#include <vector>

#include "core/parallel.hpp"
#include "ops/conv2d/conv2d_plan.hpp"
#include "ops/conv2d/conv2d_weights.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

/// packed[lanes of channels][t][d][lane] = w_at(channel, t, d), zero beyond the last channel.
template <class Weight>
void pack_lanes(float* packed, int64_t channels, int64_t taps, int64_t depth, Weight&& w_at) {
  const int64_t lanes = conv_groups_simd().lanes;
  for (int64_t c0 = 0; c0 < channels; c0 += lanes)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t d = 0; d < depth; ++d)
        for (int64_t c = c0; c < c0 + lanes; ++c) *packed++ = c < channels ? w_at(c, t, d) : 0.f;
}

void run(const std::vector<ConvGather>& tasks) {
  parallel_for(static_cast<int64_t>(tasks.size()),
               [&](int64_t i) { conv_groups_simd().gather(tasks[static_cast<size_t>(i)]); });
}

}  // namespace

bool is_lane_groups(const ConvShape& c) {
  const int64_t depth = c.group_depth();
  return c.groups > 1 && c.C == c.K && (depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16) &&
         depth <= conv_groups_simd().lanes;
}

int64_t gather_groups_workspace(const ConvShape& c) {
  const int64_t lanes = conv_groups_simd().lanes;
  return ceil_div(c.K, lanes) * lanes * c.R * c.S * c.group_depth() * kFloatBytes;
}

void forward_groups(const ConvForward& f) {
  const ConvShape& c = f.shape;
  const float* w = static_cast<const float*>(f.w);
  const int64_t depth = c.group_depth(), taps = c.R * c.S, blocks = ceil_div(c.K, conv_groups_simd().lanes);
  const auto rows = forward_segments(c.P, c.H, c.R, c.stride_h, c.padding_h, c.dilation_h);
  const auto columns = forward_segments(c.Q, c.W, c.S, c.stride_w, c.padding_w, c.dilation_w);
  const PackedWeights packed(f, "lane_groups", blocks * conv_groups_simd().lanes * taps * depth, [&](float* to) {
    pack_lanes(to, c.K, taps, depth, [&](int64_t k, int64_t t, int64_t d) { return w[(k * taps + t) * depth + d]; });
  });

  ConvGather t = forward_gather(c, static_cast<const float*>(f.x), static_cast<float*>(f.y), rows, columns);
  t.depth = depth, t.channels = c.K;
  t.w = packed.data();
  t.bias = static_cast<const float*>(f.bias);
  const ConvFinish finish(f.epilogue, t.y);
  t.finish = f.epilogue.any() ? &finish : nullptr;
  std::vector<ConvGather> tasks;
  const bool takes_moments = f.moments && cut_whole_pixels(t, c.P, blocks, tasks);
  if (!takes_moments) {
    cut(t, c.P, blocks, tasks);
    return run(tasks);
  }
  MomentParts moments(c.K, static_cast<int64_t>(tasks.size()));
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    ConvGather task = tasks[static_cast<size_t>(i)];
    const ResultSums sums = moments.begin(i, pixels_of(task, c.Q));
    task.sums = &sums;
    conv_groups_simd().gather(task);
  });
  *f.moments = moments.all();
}

void backward_input_groups(const ConvBackwardInput& f) {
  const ConvShape& c = f.shape;
  const float* w = static_cast<const float*>(f.w);
  const int64_t depth = c.group_depth(), taps = c.R * c.S, lanes = conv_groups_simd().lanes,
                blocks = ceil_div(c.C, lanes);
  const auto rows = backward_phases(c.H, c.P, c.R, c.stride_h, c.padding_h, c.dilation_h);
  const auto columns = backward_phases(c.W, c.Q, c.S, c.stride_w, c.padding_w, c.dilation_w);
  const Workspace<float> packed(blocks * lanes * taps * depth);
  float* at = packed.data();
  std::vector<ConvGather> tasks;
  for (int64_t a = 0; a < c.stride_h; ++a)
    for (int64_t b = 0; b < c.stride_w; ++b) {
      const Phase &row = rows[static_cast<size_t>(a)], &column = columns[static_cast<size_t>(b)];
      const std::vector<int64_t> tap_offset = phase_taps(c, row, column);
      // Input channel ch of its group is the column ch % depth of the weights of the group's outputs.
      pack_lanes(at, c.C, row.taps * column.taps, depth, [&](int64_t ch, int64_t t, int64_t d) {
        return w[(ch / depth * depth + d) * taps * depth + tap_offset[static_cast<size_t>(t)] + ch % depth];
      });
      ConvGather t = backward_gather(c, static_cast<const float*>(f.gy), static_cast<float*>(f.gx), a, b, row, column);
      t.depth = depth, t.channels = c.C;
      t.w = at;
      cut(t, row.inputs, blocks, tasks);
      at += blocks * lanes * row.taps * column.taps * depth;
    }
  run(tasks);
}

namespace {

/// A chunk is a band of rows whose x and gy stay in L2 while the taps pass over them; a part, some chunks.
struct WeightParts {
  int64_t band, bands, chunks, parts;
  int64_t acc_size, x_size, gy_size;  // floats of a part, and of a chunk
};
WeightParts weight_parts(const ConvShape& c) {
  WeightParts s{};
  const int64_t row_floats = c.stride_h * c.W * c.C + c.Q * c.K;
  s.band = std::clamp<int64_t>(kTaskFloats / std::max<int64_t>(row_floats, 1), 1, c.P);
  s.bands = ceil_div(c.P, s.band), s.chunks = c.N * s.bands;
  s.parts = std::clamp<int64_t>(s.chunks, 1, kTasks / 2);
  s.acc_size = gather_groups_workspace(c) / kFloatBytes;
  const int64_t lanes = conv_groups_simd().lanes, channels = ceil_div(c.C, lanes) * lanes;
  s.x_size = std::min(c.H, (s.band - 1) * c.stride_h + (c.R - 1) * c.dilation_h + 1) * c.W * channels;
  s.gy_size = s.band * c.Q * channels;
  return s;
}

}  // namespace

int64_t backward_weight_groups_workspace(const ConvShape& c) {
  const WeightParts s = weight_parts(c);
  return (s.parts * s.acc_size + tasks_at_once(s.parts) * (s.x_size + s.gy_size)) * kFloatBytes;
}

void backward_weight_groups(const ConvBackwardWeight& f) {
  const ConvShape& c = f.shape;
  const float *x = static_cast<const float*>(f.x), *gy = static_cast<const float*>(f.gy);
  float* gw = static_cast<float*>(f.gw);
  const int64_t depth = c.group_depth(), taps = c.R * c.S, lanes = conv_groups_simd().lanes;
  const int64_t pixel = f.prologue.any() ? f.prologue.pixel : c.C;
  const WeightParts s = weight_parts(c);
  const int64_t band = s.band, bands = s.bands, chunks = s.chunks, parts = s.parts, acc_size = s.acc_size;
  const Workspace<float> acc(parts * acc_size);
  const auto columns = tap_segments(0, c.Q, c.W, c.S, c.stride_w, c.padding_w, c.dilation_w, 0);
  parallel_for(parts, [&](int64_t part) {
    // A vector's pixels side by side: where they lie, at a power of two from each other, few would stay in L1.
    const Workspace<float> x_packed(s.x_size), gy_packed(s.gy_size);
    ConvOuter t{};
    t.acc = acc.data() + part * acc_size;
    std::fill_n(t.acc, acc_size, 0.f);
    t.taps_h = c.R, t.taps_w = c.S, t.depth = depth, t.channels = c.K;
    t.in_step_h = c.stride_h, t.in_step_w = c.stride_w;
    t.tap_step_w = c.dilation_w;
    t.tap_columns = columns.data();
    t.x = x_packed.data(), t.gy = gy_packed.data();
    t.x_pixel = t.gy_pixel = lanes, t.x_row = c.W * lanes, t.gy_row = c.Q * lanes;
    for (int64_t chunk = part * chunks / parts; chunk < (part + 1) * chunks / parts; ++chunk) {
      const int64_t n = chunk / bands, p0 = chunk % bands * band, p1 = std::min(p0 + band, c.P);
      const int64_t h0 = std::clamp<int64_t>(p0 * c.stride_h - c.padding_h, 0, c.H);
      const int64_t h1 =
          std::clamp<int64_t>((p1 - 1) * c.stride_h - c.padding_h + (c.R - 1) * c.dilation_h + 1, h0, c.H);
      const auto rows = tap_segments(p0, p1, c.H, c.R, c.stride_h, c.padding_h, c.dilation_h, h0);
      t.tap_rows = rows.data();
      t.x_depth_block = (h1 - h0) * t.x_row, t.gy_block = (p1 - p0) * t.gy_row;
      const int64_t x_pixels = (h1 - h0) * c.W;
      conv_simd().pack_pixels(x_packed.data(), t.x_depth_block, x + (n * c.H + h0) * c.W * pixel, pixel, x_pixels, c.C,
                              lanes);
      if (f.prologue.any()) normalise_panels(f.prologue, x_packed.data(), t.x_depth_block, x_pixels, lanes, 0, c.C);
      conv_simd().pack_pixels(gy_packed.data(), t.gy_block, gy + (n * c.P + p0) * c.Q * c.K, c.K, (p1 - p0) * c.Q, c.K,
                              lanes);
      conv_groups_simd().outer(t);
    }
  });
  parallel_for(ceil_div(c.K, lanes), [&](int64_t b) {
    const int64_t each = taps * depth * lanes;
    float* sum = acc.data() + b * each;
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = 0; i < each; ++i) sum[i] += sum[part * acc_size + i];
    for (int64_t k = b * lanes; k < std::min((b + 1) * lanes, c.K); ++k)
      for (int64_t i = 0; i < taps * depth; ++i) gw[k * taps * depth + i] = sum[i * lanes + k % lanes];
  });
}

}  // namespace gradus::cpu
