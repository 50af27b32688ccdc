#pragma once
// Convolutions of every kind, small, for the tests of their kernels.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/random.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"

namespace gradus::convolutions {

struct Case {
  const char* name;
  Shape x;
  Shape weight;
  Conv2dOptions options;
};

inline const Case kCases[] = {
    {"3x3, same size", {2, 16, 8, 8}, {16, 16, 3, 3}, {.padding = 1}},
    {"3x3, odd sizes", {3, 5, 9, 7}, {6, 5, 3, 3}, {.padding = 1}},
    {"3x3 stride 2", {3, 16, 9, 7}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}},
    {"3x3 stride 2, even size", {2, 32, 8, 8}, {64, 32, 3, 3}, {.stride = 2, .padding = 1}},
    {"3x3 no padding", {2, 24, 6, 10}, {20, 24, 3, 3}, {}},
    {"first layer 3x3", {2, 3, 11, 13}, {16, 3, 3, 3}, {.padding = 1}},
    {"first layer 7x7 stride 2", {2, 3, 23, 19}, {20, 3, 7, 7}, {.stride = 2, .padding = 3}},
    {"first layer 11x11 stride 4", {1, 3, 35, 40}, {24, 3, 11, 11}, {.stride = 4, .padding = 2}},
    {"1x1", {2, 40, 5, 7}, {33, 40, 1, 1}, {}},
    {"1x1 deep", {1, 300, 7, 7}, {200, 300, 1, 1}, {}},
    {"1x1, panels cut at every end", {3, 70, 13, 11}, {131, 70, 1, 1}, {}},
    {"1x1 stride 2, panels", {2, 300, 15, 14}, {84, 300, 1, 1}, {.stride = 2}},
    {"3x3 of large weights", {1, 261, 6, 5}, {517, 261, 3, 3}, {.padding = 1}},
    {"3x3 of large weights, stride 2, dilation 2",
     {1, 256, 9, 8},
     {512, 256, 3, 3},
     {.stride = 2, .padding = 2, .dilation = 2}},
    {"1x1 stride 2", {2, 24, 6, 7}, {40, 24, 1, 1}, {.stride = 2}},
    {"1x1 with padding", {2, 8, 3, 3}, {8, 8, 1, 1}, {.padding = 1}},
    {"1x7 and its padding", {2, 12, 9, 9}, {10, 12, 1, 7}, {.padding = {0, 3}}},
    {"window of one column, two strides", {2, 17, 10, 4}, {33, 17, 3, 1}, {.stride = {2, 1}, .padding = {1, 0}}},
    {"stride above the window", {2, 8, 7, 7}, {8, 8, 2, 2}, {.stride = 3}},
    {"dilation 2", {2, 8, 12, 12}, {12, 8, 3, 3}, {.padding = 2, .dilation = 2}},
    {"dilation and stride", {2, 6, 12, 11}, {5, 6, 3, 3}, {.stride = 2, .padding = 2, .dilation = {2, 3}}},
    {"few channels dilated", {1, 3, 12, 12}, {8, 3, 3, 3}, {.padding = 2, .dilation = 2}},
    {"padding beyond the window", {1, 4, 3, 3}, {8, 4, 3, 3}, {.padding = 4}},
    {"2 groups", {2, 32, 9, 9}, {48, 16, 3, 3}, {.padding = 1, .groups = 2}},
    {"8 groups of 4", {2, 32, 7, 9}, {32, 4, 3, 3}, {.padding = 1, .groups = 8}},
    {"9 groups of 4, stride 2", {2, 36, 8, 9}, {36, 4, 3, 3}, {.stride = 2, .padding = 1, .groups = 9}},
    {"5 groups of 8, stride 2", {2, 40, 11, 37}, {40, 8, 3, 3}, {.stride = 2, .padding = 1, .groups = 5}},
    {"4 groups of 8", {2, 32, 6, 6}, {32, 8, 3, 3}, {.padding = 1, .groups = 4}},
    {"6 groups of 4, wide", {1, 24, 5, 31}, {24, 4, 3, 3}, {.padding = 1, .groups = 6}},
    {"4 groups of 4, stride 2, wide", {1, 16, 7, 33}, {16, 4, 3, 3}, {.stride = 2, .padding = 1, .groups = 4}},
    {"5 groups of 8, no padding", {1, 40, 6, 16}, {40, 8, 3, 3}, {.groups = 5}},
    {"4 groups of 8, padding 2", {1, 32, 4, 12}, {32, 8, 3, 3}, {.padding = 2, .groups = 4}},
    {"4 groups of 8, 3x2", {1, 32, 5, 9}, {32, 8, 3, 2}, {.padding = 1, .groups = 4}},
    {"3 groups of 16", {2, 48, 5, 14}, {48, 16, 3, 3}, {.padding = 1, .groups = 3}},
    {"2 groups of 16, stride 2", {1, 32, 9, 17}, {32, 16, 3, 3}, {.stride = 2, .padding = 1, .groups = 2}},
    {"2 groups of 16, narrow", {1, 32, 3, 3}, {32, 16, 3, 3}, {.padding = 1, .groups = 2}},
    {"3 groups, uneven channels", {1, 6, 8, 8}, {9, 2, 3, 3}, {.padding = 1, .groups = 3}},
    {"depthwise", {2, 24, 9, 8}, {24, 1, 3, 3}, {.padding = 1, .groups = 24}},
    {"depthwise 5x5 stride 2, 13 channels", {2, 13, 9, 8}, {13, 1, 5, 5}, {.stride = 2, .padding = 2, .groups = 13}},
    {"depthwise with two outputs per channel", {1, 10, 6, 6}, {20, 1, 3, 3}, {.padding = 1, .groups = 10}},
    {"1-sized everything", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {"one channel", {2, 1, 5, 5}, {1, 1, 3, 3}, {.padding = 1}},
    {"window as large as the input", {2, 20, 5, 4}, {30, 20, 5, 4}, {}},
    {"wide, several bands of rows", {1, 64, 40, 48}, {16, 64, 3, 3}, {.padding = 1}},
    {"deep, several stretches of depth", {1, 260, 5, 5}, {40, 260, 3, 3}, {.padding = 1}},
    {"many pixels, edges cut tiles", {5, 32, 17, 15}, {64, 32, 3, 3}, {.padding = 1}},
    {"many pixels, no padding", {6, 48, 18, 16}, {32, 48, 3, 3}, {}},
    {"many pixels, padding 2 and 0", {5, 32, 17, 16}, {48, 32, 3, 3}, {.padding = {2, 0}}},
    {"few outputs, wide rows", {2, 19, 5, 37}, {12, 19, 1, 3}, {.padding = {0, 1}}},
    {"few outputs, all of the padding", {2, 7, 4, 21}, {3, 7, 3, 3}, {.padding = 2}},
    {"few outputs, no padding, several bands", {2, 33, 40, 27}, {4, 33, 3, 3}, {}},
    {"few inputs, taller window", {1, 4, 12, 9}, {21, 4, 5, 3}, {.padding = {1, 1}}},
    {"five vectors of outputs", {2, 20, 9, 9}, {76, 20, 3, 3}, {.padding = 1}},
    {"empty batch", {0, 4, 4, 4}, {4, 4, 3, 3}, {.padding = 1}},
};

inline Tensor random(const Shape& shape, DType dtype, std::uint64_t seed, Format format = Format::channels_last) {
  Generator generator{seed, 0};
  Tensor x = empty(shape, {.dtype = dtype, .format = format});
  uniform_(x, -1, 1, generator);
  return x;
}

inline double largest(const Tensor& x) {
  double m = 0;
  for (double v : x.to_vector<double>()) m = std::max(m, std::isfinite(v) ? std::abs(v) : HUGE_VAL);
  return m;
}

/// Largest difference over the largest value.
inline double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  double m = 0;
  for (std::size_t i = 0; i < u.size(); ++i) m = std::max(m, std::isfinite(u[i]) ? std::abs(u[i] - v[i]) : HUGE_VAL);
  return m / std::max(largest(b), 1e-30);
}

inline Shape output_shape(const Case& c) {
  const Conv2dOptions& o = c.options;
  return {c.x[0], c.weight[0], conv_output(c.x[2], c.weight[2], o.stride.h, o.padding.h, o.dilation.h),
          conv_output(c.x[3], c.weight[3], o.stride.w, o.padding.w, o.dilation.w)};
}

inline ConvShape conv_shape(const Case& c) {
  const Conv2dOptions& o = c.options;
  const Shape y = output_shape(c);
  return {c.x[0], c.x[1],     c.x[2],     c.x[3],      c.weight[0], c.weight[2],  c.weight[3],  y[2],
          y[3],   o.stride.h, o.stride.w, o.padding.h, o.padding.w, o.dilation.h, o.dilation.w, o.groups};
}

}  // namespace gradus::convolutions
