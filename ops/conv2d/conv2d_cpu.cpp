// conv2d's candidates on the CPU, and the two that take any problem in f32 and f64.
//
//   reference    the definition: plain loops, accumulating in double
//   im2col_gemm  windows copied side by side, then a matrix product. Bound by the product, plus R·S times the bytes of
//   x direct       (conv2d_direct.cpp) f32: tiles in registers over taps and channels, nothing copied
//   packed       (conv2d_packed.cpp) f32: both factors copied into panels, then tiles in registers

#include <algorithm>
#include <cstring>

#include "core/blas.hpp"
#include "core/parallel.hpp"
#include "ops/conv2d/conv2d_direct.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

/// The epilogue of result y, in place, for channels [k0, k1) of pixels [begin, end).
template <class T>
void finish(const ConvEpilogue& e, const ConvShape& c, int64_t begin, int64_t end, int64_t k0, int64_t k1, T* y) {
  if (!e.any()) return;
  const T *scale = static_cast<const T*>(e.scale), *shift = static_cast<const T*>(e.shift),
          *residual = static_cast<const T*>(e.residual);
  for (int64_t pixel = begin; pixel < end; ++pixel)
    for (int64_t k = k0; k < k1; ++k) {
      T& value = y[pixel * c.K + k];
      if (scale) value = value * scale[k] + shift[k];
      if (residual) value += residual[pixel * c.K + k];
      if (e.relu && value < 0) value = 0;
    }
}

// ---- reference

template <class T>
void forward_reference(const ConvShape& c, const T* x, const T* w, const T* bias, const ConvEpilogue& epilogue, T* y) {
  const int64_t depth = c.group_depth(), width = c.group_width();
  parallel_for(c.N * c.P, [&](int64_t np) {
    const int64_t n = np / c.P, p = np % c.P;
    for (int64_t q = 0; q < c.Q; ++q)
      for (int64_t k = 0; k < c.K; ++k) {
        double sum = bias ? static_cast<double>(bias[k]) : 0;
        for (int64_t r = 0; r < c.R; ++r)
          for (int64_t s = 0; s < c.S; ++s) {
            const int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
            const int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
            if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
            const T* xp = x + ((n * c.H + h) * c.W + v) * c.C + k / width * depth;
            const T* wp = w + ((k * c.R + r) * c.S + s) * depth;
            for (int64_t d = 0; d < depth; ++d) sum += static_cast<double>(xp[d]) * static_cast<double>(wp[d]);
          }
        y[((n * c.P + p) * c.Q + q) * c.K + k] = static_cast<T>(sum);
      }
    finish(epilogue, c, np * c.Q, (np + 1) * c.Q, 0, c.K, y);
  });
}

template <class T>
void backward_input_reference(const ConvShape& c, const T* gy, const T* w, T* gx, bool add) {
  const int64_t depth = c.group_depth(), width = c.group_width();
  parallel_for(c.N * c.H, [&](int64_t nh) {
    const int64_t n = nh / c.H, h = nh % c.H;
    for (int64_t v = 0; v < c.W; ++v)
      for (int64_t ch = 0; ch < c.C; ++ch) {
        T& result = gx[((n * c.H + h) * c.W + v) * c.C + ch];
        double sum = add ? static_cast<double>(result) : 0;
        for (int64_t r = 0; r < c.R; ++r)
          for (int64_t s = 0; s < c.S; ++s) {
            const int64_t ph = h + c.padding_h - r * c.dilation_h, qw = v + c.padding_w - s * c.dilation_w;
            if (ph < 0 || qw < 0 || ph % c.stride_h || qw % c.stride_w) continue;
            const int64_t p = ph / c.stride_h, q = qw / c.stride_w;
            if (p >= c.P || q >= c.Q) continue;
            const int64_t k0 = ch / depth * width;
            const T* gp = gy + ((n * c.P + p) * c.Q + q) * c.K;
            for (int64_t k = k0; k < k0 + width; ++k)
              sum +=
                  static_cast<double>(gp[k]) * static_cast<double>(w[((k * c.R + r) * c.S + s) * depth + ch % depth]);
          }
        result = static_cast<T>(sum);
      }
  });
}

