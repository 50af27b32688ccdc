// The direct convolution: which taps each output sees, how the work is cut into tasks, and the packing. The inner loops
// are in conv2d_simd.cpp.

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/parallel.hpp"
#include "ops/channel_rows/channel_rows.hpp"
#include "ops/conv2d/conv2d_plan.hpp"
#include "ops/conv2d/conv2d_weights.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

constexpr int64_t kPartPixels = 1024;  // of a weight gradient's part, at least: its sums are added to the others'
constexpr int64_t kL1Floats = 16 << 10 >> 2;  // x of one depth block that stays in L1 in the weight gradient

/// A 1x1 convolution reads each pixel once, or, strided, skips most of them.
bool is_1x1(const ConvShape& c) { return c.R == 1 && c.S == 1 && c.padding_h == 0 && c.padding_w == 0; }
bool samples(const ConvShape& c) { return is_1x1(c) && (c.stride_h > 1 || c.stride_w > 1); }
bool reads_all(const ConvShape& c) { return is_1x1(c) && !samples(c); }

// ---- packing of weights: [block][tap row][tap column][depth][lanes of the block]

/// Of a full block, where so many channels are cut.
int64_t block_of(int64_t channels) { return even_block(channels, conv_simd().lanes, conv_simd().block_vectors); }
int64_t packed_size(int64_t channels, int64_t taps, int64_t depth) {
  const int64_t lanes = conv_simd().lanes;
  return ceil_div(channels, lanes) * lanes * taps * depth;
}

/// packed[b][t][d][lane] = w[channel·channel_step + tap_offset[t] + d·depth_step], zero beyond the last channel.
void pack_block(float* packed, const float* w, int64_t channels, int64_t b, const std::vector<int64_t>& tap_offset,
                int64_t depth, int64_t channel_step, int64_t depth_step) {
  const int64_t block = block_of(channels), c0 = b * block;
  const int64_t lanes = block_lanes(channels, block, conv_simd().lanes, b);
  const int64_t used = std::min(lanes, channels - c0);
  packed += c0 * static_cast<int64_t>(tap_offset.size()) * depth;
  for (const int64_t offset : tap_offset)
    for (int64_t d = 0; d < depth; ++d, packed += lanes) {
      const float* from = w + c0 * channel_step + offset + d * depth_step;
      for (int64_t l = 0; l < used; ++l) packed[l] = from[l * channel_step];
      for (int64_t l = used; l < lanes; ++l) packed[l] = 0;
    }
}

/// Rows of x that a task normalises into its own copy at a time: what L1 holds.
int64_t copied_rows(const ConvGather& t) {
  return std::clamp<int64_t>(kL1Floats / t.x_row, 1, std::max<int64_t>(t.row_end - t.row_begin, 1));
}

/// A task of convolution c. Where its pixels follow one another in memory, those of the next tile are fetched while a
/// tile is computed.
void gather(const ConvShape& c, ConvGather t) {
  constexpr int64_t kTilePixels = 8;
  if (reads_all(c)) {
    t.next = t.x + t.row_begin * t.x_row + kTilePixels * t.x_pixel;
    t.next_pixel = t.x_pixel;
  }
  conv_simd().gather(t);
}

}  // namespace

int64_t forward_direct_workspace(const ConvShape& c, bool prologue) {
  const int64_t packed = c.groups * packed_size(c.group_width(), c.R * c.S, c.group_depth());
  if (!prologue) return packed * kFloatBytes;
  const auto rows = forward_segments(c.P, c.H, c.R, c.stride_h, c.padding_h, c.dilation_h);
  const auto columns = forward_segments(c.Q, c.W, c.S, c.stride_w, c.padding_w, c.dilation_w);
  ConvGather t = forward_gather(c, nullptr, nullptr, rows, columns);
  t.channels = c.K;
  std::vector<ConvGather> tasks;
  cut(t, c.P, ceil_div(c.K, block_of(c.K)), tasks);
  const int64_t most = tasks.empty() ? 0 : copied_rows(tasks.front()) * t.x_row;  // the last ones may have less
  return (packed + tasks_at_once(static_cast<int64_t>(tasks.size())) * most) * kFloatBytes;
}

