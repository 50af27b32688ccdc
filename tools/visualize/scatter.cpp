#include "tools/visualize/scatter.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/error.hpp"
#include "data/image.hpp"
#include "nn/files/atomic_file.hpp"
#include "tools/train/page.hpp"

namespace gradus::program {
namespace {

using Colour = std::array<std::uint8_t, 3>;

constexpr int kSide = 720, kMargin = 14, kRadius = 3;

/// The first ten are told apart easily; then hues go round by the golden angle.
Colour colour_of(std::int64_t label) {
  constexpr std::array<Colour, 10> kTen{{{31, 119, 180},
                                         {255, 127, 14},
                                         {44, 160, 44},
                                         {214, 39, 40},
                                         {148, 103, 189},
                                         {140, 86, 75},
                                         {227, 119, 194},
                                         {127, 127, 127},
                                         {188, 189, 34},
                                         {23, 190, 207}}};
  if (label < 10) return kTen[static_cast<std::size_t>(label)];
  const double turn = std::fmod(static_cast<double>(label) * 0.381966, 1.0) * 6.283185307;
  const auto channel = [&](double phase) { return static_cast<std::uint8_t>(130 + 100 * std::cos(turn + phase)); };
  return {channel(0), channel(2.094), channel(4.189)};
}

std::string css(const Colour& c) { return fmt::format("rgb({},{},{})", c[0], c[1], c[2]); }

/// Points brought to the square's pixels, the second coordinate upwards.
std::vector<Point> placed(const std::vector<ScatterPoint>& points) {
  Point low{1e300, 1e300}, high{-1e300, -1e300};
  for (const ScatterPoint& p : points)
    for (std::size_t k = 0; k < 2; ++k) low[k] = std::min(low[k], p.at[k]), high[k] = std::max(high[k], p.at[k]);
  std::vector<Point> out;
  for (const ScatterPoint& p : points) {
    Point at;
    for (std::size_t k = 0; k < 2; ++k) {
      const double share = high[k] > low[k] ? (p.at[k] - low[k]) / (high[k] - low[k]) : 0.5;
      at[k] = kMargin + (k == 0 ? share : 1 - share) * (kSide - 2 * kMargin);
    }
    out.push_back(at);
  }
  return out;
}

data::Image drawn(const std::vector<ScatterPoint>& points) {
  data::Image image;
  image.resize(kSide, kSide);
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{255});
  const std::vector<Point> at = placed(points);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Colour colour = colour_of(points[i].label);
    const int cx = static_cast<int>(std::lround(at[i][0])), cy = static_cast<int>(std::lround(at[i][1]));
    for (int y = cy - kRadius; y <= cy + kRadius; ++y)
      for (int x = cx - kRadius; x <= cx + kRadius; ++x)
        if ((x - cx) * (x - cx) + (y - cy) * (y - cy) <= kRadius * kRadius + 1)
          std::copy(colour.begin(), colour.end(), image.row(y) + x * 3);
  }
  return image;
}

}  // namespace

void write_scatter(const std::string& path, const std::string& title, const std::string& note,
                   const std::vector<ScatterPoint>& points, const std::vector<std::string>& classes) {
  check(!points.empty(), "scatter: there are no points");
  if (path.ends_with(".png")) {
    data::write_png(path, drawn(points));
    return;
  }
  check(path.ends_with(".html"), "--out: the ending of {} is neither .png nor .html", path);
  std::string page = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
      "<title>{0}</title><style>body {{ margin: 2em auto; max-width: 1000px; padding: 0 1em; font: 15px/1.5 system-ui, "
      "sans-serif; color: #1d2433; background: #f5f6f9 }} h1 {{ font-size: 24px; margin: 0 }} p {{ color: #6b7385 }} "
      "svg {{ background: #fff; border: 1px solid #e3e6ec; border-radius: 8px; width: 100%; max-width: 720px }} "
      "span {{ display: inline-flex; align-items: center; gap: 6px; margin: 0 14px 4px 0; font-size: 13px }} "
      "i {{ width: 10px; height: 10px; border-radius: 5px }}</style><h1>{0}</h1><p>{1}</p><div>",
      html(title), html(note));
  std::set<std::int64_t> labels;
  for (const ScatterPoint& p : points) labels.insert(p.label);
  const auto name = [&](std::int64_t label) { return html(classes[static_cast<std::size_t>(label)]); };
  for (const std::int64_t label : labels)
    page += fmt::format("<span><i style=\"background:{}\"></i>{}</span>", css(colour_of(label)), name(label));
  page += fmt::format("</div><svg viewBox=\"0 0 {0} {0}\">", kSide);
  const std::vector<Point> at = placed(points);
  for (std::size_t i = 0; i < points.size(); ++i)
    page += fmt::format("<circle cx={:.1f} cy={:.1f} r=4 fill=\"{}\" fill-opacity=0.8><title>{}: {}</title></circle>",
                        at[i][0], at[i][1], css(colour_of(points[i].label)), name(points[i].label),
                        html(points[i].caption));
  files::write_file_atomic(path, page + "</svg></html>\n");
}

}  // namespace gradus::program