template <class T>
void backward_weight_reference(const ConvShape& c, const T* x, const T* gy, T* gw) {
  const int64_t depth = c.group_depth(), width = c.group_width();
  parallel_for(c.K, [&](int64_t k) {
    for (int64_t r = 0; r < c.R; ++r)
      for (int64_t s = 0; s < c.S; ++s)
        for (int64_t d = 0; d < depth; ++d) {
          double sum = 0;
          for (int64_t n = 0; n < c.N; ++n)
            for (int64_t p = 0; p < c.P; ++p)
              for (int64_t q = 0; q < c.Q; ++q) {
                const int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
                const int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
                if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
                sum += static_cast<double>(gy[((n * c.P + p) * c.Q + q) * c.K + k]) *
                       static_cast<double>(x[((n * c.H + h) * c.W + v) * c.C + k / width * depth + d]);
              }
          gw[((k * c.R + r) * c.S + s) * depth + d] = static_cast<T>(sum);
        }
  });
}

// ---- im2col_gemm
//
// The columns of output pixels [begin, end) of an image: columns[pixel][R·S·depth], zero on padding. y = columns wᵀ.

constexpr int64_t kColumnsBytes = 256 << 10;  // of one chunk: stays in L2 between the copy and the product

/// Whether x itself, a row per pixel, already is the columns.
bool is_pointwise(const ConvShape& c) {
  return c.R == 1 && c.S == 1 && c.stride_h == 1 && c.stride_w == 1 && c.padding_h == 0 && c.padding_w == 0;
}

/// Calls each(tap offset in a column, pixel of x or -1) for the taps of output pixel (p, q).
template <class Fn>
void each_tap(const ConvShape& c, int64_t pixel, Fn&& each) {
  const int64_t p = pixel / c.Q, q = pixel % c.Q;
  for (int64_t r = 0; r < c.R; ++r)
    for (int64_t s = 0; s < c.S; ++s) {
      const int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
      const int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
      const bool inside = h >= 0 && h < c.H && v >= 0 && v < c.W;
      each((r * c.S + s) * c.group_depth(), inside ? h * c.W + v : -1);
    }
}

template <class T>
void gather_columns(const ConvShape& c, const T* image, int64_t begin, int64_t end, T* columns) {
  const int64_t depth = c.group_depth();
  for (int64_t pixel = begin; pixel < end; ++pixel, columns += c.R * c.S * depth)
    each_tap(c, pixel, [&](int64_t at, int64_t from) {
      if (from < 0)
        std::fill_n(columns + at, depth, T(0));
      else
        std::copy_n(image + from * c.C, depth, columns + at);
    });
}

template <class T>
void scatter_columns(const ConvShape& c, const T* columns, int64_t begin, int64_t end, T* image) {
  const int64_t depth = c.group_depth();
  for (int64_t pixel = begin; pixel < end; ++pixel, columns += c.R * c.S * depth)
    each_tap(c, pixel, [&](int64_t at, int64_t to) {
      if (to < 0) return;
      T* out = image + to * c.C;
      for (int64_t d = 0; d < depth; ++d) out[d] += columns[at + d];
    });
}

template <class T>
int64_t chunk_pixels(const ConvShape& c) {
  const int64_t column = c.R * c.S * c.group_depth() * static_cast<int64_t>(sizeof(T));
  return std::clamp<int64_t>(kColumnsBytes / std::max<int64_t>(column, 1), 16, std::max<int64_t>(16, c.P * c.Q));
}