void forward_direct(const ConvForward& f) {
  const ConvShape& c = f.shape;
  const float *x = static_cast<const float*>(f.x), *w = static_cast<const float*>(f.w);
  const float* bias = static_cast<const float*>(f.bias);
  float* y = static_cast<float*>(f.y);
  const bool copies = f.prologue.any();
  const int64_t depth = c.group_depth(), width = c.group_width(), taps = c.R * c.S;
  const auto rows = forward_segments(c.P, c.H, c.R, c.stride_h, c.padding_h, c.dilation_h);
  const auto columns = forward_segments(c.Q, c.W, c.S, c.stride_w, c.padding_w, c.dilation_w);
  std::vector<int64_t> tap_offset;
  for (int64_t t = 0; t < taps; ++t) tap_offset.push_back(t * depth);

  const int64_t group_size = packed_size(width, taps, depth), blocks = ceil_div(width, block_of(width));
  const PackedWeights packed(f, "direct", c.groups * group_size, [&](float* to) {
    parallel_for(c.groups * blocks, [&](int64_t i) {
      const int64_t g = i / blocks;
      pack_block(to + g * group_size, w + g * width * taps * depth, width, i % blocks, tap_offset, depth, taps * depth,
                 1);
    });
  });
  const ConvFinish finish(f.epilogue, y);
  std::vector<ConvGather> tasks;
  bool takes_moments = false;
  for (int64_t g = 0; g < c.groups; ++g) {
    // Where x is copied, it is set when a task has done so.
    ConvGather t = forward_gather(c, copies ? nullptr : x + g * depth, y + g * width, rows, columns);
    t.depth = depth;
    t.w = packed.data() + g * group_size;
    t.bias = bias ? bias + g * width : nullptr;
    t.finish = f.epilogue.any() ? &finish : nullptr;
    t.channel = g * width, t.channels = width, t.block = block_of(width);
    takes_moments = f.moments && c.groups == 1 && cut_whole_pixels(t, c.P, blocks, tasks);
    if (!takes_moments) cut(t, c.P, blocks, tasks);
  }
  MomentParts moments(c.K, takes_moments ? static_cast<int64_t>(tasks.size()) : 0);
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    ConvGather t = tasks[static_cast<size_t>(i)];
    ResultSums sums{};
    if (takes_moments) sums = moments.begin(i, pixels_of(t, c.Q)), t.sums = &sums;
    if (!copies) return gather(c, t);
    // While some rows are convolved, the next ones are fetched.
    const int64_t rows_each = copied_rows(t);
    const Workspace<float> copy(rows_each * t.x_row);
    ConvGather piece = t;
    piece.x = copy.data(), piece.images = 1, piece.next_pixel = f.prologue.pixel;
    for (int64_t n = t.first_image; n < t.first_image + t.images; ++n, piece.y += t.y_image)
      for (int64_t h = t.row_begin; h < t.row_end; h += rows_each) {
        const int64_t count = std::min(rows_each, t.row_end - h);
        const float* from = x + (n * c.H + h) * c.W * f.prologue.pixel;
        channel_rows<float>().apply(from, f.prologue.pixel, nullptr, static_cast<const float*>(f.prologue.scale),
                                    static_cast<const float*>(f.prologue.shift), f.prologue.relu, copy.data(),
                                    count * t.x_row, c.C);
        piece.next = from + count * c.W * f.prologue.pixel;
        const ConvSegment rows_of_copy{h, count, 0, 1, 0};  // the copy holds these rows alone
        piece.rows = &rows_of_copy, piece.row_segments = 1;
        piece.row_begin = h, piece.row_end = h + count;
        conv_simd().gather(piece);
      }
  });
  if (takes_moments) *f.moments = moments.all();
}

