#include "tools/train/chart.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/train/glyphs.hpp"
#include "tools/train/page.hpp"

namespace gradus::program {
namespace {

/// A step that gives between 3 and 7 ticks over `range`: 1, 2 or 5 times a power of ten.
double tick_step(double range) {
  const double raw = range / 4, power = std::pow(10, std::floor(std::log10(raw)));
  const double lead = raw / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

double at(const Series& s, std::size_t i) { return s.at.empty() ? static_cast<double>(i + 1) : s.at[i]; }

/// The x axis: where a number lies, 0 … 1, and the ticks.
struct Axis {
  double low, high;
  bool log;
  double place(double v) const {
    return log ? (std::log10(v) - std::log10(low)) / (std::log10(high) - std::log10(low)) : (v - low) / (high - low);
  }
  std::vector<double> ticks() const {
    std::vector<double> all;
    if (log) {
      for (double v = std::pow(10, std::ceil(std::log10(low) - 1e-9)); v <= high * 1.0001; v *= 10) all.push_back(v);
      return all;
    }
    const double every = std::max(1.0, tick_step(high));
    for (double v = low; v <= high; v = v == low && every > 1 ? every : v + every) all.push_back(v);
    return all;
  }
};

Axis axis_of(const std::vector<Series>& all, const ChartOptions& o) {
  Axis axis{o.log_x ? 1e300 : 1, o.log_x ? 0 : std::max(2.0, o.last), o.log_x};
  for (const Series& s : all)
    for (std::size_t i = 0; i < s.values.size(); ++i) {
      axis.low = std::min(axis.low, at(s, i));
      axis.high = std::max(axis.high, at(s, i));
    }
  if (o.log_x && !(axis.high > axis.low)) axis.low = axis.high / 10;
  return axis;
}

/// The y axis: from `low` to `high` in ticks of `step`.
struct Scale {
  double low, high, step;
  double place(double v) const { return (v - low) / (high - low); }
  std::vector<double> ticks() const {
    std::vector<double> all;
    for (double v = low; v <= high + step / 2; v += step) all.push_back(std::abs(v) < step / 2 ? 0 : v);
    return all;
  }
};

Scale scale_of(const std::vector<Series>& all, const ChartOptions& o) {
  double low = o.from_zero ? 0 : 1e300, high = -1e300;
  for (const Series& s : all)
    for (const double v : s.values)
      if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  if (low > high) low = high = 0;  // nothing to draw
  if (!(high > low)) high = low + (low == 0 ? 1 : std::abs(low) * 0.1);
  const double step = tick_step(high - low);
  return {std::floor(low / step) * step, std::ceil(high / step - 1e-9) * step, step};
}

// Pictures.

using Colour = std::array<std::uint8_t, 3>;
constexpr Colour kInk{29, 36, 51}, kDim{107, 115, 133}, kLine{227, 230, 236};
constexpr std::array<Colour, 3> kInks{{{47, 111, 222}, {224, 102, 47}, {42, 157, 111}}};

class Canvas {
 public:
  Canvas(int height, int width) {
    image_.resize(height, width);
    std::fill(image_.pixels.begin(), image_.pixels.end(), std::uint8_t{255});
  }
  void box(double x, double y, double width, double height, const Colour& colour) {
    for (int row = std::max(0, static_cast<int>(y)); row < std::min<double>(image_.height, y + height); ++row)
      for (int column = std::max(0, static_cast<int>(x)); column < std::min<double>(image_.width, x + width); ++column)
        std::copy(colour.begin(), colour.end(), image_.row(row) + column * 3);
  }
  void line(double x0, double y0, double x1, double y1, const Colour& colour) {
    const double length = std::max(1.0, std::hypot(x1 - x0, y1 - y0));
    for (double t = 0; t <= length; t += 0.5)
      box(x0 + (x1 - x0) * t / length - 1, y0 + (y1 - y0) * t / length - 1, 3, 3, colour);
  }
  /// (x, y) is the text's upper left corner; `align` -1 puts the right end there, 0 the middle.
  void text(double x, double y, const std::string& text, const Colour& colour, int align = 1) {
    const double width = kPixel * kGlyphAdvance * static_cast<double>(text.size());
    x -= align < 0 ? width : align == 0 ? width / 2 : 0;
    for (const char c : text) {
      const Glyph& glyph = glyph_of(c);
      for (std::size_t column = 0; column < glyph.size(); ++column)
        for (int row = 0; row < 8; ++row)
          if (glyph[column] >> row & 1)
            box(std::floor(x) + static_cast<double>(column) * kPixel, y + row * kPixel, kPixel, kPixel, colour);
      x += kPixel * kGlyphAdvance;
    }
  }
  data::Image take() { return std::move(image_); }

 private:
  static constexpr double kPixel = 2;  // of a glyph
  data::Image image_;
};

}  // namespace

std::string chart(const std::string& title, const std::vector<Series>& all, const ChartOptions& o) {
  constexpr double kWidth = 520, kHeight = 250, kLeft = 52, kRight = 10, kTop = 8, kBottom = 26;
  const Scale scale = scale_of(all, o);
  const Axis axis = axis_of(all, o);
  const auto x = [&](double v) { return kLeft + axis.place(v) * (kWidth - kLeft - kRight); };
  const auto y = [&](double v) { return kTop + (1 - scale.place(v)) * (kHeight - kTop - kBottom); };

  std::string svg = fmt::format("<section><h2>{}</h2><div>", html(title));
  for (const Series& s : all)
    svg += fmt::format("<span class=key><i style=\"background:{}\"></i>{}</span>", s.colour, html(s.name));
  svg += fmt::format("</div><svg viewBox=\"0 0 {} {}\" role=img aria-label=\"{}\">", kWidth, kHeight, html(title));
  for (const double v : scale.ticks())
    svg += fmt::format(
        "<line x1={0} x2={1} y1={2:.1f} y2={2:.1f} stroke=\"var(--line)\" /><text x={3} y={4:.1f} "
        "text-anchor=end>{5:.4g}{6}"
        "</text>",
        kLeft, kWidth - kRight, y(v), kLeft - 6, y(v) + 4, v, o.unit);
  for (const double v : axis.ticks())
    svg += fmt::format("<text x={:.1f} y={} text-anchor=middle>{:.4g}</text>", x(v), kHeight - 8, v);
  if (o.mark > 0)
    svg += fmt::format("<line x1={0:.1f} x2={0:.1f} y1={1} y2={2} stroke=\"var(--b)\" stroke-dasharray=\"4 3\" />",
                       x(o.mark), kTop, kHeight - kBottom);
  for (const Series& s : all) {
    std::string points, dots;
    for (std::size_t i = 0; i < s.values.size(); ++i) {
      if (!std::isfinite(s.values[i])) continue;
      const double px = x(at(s, i)), py = y(s.values[i]);
      points += fmt::format("{:.1f},{:.1f} ", px, py);
      dots += fmt::format("<circle cx={:.1f} cy={:.1f} r={} fill=\"{}\"><title>{:.4g}: {} {:.4g}{}</title></circle>",
                          px, py, s.values.size() > 40 ? 2 : 3, s.colour, at(s, i), html(s.name), s.values[i], o.unit);
    }
    svg += fmt::format("<polyline points=\"{}\" fill=none stroke=\"{}\" stroke-width=2 stroke-linejoin=round />{}",
                       points, s.colour, dots);
  }
  return svg + "</svg></section>";
}

data::Image plot(const std::string& title, const std::vector<Series>& all, const ChartOptions& o) {
  constexpr double kWidth = 1040, kHeight = 500, kLeft = 120, kRight = 30, kTop = 60, kBottom = 50;
  const Scale scale = scale_of(all, o);
  const Axis axis = axis_of(all, o);
  const auto x = [&](double v) { return kLeft + axis.place(v) * (kWidth - kLeft - kRight); };
  const auto y = [&](double v) { return kTop + (1 - scale.place(v)) * (kHeight - kTop - kBottom); };
  Canvas canvas(static_cast<int>(kHeight), static_cast<int>(kWidth));
  canvas.text(kLeft, 16, title, kInk);
  double key = kWidth - kRight;
  for (std::size_t i = all.size(); i-- > 0;) {
    canvas.text(key, 16, all[i].name, kInks[i % kInks.size()], -1);
    key -= 12 * static_cast<double>(all[i].name.size() + 2);
  }
  for (const double v : scale.ticks()) {
    canvas.box(kLeft, y(v), kWidth - kLeft - kRight, 1, kLine);
    canvas.text(kLeft - 12, y(v) - 7, fmt::format("{:.4g}{}", v, o.unit), kDim, -1);
  }
  for (const double v : axis.ticks()) {
    canvas.box(x(v), kTop, 1, kHeight - kTop - kBottom, kLine);
    canvas.text(x(v), kHeight - kBottom + 14, fmt::format("{:.4g}", v), kDim, 0);
  }
  if (o.mark > 0)
    for (double row = kTop; row < kHeight - kBottom; row += 14) canvas.box(x(o.mark), row, 2, 8, kInks[1]);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Series& s = all[i];
    for (std::size_t k = 1; k < s.values.size(); ++k)
      if (std::isfinite(s.values[k - 1]) && std::isfinite(s.values[k]))
        canvas.line(x(at(s, k - 1)), y(s.values[k - 1]), x(at(s, k)), y(s.values[k]), kInks[i % kInks.size()]);
  }
  return canvas.take();
}

std::string colour_of(std::size_t i) {
  constexpr std::array kColours{"var(--a)", "var(--b)", "var(--c)"};
  if (i < kColours.size()) return kColours[i];
  // Hues a golden angle apart never meet.
  return fmt::format("hsl({:.0f}, 60%, 55%)", std::fmod(static_cast<double>(i) * 137.5, 360));
}

}  // namespace gradus::program