/// Floats of the columns that a task holds; a pointwise convolution copies none.
template <class T>
int64_t columns_size(const ConvShape& c) {
  return is_pointwise(c) ? 0 : std::min(chunk_pixels<T>(c), c.P * c.Q) * c.R * c.S * c.group_depth();
}
template <class T>
int64_t forward_im2col_workspace(const ConvShape& c) {
  const int64_t chunk = chunk_pixels<T>(c), chunks = (c.P * c.Q + chunk - 1) / chunk;
  return tasks_at_once(c.N * c.groups * chunks) * columns_size<T>(c) * static_cast<int64_t>(sizeof(T));
}
template <class T>
int64_t backward_input_im2col_workspace(const ConvShape& c) {
  return tasks_at_once(c.N * c.groups) * columns_size<T>(c) * static_cast<int64_t>(sizeof(T));
}
/// Parts of the weight gradient: each adds up some images; the parts are added in order. Their number depends on the
/// problem alone.
int64_t im2col_parts(const ConvShape& c) {
  constexpr int64_t kParts = 16;
  return std::clamp<int64_t>(kParts / c.groups, 1, std::max<int64_t>(c.N, 1));
}
template <class T>
int64_t backward_weight_im2col_workspace(const ConvShape& c) {
  const int64_t parts = im2col_parts(c);
  return (parts * c.w_size() + tasks_at_once(parts * c.groups) * columns_size<T>(c)) * static_cast<int64_t>(sizeof(T));
}

template <class T>
void forward_im2col(const ConvShape& c, const T* x, const T* w, const T* bias, const ConvEpilogue& epilogue, T* y) {
  const int64_t depth = c.group_depth(), width = c.group_width(), length = c.R * c.S * depth;
  const int64_t pixels = c.P * c.Q, chunk = chunk_pixels<T>(c), chunks = (pixels + chunk - 1) / chunk;
  parallel_for(c.N * c.groups * chunks, [&](int64_t i) {
    const int64_t n = i / chunks / c.groups, g = i / chunks % c.groups;
    const int64_t begin = i % chunks * chunk, end = std::min(begin + chunk, pixels);
    const T* image = x + n * c.H * c.W * c.C + g * depth;
    T* out = y + (n * pixels + begin) * c.K + g * width;
    for (int64_t pixel = 0; pixel < end - begin; ++pixel)
      for (int64_t k = 0; k < width; ++k) out[pixel * c.K + k] = bias ? bias[g * width + k] : T(0);
    if (is_pointwise(c)) {
      blas::gemm(false, true, end - begin, width, length, T(1), image + begin * c.C, c.C, w + g * width * length,
                 length, T(1), out, c.K);
    } else {
      const Workspace<T> columns((end - begin) * length);
      gather_columns(c, image, begin, end, columns.data());
      blas::gemm(false, true, end - begin, width, length, T(1), columns.data(), length, w + g * width * length, length,
                 T(1), out, c.K);
    }
    finish(epilogue, c, n * pixels + begin, n * pixels + end, g * width, (g + 1) * width, y);
  });
}

template <class T>
void backward_input_im2col(const ConvShape& c, const T* gy, const T* w, T* gx, bool add) {
  const int64_t depth = c.group_depth(), width = c.group_width(), length = c.R * c.S * depth;
  const int64_t pixels = c.P * c.Q, chunk = chunk_pixels<T>(c);
  // Windows overlap, so one task adds up a whole image of one group.
  parallel_for(c.N * c.groups, [&](int64_t i) {
    const int64_t n = i / c.groups, g = i % c.groups;
    T* image = gx + n * c.H * c.W * c.C + g * depth;
    const T* out = gy + n * pixels * c.K + g * width;
    if (is_pointwise(c)) {
      blas::gemm(false, false, pixels, length, width, T(1), out, c.K, w + g * width * length, length, T(add ? 1 : 0),
                 image, c.C);
      return;
    }
    for (int64_t pixel = 0; pixel < c.H * c.W && !add; ++pixel) std::fill_n(image + pixel * c.C, depth, T(0));
    const Workspace<T> columns(columns_size<T>(c));
    for (int64_t begin = 0; begin < pixels; begin += chunk) {
      const int64_t end = std::min(begin + chunk, pixels);
      blas::gemm(false, false, end - begin, length, width, T(1), out + begin * c.K, c.K, w + g * width * length, length,
                 T(0), columns.data(), length);
      scatter_columns(c, columns.data(), begin, end, image);
    }
  });
}