namespace {

/// Each task adds up what it has written. The tasks depend on the problem alone, and so do the sums' bits.
void run_with_sums(const ConvShape& c, const std::vector<ConvGather>& tasks, ConvGradientSums& sums) {
  const auto channels = static_cast<size_t>(c.C);
  std::vector<double> parts(2 * channels * tasks.size());
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const ConvGather& t = tasks[static_cast<size_t>(i)];
    gather(c, t);
    double *sum_g = parts.data() + 2 * channels * static_cast<size_t>(i), *sum_gx = sum_g + channels;
    std::vector<float> row(2 * channels);
    for (int64_t n = 0; n < t.images; ++n)
      for (int64_t h = t.row_begin; h < t.row_end; ++h) {
        const float* x = sums.x + ((t.first_image + n) * c.H + h) * c.W * sums.pixel;
        channel_rows<float>().reduce(t.y + n * t.y_image + h * t.y_row, x, sums.pixel, sums.mean, sums.scale,
                                     sums.shift, sums.relu, c.W * c.C, c.C, row.data(), row.data() + channels);
        for (size_t k = 0; k < channels; ++k) sum_g[k] += row[k], sum_gx[k] += row[channels + k];
      }
  });
  std::fill_n(sums.sum_g, channels, 0.0);
  std::fill_n(sums.sum_gx, channels, 0.0);
  for (size_t i = 0; i < tasks.size(); ++i)
    for (size_t k = 0; k < channels; ++k) {
      sums.sum_g[k] += parts[2 * channels * i + k];
      sums.sum_gx[k] += parts[2 * channels * i + channels + k];
    }
  sums.taken = true;
}

}  // namespace

int64_t backward_input_direct_workspace(const ConvShape& c) {
  return c.groups * packed_size(c.group_depth(), c.R * c.S, c.group_width()) * kFloatBytes;
}

void backward_input_direct(const ConvBackwardInput& f) {
  const ConvShape& c = f.shape;
  const float *gy = static_cast<const float*>(f.gy), *w = static_cast<const float*>(f.w);
  float* gx = static_cast<float*>(f.gx);
  const int64_t depth = c.group_depth(), width = c.group_width(), taps = c.R * c.S;
  const auto rows = backward_phases(c.H, c.P, c.R, c.stride_h, c.padding_h, c.dilation_h);
  const auto columns = backward_phases(c.W, c.Q, c.S, c.stride_w, c.padding_w, c.dilation_w);

  // Every phase has its own taps, which together are all taps; its packed weights follow those of the phase before.
  const int64_t group_size = packed_size(depth, taps, width);
  const Workspace<float> packed(c.groups * group_size);
  const int64_t blocks = ceil_div(depth, block_of(depth));
  std::vector<ConvGather> tasks;
  int64_t at = 0;
  for (int64_t a = 0; a < c.stride_h; ++a)
    for (int64_t b = 0; b < c.stride_w; ++b) {
      const Phase &row = rows[static_cast<size_t>(a)], &column = columns[static_cast<size_t>(b)];
      const std::vector<int64_t> tap_offset = phase_taps(c, row, column);
      const int64_t phase_size = packed_size(depth, row.taps * column.taps, width);
      parallel_for(c.groups * blocks, [&](int64_t i) {
        const int64_t g = i / blocks;
        pack_block(packed.data() + at + g * phase_size, w + g * width * taps * depth, depth, i % blocks, tap_offset,
                   width, 1, taps * depth);
      });
      for (int64_t g = 0; g < c.groups; ++g) {
        ConvGather t = backward_gather(c, gy + g * width, gx + g * depth, a, b, row, column);
        t.depth = width;
        t.w = packed.data() + at + g * phase_size;
        t.channels = depth, t.block = block_of(depth);
        t.add = f.add;
        if (f.sums && c.groups == 1 && c.stride_h == 1 && c.stride_w == 1 &&
            cut_whole_pixels(t, row.inputs, blocks, tasks))
          return run_with_sums(c, tasks, *f.sums);
        cut(t, row.inputs, blocks, tasks);
      }
      at += c.groups * phase_size;
    }
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) { gather(c, tasks[static_cast<size_t>(i)]); });
}

