#include "tools/train/report.hpp"

#include <algorithm>
#include <cmath>

#include "data/image.hpp"
#include "data/resize.hpp"
#include "nn/files/atomic_file.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {
namespace {

constexpr const char* kStyle = R"css(
:root { --ink: #1d2433; --dim: #6b7385; --line: #e3e6ec; --card: #fff; --page: #f5f6f9; --a: #2f6fde; --b: #e0662f;
        --c: #2a9d6f; --heat: 47, 111, 222; --bad: 214, 69, 65; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9f0; --dim: #98a1b3; --line: #2d3442; --card: #1b212c; --page: #12161e; --a: #6ea0ff; --b: #ff9466;
          --c: #5fd0a0; --heat: 90, 145, 255; --bad: 240, 100, 95; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 60px }
h1 { font-size: 26px; margin: 0 0 2px } h2 { font-size: 17px; margin: 0 0 12px } p { margin: 0 0 10px }
.dim { color: var(--dim); font-weight: 400 } h2 .dim { font-size: 13px; margin-left: 6px } .num { font-variant-numeric: tabular-nums }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 }
.tile { flex: 1 1 150px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px }
.tile b { display: block; font-size: 24px; font-weight: 650 } .tile span { color: var(--dim); font-size: 13px }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 16px }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 16px 0 0;
          overflow-x: auto }
.grid section { margin: 0 }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--dim); font-size: 11px }
.key { display: inline-flex; align-items: center; gap: 6px; margin-right: 14px; font-size: 13px; color: var(--dim) }
.key i { width: 14px; height: 3px; border-radius: 2px; display: inline-block }
table { border-collapse: collapse; font-size: 13px } td, th { padding: 4px 8px; text-align: right; font-weight: 400 }
th { color: var(--dim) } .matrix td { min-width: 42px; text-align: center; border: 1px solid var(--card) }
.matrix th.up { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 6px 2px }
.filters, .samples { display: flex; flex-wrap: wrap; gap: 8px }
.filters img { width: 48px; height: 48px } img { image-rendering: pixelated; border-radius: 4px; display: block }
.samples figure { margin: 0; width: 112px; font-size: 12px; line-height: 1.35 }
.samples img { width: 112px; height: 112px; object-fit: contain; background: var(--page) }
.config td { text-align: left; border-top: 1px solid var(--line) } .config td:first-child { color: var(--dim) }
)css";

struct Series {
  std::string name, colour;
  std::vector<double> values;
};