template <class T>
void backward_weight_im2col(const ConvShape& c, const T* x, const T* gy, T* gw) {
  const int64_t depth = c.group_depth(), width = c.group_width(), length = c.R * c.S * depth;
  const int64_t pixels = c.P * c.Q, chunk = chunk_pixels<T>(c);
  const int64_t parts = im2col_parts(c);
  const Workspace<T> sums(parts * c.w_size());
  parallel_for(parts * c.groups, [&](int64_t i) {
    const int64_t part = i / c.groups, g = i % c.groups;
    T* sum = sums.data() + part * c.w_size() + g * width * length;
    std::fill_n(sum, width * length, T(0));
    const Workspace<T> columns(columns_size<T>(c));
    for (int64_t n = part * c.N / parts; n < (part + 1) * c.N / parts; ++n)
      for (int64_t begin = 0; begin < pixels; begin += chunk) {
        const int64_t end = std::min(begin + chunk, pixels);
        const T* image = x + n * c.H * c.W * c.C + g * depth;
        const T* out = gy + (n * pixels + begin) * c.K + g * width;
        if (!is_pointwise(c)) gather_columns(c, image, begin, end, columns.data());
        blas::gemm(true, false, width, length, end - begin, T(1), out, c.K,
                   is_pointwise(c) ? image + begin * c.C : columns.data(), is_pointwise(c) ? c.C : length, T(1), sum,
                   length);
      }
  });
  parallel_ranges(c.w_size(), 4096, [&](int64_t begin, int64_t end) {
    std::copy(sums.data() + begin, sums.data() + end, gw + begin);
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t e = begin; e < end; ++e) gw[e] += sums.data()[part * c.w_size() + e];
  });
}

// ---- the ladders

/// fn(T{}) for the problem's element type.
template <class Problem, class Fn>
void typed(const Problem& p, Fn&& fn) {
  p.dtype == DType::f32 ? fn(float{}) : fn(double{});
}
template <class T>
const T* as(const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
T* as(void* p) {
  return static_cast<T*>(p);
}

/// Kernels that copy x normalise it on the way; most copy zeros for padding, which must not be normalised, so there
/// must be none.
template <class Problem>
bool takes_prologue(const Problem& p) {
  const ConvShape& c = p.shape;
  return !p.prologue.any() || (c.R == 1 && c.S == 1 && c.padding_h == 0 && c.padding_w == 0 && c.groups == 1);
}
template <class Problem>
bool is_plain(const Problem& p) {
  return !p.prologue.any();
}
bool forward_is_direct(const ConvForward& p) {
  const bool strided = p.shape.stride_h > 1 || p.shape.stride_w > 1;
  return p.dtype == DType::f32 && takes_prologue(p) && !(strided && p.prologue.any());
}
/// Stride and dilation together would need phases of phases; no network has both.
bool backward_input_is_direct(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  return p.dtype == DType::f32 && (c.stride_h == 1 || c.dilation_h == 1) && (c.stride_w == 1 || c.dilation_w == 1);
}
/// It packs the pixels that exist and leaves taps on padding out, as lane_groups does.
bool backward_weight_is_direct(const ConvBackwardWeight& p) {
  return p.dtype == DType::f32 && (!p.prologue.any() || backward_weight_direct_normalises(p.shape));
}

bool forward_is_groups(const ConvForward& p) { return forward_is_direct(p) && is_plain(p) && is_lane_groups(p.shape); }
/// Its tiles overlap: nothing can be added in them.
bool backward_input_is_groups(const ConvBackwardInput& p) {
  return backward_input_is_direct(p) && !p.add && is_lane_groups(p.shape);
}
bool backward_weight_is_groups(const ConvBackwardWeight& p) {
  return backward_weight_is_direct(p) && is_lane_groups(p.shape) && p.shape.group_depth() <= 8;
}
template <int kTile>
bool forward_is_winograd(const ConvForward& p) {
  return p.dtype == DType::f32 && is_plain(p) && is_winograd(p.shape, kTile, p.keep != nullptr);
}
template <int kTile>
bool backward_input_is_winograd(const ConvBackwardInput& p) {
  return p.dtype == DType::f32 && is_winograd(p.shape, kTile, false);
}
template <int kTile>
bool backward_weight_is_winograd(const ConvBackwardWeight& p) {
  return p.dtype == DType::f32 && is_plain(p) && is_winograd_weight(p.shape, kTile);
}
bool forward_is_packed(const ConvForward& p) {
  return p.dtype == DType::f32 && is_plain(p) && is_packed_forward(p.shape);
}
bool backward_input_is_packed(const ConvBackwardInput& p) {
  return p.dtype == DType::f32 && is_packed_backward_input(p.shape, p.sums != nullptr);
}
bool backward_weight_is_packed(const ConvBackwardWeight& p) {
  return p.dtype == DType::f32 && takes_prologue(p) && is_packed_backward_weight(p.shape);
}
bool forward_is_narrow(const ConvForward& p) {
  return p.dtype == DType::f32 && is_plain(p) && is_narrow_forward(p.shape);
}
bool backward_input_is_narrow(const ConvBackwardInput& p) {
  return p.dtype == DType::f32 && is_narrow_backward_input(p.shape);
}
template <int64_t (*kOf)(const ConvShape&), class Problem>
int64_t workspace(const Problem& p) {
  return kOf(p.shape);
}
template <int64_t (*kOf)(const ConvShape&, int), int kTile, class Problem>
int64_t winograd_workspace(const Problem& p) {
  return kOf(p.shape, kTile);
}
template <int64_t (*kF32)(const ConvShape&), int64_t (*kF64)(const ConvShape&), class Problem>
int64_t workspace(const Problem& p) {
  return p.dtype == DType::f32 ? kF32(p.shape) : kF64(p.shape);
}
constexpr const char* kPackedIdea = "products of packed panels; bound by multiply-adds";
constexpr const char* kWinogradIdea = "fewer multiply-adds for additions; bound by transforms where channels are few";
constexpr const char* kNarrowIdea = "each value of x meets three taps at once; bound by multiply-adds";
constexpr const char* kGroupsIdea = "several groups in one vector; bound by bytes (depthwise) or shuffles";

}  // namespace