namespace {

// ---- weight gradient with few input channels: patches

/// With few channels (a first layer) a tile of one tap's depth is too small. The windows of a task's pixels are then
/// copied side by side, to[pixel][R·S·C], zero on padding, and the convolution becomes 1x1.
bool uses_patches(const ConvShape& c) {
  return c.groups == 1 && c.C < 8 && c.R * c.S > 1 && c.C * c.S <= 64 && c.dilation_w == 1;
}

/// Writes up to kPatchSlack floats beyond the last patch.
constexpr int64_t kPatchSlack = 8;
void make_patches(const ConvShape& c, const float* image, int64_t p0, int64_t p1, float* to) {
  const int64_t row = c.S * c.C, row_step = c.dilation_h * c.W * c.C, size = c.H * c.W * c.C;
  for (int64_t p = p0; p < p1; ++p)
    for (int64_t q = 0; q < c.Q; ++q) {
      const int64_t h = p * c.stride_h - c.padding_h, w = q * c.stride_w - c.padding_w;
      const int64_t at = (h * c.W + w) * c.C, last = at + (c.R - 1) * row_step;
      if (h >= 0 && h + (c.R - 1) * c.dilation_h < c.H && w >= 0 && w + c.S <= c.W &&
          last + row + kPatchSlack <= size) {
        // Inside the image: 8 floats at a time, where the excess of one row is overwritten by the next.
        for (int64_t r = 0; r < c.R; ++r, to += row)
          for (int64_t e = 0; e < row; e += 8) std::memcpy(to + e, image + at + r * row_step + e, 32);
      } else {
        const int64_t s0 = std::clamp<int64_t>(-w, 0, c.S), s1 = std::clamp<int64_t>(c.W - w, s0, c.S);
        for (int64_t r = 0; r < c.R; ++r, to += row) {
          const bool outside = h + r * c.dilation_h < 0 || h + r * c.dilation_h >= c.H;
          const int64_t e0 = outside ? row : s0 * c.C, e1 = outside ? row : s1 * c.C;
          std::fill_n(to, e0, 0.f);
          if (e1 > e0)
            std::memcpy(to + e0, image + at + r * row_step + e0, static_cast<size_t>(e1 - e0) * sizeof(float));
          std::fill_n(to + e1, row - e1, 0.f);
        }
      }
    }
}

/// The convolution over its patches: 1x1, R·S·C channels deep.
ConvShape of_patches(const ConvShape& c) {
  ConvShape d = c;
  d.C = c.R * c.S * c.C, d.H = c.P, d.W = c.Q, d.R = d.S = 1;
  d.stride_h = d.stride_w = d.dilation_h = 1, d.padding_h = d.padding_w = 0;
  return d;
}

// ---- weight gradient

/// How a weight gradient is cut. Task (part, group, side): the sum over the part's pixels for a rectangle of output
/// channels x depth whose accumulators stay in L2. Parts are summed in their order, so the bits depend on the problem
/// alone.
struct WeightPlan {
  ConvShape shape;                    // the problem as the tasks see it
  int64_t depth_each, channels_each;  // a task's share
  int64_t depth_tasks, channel_tasks;
  int64_t images, band;  // pixels of a chunk: so many images, or a band of rows of one
  int64_t chunks, bands, parts;
  int64_t tasks;            // of a part
  int64_t margin;           // zeros about a row of gy: ConvOuter::margin
  int64_t acc_size;         // floats of a task's accumulators
  int64_t x_size, gy_size;  // of its packed x and gy
};

/// A 1x1 convolution that reads every pixel, as one of images of a single row, as long as divides the pixels, `most` at
/// most: a row's first and last pixels cost a tile more than those between.
ConvShape of_rows(const ConvShape& c, int64_t most) {
  const int64_t pixels = c.N * c.P * c.Q;
  ConvShape d = c;
  for (int64_t row = std::min(most, pixels); row > c.Q; --row)
    if (pixels % row == 0) {
      d.N = pixels / row, d.H = d.P = 1, d.W = d.Q = row;
      break;
    }
  return d;
}

WeightPlan weight_plan(const ConvShape& problem, bool patches) {
  WeightPlan plan{};
  ConvShape& c = plan.shape = problem;
  const int64_t taps = c.R * c.S, depth = c.group_depth(), width = c.group_width(), block = block_of(width);
  // Accumulators of at most 192 KiB, as square as the channels allow, in whole blocks.
  int64_t side = block;
  while ((side + block) * (side + block) * taps <= kTaskFloats) side += block;
  plan.depth_each = std::min(depth, ceil_div(side, kConvDepthBlock) * kConvDepthBlock);
  plan.channels_each = std::min(width, side);
  if (depth < side) plan.channels_each = std::min(width, std::max(block, kTaskFloats / (taps * depth) / block * block));
  if (width < side)
    plan.depth_each =
        std::min(depth, std::max(kConvDepthBlock, kTaskFloats / (taps * width) / kConvDepthBlock * kConvDepthBlock));
  plan.depth_tasks = ceil_div(depth, plan.depth_each);
  plan.channel_tasks = ceil_div(width, plan.channels_each);
  // A chunk of pixels: one depth block of x in L1, all of the task's x and gy in L2.
  const int64_t pixels =
      std::clamp<int64_t>(kTaskFloats / (plan.depth_each + plan.channels_each), 32, kL1Floats / kConvDepthBlock);
  if (reads_all(c) && !patches) c = of_rows(c, pixels);
  plan.images = std::clamp<int64_t>(pixels / std::max<int64_t>(1, c.P * c.Q), 1, std::max<int64_t>(c.N, 1));
  plan.band =
      plan.images > 1 ? c.P : std::clamp<int64_t>(pixels / std::max<int64_t>(1, c.Q), 1, std::max<int64_t>(c.P, 1));
  plan.bands = ceil_div(c.P, plan.band);
  plan.chunks = ceil_div(c.N, plan.images) * plan.bands;
  plan.tasks = c.groups * plan.depth_tasks * plan.channel_tasks;
  const int64_t most_parts = std::min(plan.chunks, c.N * c.P * c.Q / kPartPixels);
  plan.parts = std::clamp<int64_t>(ceil_div(kTasks / 2, plan.tasks), 1, std::max<int64_t>(1, most_parts));
  plan.acc_size = ceil_div(plan.channels_each, block) * block * taps * plan.depth_each;
  const int64_t x_rows = std::min(c.H, (plan.band - 1) * c.stride_h + (c.R - 1) * c.dilation_h + 1);
  plan.x_size =
      plan.images * x_rows * c.W * (patches ? c.C : ceil_div(plan.depth_each, kConvDepthBlock) * kConvDepthBlock) +
      kPatchSlack;
  plan.margin =
      joins_taps(c.S, c.stride_w, c.dilation_w, c.padding_w, block / conv_simd().lanes, conv_simd().block_vectors)
          ? c.S - 1 - c.padding_w
          : -1;
  plan.gy_size = plan.images * plan.band * (c.Q + 2 * std::max<int64_t>(plan.margin, 0)) *
                 ceil_div(plan.channels_each, block) * block;
  return plan;
}

/// One task: its accumulators over the chunks [chunk_begin, chunk_end).
/// x is the input itself; `patches_of` is the original problem when c works on its patches, else null.
void weight_task(const ConvShape& c, const ConvShape* patches_of, const ConvPrologue& prologue, const WeightPlan& plan,
                 const float* x, const float* gy, int64_t group, int64_t d0, int64_t k0, int64_t chunk_begin,
                 int64_t chunk_end, float* acc, float* x_packed, float* gy_packed) {
  const int64_t block = block_of(c.group_width());
  const int64_t depth = std::min(plan.depth_each, c.group_depth() - d0);
  const int64_t channels = std::min(plan.channels_each, c.group_width() - k0);
  std::fill_n(acc, plan.acc_size, 0.f);
  const auto columns = tap_segments(0, c.Q, c.W, c.S, c.stride_w, c.padding_w, c.dilation_w, 0);
  for (int64_t chunk = chunk_begin; chunk < chunk_end; ++chunk) {
    const int64_t n0 = chunk / plan.bands * plan.images, images = std::min(plan.images, c.N - n0);
    const int64_t p0 = chunk % plan.bands * plan.band, p1 = std::min(p0 + plan.band, c.P);
    const int64_t h0 = std::clamp<int64_t>(p0 * c.stride_h - c.padding_h, 0, c.H);
    const int64_t h1 = std::clamp<int64_t>((p1 - 1) * c.stride_h - c.padding_h + (c.R - 1) * c.dilation_h + 1, h0, c.H);
    const auto rows = tap_segments(p0, p1, c.H, c.R, c.stride_h, c.padding_h, c.dilation_h, h0);

    ConvOuter t{};
    t.acc = acc;
    t.taps_h = c.R, t.taps_w = c.S, t.depth = depth, t.channels = channels, t.block = block;
    t.images = images;
    t.in_step_h = c.stride_h, t.in_step_w = c.stride_w;
    t.tap_rows = rows.data(), t.tap_columns = columns.data();

    // x: the rows the chunk touches. Few channels need no copy, unless they need padding; many would share too few
    // cache sets at their stride.
    const int64_t x_step = prologue.any() ? prologue.pixel : c.C;
    const float* x_from = x + (n0 * c.H + h0) * c.W * x_step + group * c.group_depth() + d0;
    const int64_t x_rows = h1 - h0;
    if (patches_of) {
      const ConvShape& o = *patches_of;
      t.x_pixel = c.C, t.x_row = c.Q * c.C, t.x_image = x_rows * t.x_row, t.x_depth_block = kConvDepthBlock;
      for (int64_t n = 0; n < images; ++n)
        make_patches(o, x + (n0 + n) * o.H * o.W * o.C, p0, p1, x_packed + n * t.x_image);
      t.x = x_packed + d0;
    } else if (c.C <= kConvDepthBlock && !prologue.any()) {
      t.x = x_from;
      t.x_pixel = c.C, t.x_row = c.W * c.C, t.x_image = c.H * t.x_row, t.x_depth_block = 0;
    } else if (samples(c)) {
      // Only the pixels that a strided 1x1 convolution reads.
      t.in_step_h = t.in_step_w = 1;
      t.x_pixel = kConvDepthBlock, t.x_row = c.Q * t.x_pixel, t.x_image = (p1 - p0) * t.x_row,
      t.x_depth_block = images * t.x_image;
      for (int64_t n = 0; n < images; ++n)
        for (int64_t p = p0; p < p1; ++p)
          conv_simd().pack_pixels(x_packed + n * t.x_image + (p - p0) * t.x_row, t.x_depth_block,
                                  x_from + (n * c.H + (p - p0) * c.stride_h) * c.W * x_step, c.stride_w * x_step, c.Q,
                                  depth, kConvDepthBlock);
      t.x = x_packed;
    } else {
      t.x_pixel = kConvDepthBlock, t.x_row = c.W * t.x_pixel, t.x_image = x_rows * t.x_row,
      t.x_depth_block = images * t.x_image;
      for (int64_t n = 0; n < images; ++n)
        conv_simd().pack_pixels(x_packed + n * t.x_image, t.x_depth_block, x_from + n * c.H * c.W * x_step, x_step,
                                x_rows * c.W, depth, kConvDepthBlock);
      t.x = x_packed;
    }
    if (prologue.any())
      normalise_panels(prologue, x_packed, t.x_depth_block, t.x_depth_block / kConvDepthBlock, kConvDepthBlock,
                       group * c.group_depth() + d0, depth);
    const float* gy_from = gy + (n0 * c.P + p0) * c.Q * c.K + group * c.group_width() + k0;
    t.margin = plan.margin, t.x_columns = c.W;
    if (c.K == block && c.groups == 1 && t.margin < 0) {
      t.gy = gy_from;
      t.gy_pixel = c.K, t.gy_row = c.Q * c.K, t.gy_image = c.P * t.gy_row, t.gy_block = 0;
    } else {
      const int64_t margin = std::max<int64_t>(t.margin, 0);  // stays zero: nothing is written there
      t.gy_pixel = block, t.gy_row = (c.Q + 2 * margin) * block, t.gy_image = (p1 - p0) * t.gy_row,
      t.gy_block = images * t.gy_image;
      for (int64_t n = 0; n < images; ++n)
        for (int64_t p = 0; p < p1 - p0; ++p)
          conv_simd().pack_pixels(gy_packed + n * t.gy_image + p * t.gy_row + margin * block, t.gy_block,
                                  gy_from + (n * c.P + p) * c.Q * c.K, c.K, c.Q, channels, block);
      t.gy = gy_packed;
    }
    if (chunk + 1 < chunk_end && !patches_of) {
      // The rows of the next chunk. Where windows overlap the first of them are near already.
      const int64_t next = chunk + 1, n1 = next / plan.bands * plan.images, band = next % plan.bands * plan.band;
      const int64_t next_images = std::min(plan.images, c.N - n1), next_rows = std::min(plan.band, c.P - band);
      const int64_t h = std::min(band * c.stride_h, c.H - 1), h_count = std::min(next_rows * c.stride_h, c.H - h);
      const int64_t x_pixels = ((next_images - 1) * c.H + h_count) * c.W;
      t.ahead.first = {x + ((n1 * c.H + h) * c.W) * x_step + group * c.group_depth() + d0, x_pixels, depth, x_step};
      t.ahead.second = {gy + (n1 * c.P + band) * c.Q * c.K + group * c.group_width() + k0,
                        ((next_images - 1) * c.P + next_rows) * c.Q, channels, c.K};
    }
    conv_simd().outer(t);
  }
}

}  // namespace

