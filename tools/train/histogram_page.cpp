#include "tools/train/histogram_page.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "tools/train/page.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

constexpr double kWidth = 200, kHeight = 34;

std::string picture(const std::string& inside) {
  return fmt::format("<svg viewBox=\"0 0 {0} {1}\" style=\"width:{0}px;height:{1}px\">{2}</svg>", kWidth, kHeight,
                     inside);
}

/// Bars whose height is the root of the count: single outliers stay visible beside the bulk.
std::string bars(const json& layer, const char* colour) {
  const auto counts = layer.at("counts").get<std::vector<double>>();
  if (counts.empty()) return "";
  const double most = std::sqrt(*std::max_element(counts.begin(), counts.end()));
  const double width = kWidth / static_cast<double>(counts.size());
  std::string inside;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const double height = std::max(1.0, std::sqrt(counts[i]) / most * kHeight);
    inside += fmt::format("<rect x={:.1f} y={:.1f} width={:.1f} height={:.1f} fill=\"{}\" />",
                          static_cast<double>(i) * width, kHeight - height, width * 0.9, height, colour);
  }
  return picture(inside);
}

/// The deviation of the layer at place `i` of `kind`, epoch by epoch; the scale is logarithmic.
std::string spread(const std::vector<json>& epochs, const char* kind, std::size_t i) {
  std::vector<double> logs;
  for (const json& epoch : epochs)
    if (epoch.at(kind).size() > i)
      logs.push_back(std::log10(std::max(1e-30, epoch.at(kind)[i].at("deviation").get<double>())));
  if (logs.size() < 2) return "";
  const auto [low, high] = std::minmax_element(logs.begin(), logs.end());
  const double middle = (*low + *high) / 2, range = std::max(1.0, *high - *low);  // a decade at least
  std::string points;
  for (std::size_t k = 0; k < logs.size(); ++k)
    points += fmt::format("{:.1f},{:.1f} ", static_cast<double>(k) / static_cast<double>(logs.size() - 1) * kWidth,
                          kHeight / 2 - (logs[k] - middle) / range * (kHeight - 4));
  return picture("<polyline points=\"" + points + "\" fill=none stroke=\"var(--c)\" stroke-width=2 />");
}

std::string table(const std::vector<json>& epochs, const char* kind, const char* title, const char* colour) {
  std::string text = fmt::format(
      "<section><h2>{} <span class=dim>epoch {}, last step; heights are roots of counts; spread over the epochs, a "
      "decade or more from bottom to top</span></h2><table class=num><tr><th>layer</th><th>distribution</th>"
      "<th>least</th><th>most</th><th>mean</th><th>deviation</th><th>zero</th><th>spread</th></tr>",
      title, epochs.back().at("epoch").get<int>());
  const json& layers = epochs.back().at(kind);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const json& layer = layers[i];
    const auto number = [&](const char* key) { return layer.at(key).get<double>(); };
    const double all = std::max(1.0, number("count"));
    text += fmt::format(
        "<tr><td style=\"text-align:left\">{}{}</td><td>{}</td><td>{:.3g}</td><td>{:.3g}</td><td>{:.3g}</td>"
        "<td>{:.3g}</td><td>{:.1f} %</td><td>{}</td></tr>",
        html(layer.at("name").get<std::string>()),
        number("not_finite") > 0 ? fmt::format(" ({} not finite)", number("not_finite")) : "", bars(layer, colour),
        number("least"), number("most"), number("mean"), number("deviation"), 100 * number("zeros") / all,
        spread(epochs, kind, i));
  }
  return text + "</table></section>";
}

}  // namespace

std::string histogram_section(const std::vector<json>& epochs) {
  if (epochs.empty()) return "";
  return table(epochs, "activations", "Activations", "var(--a)") + table(epochs, "gradients", "Gradients", "var(--b)");
}

}  // namespace gradus::program