const Candidates<ConvForward>& conv2d_forward() {
  static const Candidates<ConvForward> list(
      "conv2d.forward",
      {{"lane_groups", kGroupsIdea, forward_is_groups, forward_groups, workspace<gather_groups_workspace>},
       {"narrow", kNarrowIdea, forward_is_narrow, forward_narrow, workspace<forward_narrow_workspace>},
       // Forward takes the small tile first: it is as exact as the direct kernel. Gradients need less.
       {"winograd_f2x2", kWinogradIdea, forward_is_winograd<2>, forward_winograd_2,
        winograd_workspace<forward_winograd_workspace, 2>},
       {"winograd_f4x4", kWinogradIdea, forward_is_winograd<4>, forward_winograd_4,
        winograd_workspace<forward_winograd_workspace, 4>},
       {"packed", kPackedIdea, forward_is_packed, forward_packed,
        [](const ConvForward& p) { return forward_packed_workspace(p.shape, p.moments != nullptr); }},
       {"direct", "tiles in registers over taps and channels; bound by multiply-adds", forward_is_direct,
        forward_direct, [](const ConvForward& p) { return forward_direct_workspace(p.shape, p.prologue.any()); }},
       {"im2col_gemm", "windows copied side by side, then BLAS; bound by the product", is_plain<ConvForward>,
        [](const ConvForward& p) {
          typed(p, [&]<class T>(T) {
            forward_im2col(p.shape, as<T>(p.x), as<T>(p.w), as<T>(p.bias), p.epilogue, as<T>(p.y));
          });
        },
        workspace<forward_im2col_workspace<float>, forward_im2col_workspace<double>>},
       {"reference", "the definition, in double", is_plain<ConvForward>, [](const ConvForward& p) {
          typed(p, [&]<class T>(T) {
            forward_reference(p.shape, as<T>(p.x), as<T>(p.w), as<T>(p.bias), p.epilogue, as<T>(p.y));
          });
        }}});
  return list;
}