bool backward_weight_direct_normalises(const ConvShape& c) { return !uses_patches(c); }

int64_t backward_weight_direct_workspace(const ConvShape& c) {
  const bool patches = uses_patches(c);
  const WeightPlan plan = weight_plan(patches ? of_patches(c) : c, patches);
  const int64_t tasks = plan.tasks * plan.parts;
  return (tasks * plan.acc_size + tasks_at_once(tasks) * (plan.x_size + plan.gy_size)) * kFloatBytes;
}

void backward_weight_direct(const ConvBackwardWeight& f) {
  const ConvShape& problem = f.shape;
  const float *x = static_cast<const float*>(f.x), *gy = static_cast<const float*>(f.gy);
  float* gw = static_cast<float*>(f.gw);
  const bool patches = uses_patches(problem);
  const WeightPlan plan = weight_plan(patches ? of_patches(problem) : problem, patches);
  const ConvShape& c = plan.shape;
  const int64_t width = c.group_width(), block = block_of(width);
  const Workspace<float> acc(plan.tasks * plan.parts * plan.acc_size);
  parallel_for(plan.tasks * plan.parts, [&](int64_t i) {
    const int64_t part = i % plan.parts, task = i / plan.parts;
    const int64_t d = task % plan.depth_tasks, k = task / plan.depth_tasks % plan.channel_tasks;
    const Workspace<float> x_packed(plan.x_size), gy_packed(plan.gy_size);
    if (plan.margin >= 0) std::fill_n(gy_packed.data(), plan.gy_size, 0.f);
    weight_task(c, patches ? &problem : nullptr, f.prologue, plan, x, gy, task / plan.depth_tasks / plan.channel_tasks,
                d * plan.depth_each, k * plan.channels_each, part * plan.chunks / plan.parts,
                (part + 1) * plan.chunks / plan.parts, acc.data() + i * plan.acc_size, x_packed.data(),
                gy_packed.data());
  });
  // gw[k][t][d] = the parts' sum, in order, and out of the blocks' layout: of a block, so many (t, d) at a time.
  constexpr int64_t kRows = 64;
  const int64_t taps = c.R * c.S, blocks = ceil_div(width, block), pieces = ceil_div(taps * plan.depth_each, kRows);
  parallel_for(c.groups * blocks * plan.depth_tasks * pieces, [&](int64_t i) {
    const int64_t piece = i % pieces, dt = i / pieces % plan.depth_tasks;
    const int64_t k0 = i / pieces / plan.depth_tasks % blocks * block, g = i / pieces / plan.depth_tasks / blocks;
    const int64_t task = (g * plan.channel_tasks + k0 / plan.channels_each) * plan.depth_tasks + dt;
    const int64_t d0 = dt * plan.depth_each, depth = std::min(plan.depth_each, c.group_depth() - d0);
    const int64_t k_task = k0 / plan.channels_each * plan.channels_each;
    const int64_t channels = std::min(plan.channels_each, width - k_task);
    const int64_t b = (k0 - k_task) / block, lanes = block_lanes(channels, block, conv_simd().lanes, b);
    const int64_t begin = std::min(piece * kRows, taps * depth), end = std::min(begin + kRows, taps * depth);
    float* sum = acc.data() + task * plan.parts * plan.acc_size + b * block * taps * depth;
    for (int64_t part = 1; part < plan.parts; ++part)
      for (int64_t e = begin * lanes; e < end * lanes; ++e) sum[e] += sum[part * plan.acc_size + e];
    for (int64_t e = begin, stop = begin; e < end; e = stop) {
      const int64_t tap = e / depth;
      stop = std::min(end, (tap + 1) * depth);
      for (int64_t l = 0; l < std::min(lanes, width - k0); ++l) {
        float* to = gw + ((g * width + k0 + l) * taps + tap) * c.group_depth() + d0 - tap * depth;
        for (int64_t j = e; j < stop; ++j) to[j] = sum[j * lanes + l];
      }
    }
  });
}

}  // namespace gradus::cpu