/// A step that gives between 3 and 7 ticks over `range`: 1, 2 or 5 times a power of ten.
double tick_step(double range) {
  const double raw = range / 4, power = std::pow(10, std::floor(std::log10(raw)));
  const double lead = raw / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

/// Lines over epochs 1..planned as SVG.
std::string chart(const std::string& title, const std::vector<Series>& all, std::int64_t planned, const char* unit,
                  bool from_zero) {
  constexpr double kWidth = 520, kHeight = 250, kLeft = 52, kRight = 10, kTop = 8, kBottom = 26;
  double low = from_zero ? 0 : 1e300, high = -1e300;
  for (const Series& s : all)
    for (const double v : s.values) low = std::min(low, v), high = std::max(high, v);
  if (!(high > low)) high = low + (low == 0 ? 1 : std::abs(low) * 0.1);
  const double step = tick_step(high - low);
  low = std::floor(low / step) * step;
  high = std::ceil(high / step - 1e-9) * step;
  const auto last = static_cast<double>(std::max<std::int64_t>(planned, 2));
  const auto x = [&](double epoch) { return kLeft + (epoch - 1) / (last - 1) * (kWidth - kLeft - kRight); };
  const auto y = [&](double v) { return kTop + (high - v) / (high - low) * (kHeight - kTop - kBottom); };

  std::string svg = fmt::format("<section><h2>{}</h2><div>", html(title));
  for (const Series& s : all)
    svg += fmt::format("<span class=key><i style=\"background:var({})\"></i>{}</span>", s.colour, html(s.name));
  svg += fmt::format("</div><svg viewBox=\"0 0 {} {}\" role=img aria-label=\"{}\">", kWidth, kHeight, html(title));
  for (double v = low; v <= high + step / 2; v += step)
    svg += fmt::format(
        "<line x1={0} x2={1} y1={2:.1f} y2={2:.1f} stroke=\"var(--line)\" /><text x={3} y={4:.1f} "
        "text-anchor=end>{5:.4g}{6}"
        "</text>",
        kLeft, kWidth - kRight, y(v), kLeft - 6, y(v) + 4, std::abs(v) < step / 2 ? 0 : v, unit);
  const double every = std::max(1.0, tick_step(last));
  for (double e = 1; e <= last; e = e == 1 && every > 1 ? every : e + every)
    svg += fmt::format("<text x={:.1f} y={} text-anchor=middle>{:.0f}</text>", x(e), kHeight - 8, e);
  for (const Series& s : all) {
    std::string points, dots;
    for (std::size_t i = 0; i < s.values.size(); ++i) {
      const double px = x(static_cast<double>(i + 1)), py = y(s.values[i]);
      points += fmt::format("{:.1f},{:.1f} ", px, py);
      dots +=
          fmt::format("<circle cx={:.1f} cy={:.1f} r={} fill=\"var({})\"><title>epoch {}: {} {:.4g}{}</title></circle>",
                      px, py, s.values.size() > 40 ? 2 : 3, s.colour, i + 1, html(s.name), s.values[i], unit);
    }
    svg += fmt::format("<polyline points=\"{}\" fill=none stroke=\"var({})\" stroke-width=2 stroke-linejoin=round />{}",
                       points, s.colour, dots);
  }
  return svg + "</svg></section>";
}

template <class Get>
std::vector<double> column(const std::vector<EpochRecord>& history, Get get) {
  std::vector<double> values;
  for (const EpochRecord& r : history) values.push_back(get(r));
  return values;
}

std::string confusion(const Evaluation& e, const std::vector<std::string>& classes) {
  constexpr std::size_t kTable = 24;  // more classes than that: the worst pairs instead
  const std::size_t n = classes.size();
  const auto count = [&](std::size_t label, std::size_t predicted) { return e.confusion[label * n + predicted]; };
  std::string text = "<section><h2>Confusion matrix <span class=dim>rows: true class, columns: prediction</span></h2>";
  if (n <= kTable) {
    text += "<table class=\"matrix num\"><tr><th></th>";
    for (const std::string& c : classes) text += "<th class=up>" + html(c) + "</th>";
    text += "<th>correct</th></tr>";
    for (std::size_t i = 0; i < n; ++i) {
      std::int64_t row = 0;
      for (std::size_t k = 0; k < n; ++k) row += count(i, k);
      text += "<tr><th>" + html(classes[i]) + "</th>";
      for (std::size_t k = 0; k < n; ++k) {
        const double share = row > 0 ? static_cast<double>(count(i, k)) / static_cast<double>(row) : 0;
        // Mistakes are rare: the root makes them visible.
        text += fmt::format("<td style=\"background:rgba(var(--{}), {:.2f})\">{}</td>", i == k ? "heat" : "bad",
                            0.85 * std::sqrt(share), count(i, k) == 0 ? "" : std::to_string(count(i, k)));
      }
      text += fmt::format("<td>{:.1f} %</td></tr>",
                          row > 0 ? 100 * static_cast<double>(count(i, i)) / static_cast<double>(row) : 0);
    }
    return text + "</table></section>";
  }
  struct Pair {
    std::int64_t count;
    std::size_t label, predicted;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k)
      if (i != k && count(i, k) > 0) pairs.push_back({count(i, k), i, k});
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.count > b.count; });
  if (pairs.size() > 20) pairs.resize(20);
  text += "<p class=dim>The most frequent confusions.</p><table class=num>";
  for (const Pair& p : pairs)
    text += fmt::format("<tr><td>{}</td><td style=\"text-align:left\">{} taken for {}</td></tr>", p.count,
                        html(classes[p.label]), html(classes[p.predicted]));
  return text + "</table></section>";
}

std::string picture(const data::Image& image) { return "data:image/png;base64," + base64(data::encode_png(image)); }

/// The filters of the first convolution that reads an RGB image, each stretched to the full range of colours.
std::string filters(Module& model) {
  constexpr std::int64_t kMost = 128;
  for (const NamedParameter& p : model.named_parameters()) {
    const Tensor& w = *p.parameter;
    if (w.rank() != 4 || w.size(1) != 3 || w.size(2) * w.size(3) == 1) continue;
    const std::vector<float> v = w.to_vector<float>();
    const auto height = static_cast<std::size_t>(w.size(2)), width = static_cast<std::size_t>(w.size(3));
    const std::size_t area = height * width;
    std::string text =
        fmt::format("<section><h2>First-layer filters <span class=dim>{}, {}</span></h2><div class=filters>",
                    html(p.name), html(to_string(w.shape())));
    for (std::int64_t k = 0; k < std::min(kMost, w.size(0)); ++k) {
      const float* filter = v.data() + static_cast<std::size_t>(k) * 3 * area;
      const auto [low, high] = std::minmax_element(filter, filter + 3 * area);
      const float scale = *high > *low ? 255 / (*high - *low) : 0;
      data::Image image;
      image.resize(static_cast<int>(height), static_cast<int>(width));
      for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t i = 0; i < area; ++i)
          image.pixels[i * 3 + c] = static_cast<std::uint8_t>((filter[c * area + i] - *low) * scale);
      text += fmt::format("<img alt=\"filter {}\" src=\"{}\">", k, picture(image));
    }
    return text + "</div></section>";
  }
  return "";
}