const Candidates<ConvBackwardInput>& conv2d_backward_input() {
  static const Candidates<ConvBackwardInput> list(
      "conv2d.backward_input",
      {{"lane_groups", kGroupsIdea, backward_input_is_groups, backward_input_groups,
        workspace<gather_groups_workspace>},
       {"narrow", kNarrowIdea, backward_input_is_narrow, backward_input_narrow,
        workspace<backward_input_narrow_workspace>},
       {"winograd_f4x4", kWinogradIdea, backward_input_is_winograd<4>, backward_input_winograd_4,
        winograd_workspace<backward_input_winograd_workspace, 4>},
       {"winograd_f2x2", kWinogradIdea, backward_input_is_winograd<2>, backward_input_winograd_2,
        winograd_workspace<backward_input_winograd_workspace, 2>},
       {"packed", kPackedIdea, backward_input_is_packed, backward_input_packed,
        workspace<backward_input_packed_workspace>},
       {"direct", "a stride-1 convolution of gy for each phase of the stride; bound by multiply-adds",
        backward_input_is_direct, backward_input_direct, workspace<backward_input_direct_workspace>},
       {"im2col_gemm", "BLAS, then windows added back; bound by the product", always<ConvBackwardInput>,
        [](const ConvBackwardInput& p) {
          typed(p, [&]<class T>(T) { backward_input_im2col(p.shape, as<T>(p.gy), as<T>(p.w), as<T>(p.gx), p.add); });
        },
        workspace<backward_input_im2col_workspace<float>, backward_input_im2col_workspace<double>>},
       {"reference", "the definition, in double", always<ConvBackwardInput>, [](const ConvBackwardInput& p) {
          typed(p, [&]<class T>(T) { backward_input_reference(p.shape, as<T>(p.gy), as<T>(p.w), as<T>(p.gx), p.add); });
        }}});
  return list;
}

const Candidates<ConvBackwardWeight>& conv2d_backward_weight() {
  const auto make = [] {
    Candidates<ConvBackwardWeight> list(
        "conv2d.backward_weight",
        {{"lane_groups", kGroupsIdea, backward_weight_is_groups, backward_weight_groups,
          workspace<backward_weight_groups_workspace>},
         {"winograd_f4x4", kWinogradIdea, backward_weight_is_winograd<4>, backward_weight_winograd_4,
          winograd_workspace<backward_weight_winograd_workspace, 4>},
         {"packed", kPackedIdea, backward_weight_is_packed, backward_weight_packed,
          workspace<backward_weight_packed_workspace>},
         {"direct", "outer products in registers over packed pixels; bound by multiply-adds", backward_weight_is_direct,
          backward_weight_direct, workspace<backward_weight_direct_workspace>},
         {"winograd_f2x2", kWinogradIdea, backward_weight_is_winograd<2>, backward_weight_winograd_2,
          winograd_workspace<backward_weight_winograd_workspace, 2>},
         {"im2col_gemm", "windows copied side by side, then BLAS; bound by the product", is_plain<ConvBackwardWeight>,
          [](const ConvBackwardWeight& p) {
            typed(p, [&]<class T>(T) { backward_weight_im2col(p.shape, as<T>(p.x), as<T>(p.gy), as<T>(p.gw)); });
          },
          workspace<backward_weight_im2col_workspace<float>, backward_weight_im2col_workspace<double>>},
         {"reference", "the definition, in double", is_plain<ConvBackwardWeight>, [](const ConvBackwardWeight& p) {
            typed(p, [&]<class T>(T) { backward_weight_reference(p.shape, as<T>(p.x), as<T>(p.gy), as<T>(p.gw)); });
          }}});
    // With eight floats a vector the small tile's transforms take what its products save.
    if (has_wide_vectors()) list.put_before("winograd_f2x2", "packed");
    return list;
  };
  static const Candidates<ConvBackwardWeight> list = make();
  return list;
}

}  // namespace gradus::cpu
