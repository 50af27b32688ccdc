#include "tools/train/preprocess.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "data/arguments.hpp"
#include "data/pipeline.hpp"

namespace gradus::program {
namespace {

/// As data::Normalization counts: on values 0 … 1, constants in the order red, green, blue.
data::Normalization normalization(const zoo::Preprocessing& p) {
  data::Normalization n;
  n.bgr = p.bgr;
  for (std::size_t c = 0; c < 3; ++c) {
    const std::size_t from = p.bgr ? 2 - c : c;
    // transform_input undoes the mean and deviation and takes 0.5 and 0.5 instead.
    n.mean[c] = static_cast<float>(p.transform_input ? 0.5 : p.mean[from] / p.range);
    n.std[c] = static_cast<float>(p.transform_input ? 0.5 : p.std[from] / p.range);
  }
  return n;
}

/// Equal but for the rounding of their constants.
bool same(const data::Normalization& a, const data::Normalization& b) {
  const auto close = [](float x, float y) { return std::abs(x - y) < 1e-6f; };
  return a.bgr == b.bgr && std::equal(a.mean.begin(), a.mean.end(), b.mean.begin(), close) &&
         std::equal(a.std.begin(), a.std.end(), b.std.begin(), close);
}

std::string text_of(const data::Normalization& n) {
  for (const char* name : {"imagenet", "cifar10", "cifar100", "half", "caffe", "dpn"})
    if (same(n, data::normalization(name))) return fmt::format("normalize({})", name);
  check(!n.bgr, "preprocessing: constants in the order blue, green, red need a name in data/pipeline.hpp");
  return fmt::format("normalize(mean={} {} {}, std={} {} {})", n.mean[0], n.mean[1], n.mean[2], n.std[0], n.std[1],
                     n.std[2]);
}

}  // namespace

std::string pipeline_text(const zoo::Preprocessing& p) {
  std::string text;
  if (p.resize > 0) text += fmt::format("resize({}) | ", p.resize);
  if (p.crop > 0) text += fmt::format("center_crop({}) | ", p.crop);
  return text + text_of(normalization(p));
}

std::string published_preprocessing(const std::string& model) { return pipeline_text(zoo::preprocessing(model)); }

std::string normalization_of(const std::string& pipeline) {
  const std::size_t begin = pipeline.find("normalize"), end = pipeline.find(')', begin);
  if (begin == std::string::npos || end == std::string::npos) return "";
  return pipeline.substr(begin, end - begin + 1);
}

Geometry geometry_of(const std::string& pipeline, std::int64_t size) {
  Geometry g{.resize = 0, .crop = static_cast<int>(size)};
  for (const std::string_view part : data::split(pipeline, '|')) {
    if (part.empty()) continue;
    data::Arguments arguments(part);
    if (arguments.name() == "resize") g.resize = arguments.integers("", 1, 2)[0];
    if (arguments.name() == "center_crop") g.crop = arguments.integers("", 1, 2)[0];
  }
  if (g.resize < g.crop || g.resize == 0) g.resize = g.crop * 8 / 7;
  return g;
}

std::string for_any_picture(const std::string& pipeline, std::int64_t size) {
  if (pipeline.find("resize") != std::string::npos) return pipeline;
  return fmt::format("resize({0} {0}){1}{2}", size, pipeline.empty() ? "" : " | ", pipeline);
}

}  // namespace gradus::program