std::string sample_gallery(const std::string& title, const std::string& note, const std::vector<Judged>& judged,
                           const data::Dataset& samples, const std::vector<std::string>& classes) {
  constexpr int kSide = 224;  // larger pictures are shrunk
  std::string text = fmt::format("<section><h2>{} <span class=dim>{}</span></h2><div class=samples>", title, note);
  for (const Judged& j : judged) {
    data::Image image;
    if (!samples.get(j.index, image)) continue;
    if (const int longer = std::max(image.height, image.width); longer > kSide) {
      data::Image small;
      data::resize(image, {0, 0, image.height, image.width}, std::max(1, image.height * kSide / longer),
                   std::max(1, image.width * kSide / longer), small);
      image = std::move(small);
    }
    const bool right = j.predicted == j.label;
    text += fmt::format(
        "<figure><img alt=\"\" src=\"{}\" title=\"{}\"><figcaption><b>{}</b><br>{}<span class=dim> {:.0f}&nbsp;%</span>"
        "</figcaption></figure>",
        picture(image), html(samples.origin(j.index)), html(classes[static_cast<std::size_t>(j.label)]),
        right ? "✓" : "→ " + html(classes[static_cast<std::size_t>(j.predicted)]), 100 * j.confidence);
  }
  return text + "</div></section>";
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string base64(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = std::uint32_t{bytes[i]} << 16;
    if (n > 1) word |= std::uint32_t{bytes[i + 1]} << 8;
    if (n > 2) word |= bytes[i + 2];
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? kDigits[word >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

void write_report(const std::string& path, const ReportInput& in, const data::Dataset& samples, Module& model) {
  const EpochRecord& last = in.history.back();
  const EpochRecord& best =
      *std::max_element(in.history.begin(), in.history.end(),
                        [](const EpochRecord& a, const EpochRecord& b) { return a.val_top1 < b.val_top1; });
  double seconds = 0;
  for (const EpochRecord& r : in.history) seconds += r.seconds;

  std::string page = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
      "<title>{0}</title><style>{1}</style><main><h1>{0}</h1><p class=dim>epoch {2} of {3} &middot; {4} parameters "
      "&middot; "
      "{5} validation images</p><div class=\"tiles num\">",
      html(in.title), kStyle, last.epoch, in.epochs, grouped(model.parameter_count()), grouped(in.evaluation.images));
  const auto tile = [&](const std::string& figure, const std::string& what) {
    page += "<div class=tile><b>" + figure + "</b><span>" + what + "</span></div>";
  };
  tile(fmt::format("{:.2f} %", best.val_top1), fmt::format("best top-1, epoch {}", best.epoch));
  tile(fmt::format("{:.2f} %", last.val_top1), "top-1 now");
  tile(fmt::format("{:.2f} %", last.val_top5), "top-5 now");
  tile(fmt::format("{:.4f}", last.val_loss), "validation loss");
  tile(fmt::format("{:.0f}", last.images_per_second), "training images/s");
  tile(duration(seconds), "spent");
  page += "</div><div class=grid>";
  page += chart("Loss",
                {{"training", "--a", column(in.history, [](const EpochRecord& r) { return r.train_loss; })},
                 {"validation", "--b", column(in.history, [](const EpochRecord& r) { return r.val_loss; })}},
                in.epochs, "", true);
  page += chart("Accuracy",
                {{"training top-1", "--a", column(in.history, [](const EpochRecord& r) { return r.train_top1; })},
                 {"validation top-1", "--b", column(in.history, [](const EpochRecord& r) { return r.val_top1; })},
                 {"validation top-5", "--c", column(in.history, [](const EpochRecord& r) { return r.val_top5; })}},
                in.epochs, " %", false);
  page += chart("Learning rate",
                {{"at the epoch's end", "--a", column(in.history, [](const EpochRecord& r) { return r.lr; })}},
                in.epochs, "", true);
  page += chart(
      "Speed",
      {{"training images/s", "--c", column(in.history, [](const EpochRecord& r) { return r.images_per_second; })}},
      in.epochs, "", true);
  page += "</div>";
  page += confusion(in.evaluation, in.classes);
  page += filters(model);
  page += sample_gallery("Worst samples", "validation images with the highest loss: true class, then the prediction",
                         in.evaluation.worst, samples, in.classes);
  page +=
      sample_gallery("Best samples", "validation images with the lowest loss", in.evaluation.best, samples, in.classes);
  page += "<section><h2>Configuration</h2><table class=\"config num\">";
  for (const auto& [key, value] : in.config.items())
    page += fmt::format("<tr><td>{}</td><td>{}</td></tr>", html(key),
                        html(value.is_string() ? value.get<std::string>() : value.dump()));
  page += "</table></section></main></html>\n";
  files::write_file_atomic(path, page);
}

}  // namespace gradus::program
