#include "ops/conv2d/conv2d_plan.hpp"

#include <algorithm>

namespace gradus::cpu {

using std::int64_t;

std::vector<ConvSegment> forward_segments(int64_t outputs, int64_t inputs, int64_t window, int64_t stride,
                                          int64_t padding, int64_t dilation) {
  std::vector<ConvSegment> segments;
  for (int64_t o = 0; o < outputs; ++o) {
    const int64_t at = o * stride - padding;
    const int64_t tap0 = at >= 0 ? 0 : std::min(ceil_div(-at, dilation), window);
    const int64_t end = at >= inputs ? 0 : std::min(ceil_div(inputs - at, dilation), window);
    const int64_t taps = std::max<int64_t>(end - tap0, 0);
    if (!segments.empty() && segments.back().taps == taps && (taps == 0 || segments.back().tap0 == tap0))
      ++segments.back().count;
    else
      segments.push_back({o, 1, taps ? tap0 : 0, taps, taps ? at + tap0 * dilation : 0});
  }
  return segments;
}

namespace {

Phase backward_phase(int64_t phase, int64_t inputs, int64_t outputs, int64_t window, int64_t stride, int64_t padding,
                     int64_t dilation) {
  Phase f;
  f.tap_stride = stride;
  f.first_tap = (phase + padding) % stride;
  f.taps = f.first_tap < window ? ceil_div(window - f.first_tap, stride) : 0;
  f.inputs = phase < inputs ? ceil_div(inputs - phase, stride) : 0;
  const int64_t last_tap = f.first_tap + (f.taps - 1) * stride;
  for (int64_t i = 0; i < f.inputs; ++i) {
    // Tap number m counts from the last tap down; it reads p = (h + padding - last_tap)/stride + m (stride > 1), or
    // h + padding - last_tap·dilation + m·dilation (stride 1).
    const int64_t h = phase + i * stride;
    const int64_t start = stride > 1 ? (h + padding - last_tap) / stride : h + padding - last_tap * dilation;  // exact
    const int64_t tap0 = start >= 0 ? 0 : std::min(ceil_div(-start, dilation), f.taps);
    const int64_t end = start >= outputs ? 0 : std::min(ceil_div(outputs - start, dilation), f.taps);
    const int64_t taps = std::max<int64_t>(end - tap0, 0);
    if (!f.segments.empty() && f.segments.back().taps == taps && (taps == 0 || f.segments.back().tap0 == tap0))
      ++f.segments.back().count;
    else
      f.segments.push_back({i, 1, taps ? tap0 : 0, taps, taps ? start + tap0 * dilation : 0});
  }
  return f;
}

}  // namespace

std::vector<Phase> backward_phases(int64_t inputs, int64_t outputs, int64_t window, int64_t stride, int64_t padding,
                                   int64_t dilation) {
  std::vector<Phase> phases;
  for (int64_t a = 0; a < stride; ++a)
    phases.push_back(backward_phase(a, inputs, outputs, window, stride, padding, dilation));
  return phases;
}

std::vector<int64_t> phase_taps(const ConvShape& c, const Phase& row, const Phase& column) {
  std::vector<int64_t> offsets;
  for (int64_t m = row.taps - 1; m >= 0; --m)
    for (int64_t l = column.taps - 1; l >= 0; --l)
      offsets.push_back(((row.first_tap + m * row.tap_stride) * c.S + column.first_tap + l * column.tap_stride) *
                        c.group_depth());
  return offsets;
}

std::vector<ConvSegment> tap_segments(int64_t begin, int64_t end, int64_t inputs, int64_t window, int64_t stride,
                                      int64_t padding, int64_t dilation, int64_t origin) {
  std::vector<ConvSegment> segments;
  for (int64_t t = 0; t < window; ++t) {
    const int64_t shift = padding - t * dilation;  // output o reads input o·stride - shift
    const int64_t first = std::clamp(shift > 0 ? ceil_div(shift, stride) : 0, begin, end);
    const int64_t last = inputs - 1 + shift < 0 ? 0 : (inputs - 1 + shift) / stride + 1;
    const int64_t count = std::max<int64_t>(std::min(last, end) - first, 0);
    segments.push_back({first - begin, count, t, 1, count ? first * stride - shift - origin : 0});
  }
  return segments;
}

ConvGather forward_gather(const ConvShape& c, const float* x, float* y, const std::vector<ConvSegment>& rows,
                          const std::vector<ConvSegment>& columns) {
  ConvGather t{};
  t.x = x;
  t.x_pixel = c.C, t.x_row = c.W * c.C, t.x_image = c.H * t.x_row;
  t.in_step_h = c.stride_h, t.in_step_w = c.stride_w;
  t.tap_step_h = c.dilation_h, t.tap_step_w = c.dilation_w;
  t.y = y;
  t.y_pixel = c.K, t.y_row = c.Q * c.K, t.y_image = c.P * t.y_row;
  t.taps_h = c.R, t.taps_w = c.S;
  t.rows = rows.data(), t.row_segments = static_cast<int64_t>(rows.size());
  t.columns = columns.data(), t.column_segments = static_cast<int64_t>(columns.size());
  t.images = c.N;
  return t;
}

ConvGather backward_gather(const ConvShape& c, const float* gy, float* gx, int64_t a, int64_t b, const Phase& row,
                           const Phase& column) {
  ConvGather t{};
  t.x = gy;
  t.x_pixel = c.K, t.x_row = c.Q * c.K, t.x_image = c.P * t.x_row;
  t.in_step_h = t.in_step_w = 1;
  t.tap_step_h = c.dilation_h, t.tap_step_w = c.dilation_w;
  t.y = gx + a * c.W * c.C + b * c.C;
  t.y_pixel = c.stride_w * c.C, t.y_row = c.stride_h * c.W * c.C, t.y_image = c.H * c.W * c.C;
  t.taps_h = row.taps, t.taps_w = column.taps;
  t.rows = row.segments.data(), t.row_segments = static_cast<int64_t>(row.segments.size());
  t.columns = column.segments.data(), t.column_segments = static_cast<int64_t>(column.segments.size());
  t.images = c.N;
  return t;
}

void normalise_panels(const ConvPrologue& p, float* x, int64_t panel_step, int64_t rows, int64_t width, int64_t c0,
                      int64_t channels) {
  const auto *scale = static_cast<const float*>(p.scale) + c0, *shift = static_cast<const float*>(p.shift) + c0;
  std::vector<float> padded(static_cast<std::size_t>(2 * width));
  for (int64_t c = 0; c < channels; c += width, x += panel_step) {
    const int64_t here = std::min(width, channels - c);
    if (here == width) {
      conv_simd().normalise(x, rows, width, scale + c, shift + c, p.relu);
      continue;
    }
    std::copy_n(scale + c, here, padded.begin());
    std::copy_n(shift + c, here, padded.begin() + width);
    for (int64_t r = 0; r < rows; ++r) std::fill_n(x + r * width + here, width - here, 0.f);
    conv_simd().normalise(x, rows, width, padded.data(), padded.data() + width, p.relu);
  }
}

void cut(const ConvGather& whole, int64_t rows, int64_t blocks, std::vector<ConvGather>& tasks, bool all_blocks) {
  int64_t columns = 0;
  for (int64_t e = 0; e < whole.column_segments; ++e) columns += whole.columns[e].count;
  if (whole.images == 0 || rows == 0 || columns == 0) return;
  const int64_t row_floats = whole.in_step_h * whole.x_row + columns * whole.channels;
  const int64_t band = std::clamp<int64_t>(kTaskFloats / row_floats, 1, rows);
  const int64_t images_fit = band < rows ? 1 : std::max<int64_t>(1, kTaskFloats / (rows * row_floats));
  const int64_t images =
      std::clamp<int64_t>(images_fit, 1, std::max<int64_t>(1, whole.images * (all_blocks ? 1 : blocks) / kTasks));
  const int64_t pixel_tasks = ceil_div(whole.images, images) * ceil_div(rows, band);
  const int64_t block_tasks = all_blocks ? 1 : std::clamp<int64_t>(ceil_div(kTasks, pixel_tasks), 1, blocks);
  const int64_t blocks_each = ceil_div(blocks, block_tasks);
  for (int64_t n = 0; n < whole.images; n += images)
    for (int64_t i = 0; i < rows; i += band)
      for (int64_t b = 0; b < blocks; b += blocks_each) {
        ConvGather t = whole;
        if (t.x) t.x += n * t.x_image;
        t.y += n * t.y_image;
        t.first_image = n, t.images = std::min(images, whole.images - n);
        t.row_begin = i, t.row_end = std::min(i + band, rows);
        t.block_begin = b, t.block_end = std::min(b + blocks_each, blocks);
        tasks.push_back(t);
      }
}

bool cut_whole_pixels(const ConvGather& whole, int64_t rows, int64_t blocks, std::vector<ConvGather>& tasks) {
  std::vector<ConvGather> cut_so;
  cut(whole, rows, blocks, cut_so, true);
  const bool enough = static_cast<int64_t>(cut_so.size()) >= kTasks / 4;
  if (enough) tasks.insert(tasks.end(), cut_so.begin(), cut_so.end());
  return enough;
}

}  // namespace gradus::cpu
