#include "tools/train/report.hpp"

#include <algorithm>
#include <cmath>

#include "data/image.hpp"
#include "data/resize.hpp"
#include "nn/files/atomic_file.hpp"
#include "tools/train/chart.hpp"
#include "tools/train/histogram_page.hpp"
#include "tools/train/page.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {
namespace {

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

void write_report(const std::string& path, const ReportInput& in, const data::Dataset& samples, Module& model) {
  const EpochRecord& last = in.history.back();
  const EpochRecord& best =
      *std::max_element(in.history.begin(), in.history.end(),
                        [](const EpochRecord& a, const EpochRecord& b) { return a.val_top1 < b.val_top1; });
  double seconds = 0;
  for (const EpochRecord& r : in.history) seconds += r.seconds;

  std::string page = begin_page(
      in.title, fmt::format("epoch {} of {} &middot; {} parameters &middot; {} validation images", last.epoch,
                            in.epochs, grouped(model.parameter_count()), grouped(in.evaluation.images)));
  page += "<div class=\"tiles num\">";
  const auto tile = [&](const std::string& figure, const std::string& what) {
    page += "<div class=tile><b>" + figure + "</b><span>" + what + "</span></div>";
  };
  tile(fmt::format("{:.2f} %", best.val_top1), fmt::format("best top-1, epoch {}", best.epoch));
  tile(fmt::format("{:.2f} %", last.val_top1), "top-1 now");
  tile(fmt::format("{:.2f} %", last.val_top5), "top-5 now");
  tile(fmt::format("{:.4f}", last.val_loss), "validation loss");
  tile(fmt::format("{:.0f}", last.images_per_second), "training images/s");
  tile(duration(seconds), "spent");
  const auto epochs = static_cast<double>(in.epochs);
  page += "</div><div class=grid>";
  page += chart("Loss",
                {{"training", "var(--a)", column(in.history, [](const EpochRecord& r) { return r.train_loss; })},
                 {"validation", "var(--b)", column(in.history, [](const EpochRecord& r) { return r.val_loss; })}},
                {.last = epochs, .from_zero = true});
  page += chart("Accuracy",
                {{"training top-1", "var(--a)", column(in.history, [](const EpochRecord& r) { return r.train_top1; })},
                 {"validation top-1", "var(--b)", column(in.history, [](const EpochRecord& r) { return r.val_top1; })},
                 {"validation top-5", "var(--c)", column(in.history, [](const EpochRecord& r) { return r.val_top5; })}},
                {.last = epochs, .unit = " %"});
  page += chart("Learning rate",
                {{"at the epoch's end", "var(--a)", column(in.history, [](const EpochRecord& r) { return r.lr; })}},
                {.last = epochs, .from_zero = true});
  page += chart(
      "Speed",
      {{"training images/s", "var(--c)", column(in.history, [](const EpochRecord& r) { return r.images_per_second; })}},
      {.last = epochs, .from_zero = true});
  page += "</div>";
  page += confusion(in.evaluation, in.classes);
  page += filters(model);
  page += histogram_section(in.histograms);
  page += sample_gallery("Worst samples", "validation images with the highest loss: true class, then the prediction",
                         in.evaluation.worst, samples, in.classes);
  page +=
      sample_gallery("Best samples", "validation images with the lowest loss", in.evaluation.best, samples, in.classes);
  page += "<section><h2>Configuration</h2><table class=\"config num\">";
  for (const auto& [key, value] : in.config.items())
    page += fmt::format("<tr><td>{}</td><td>{}</td></tr>", html(key),
                        html(value.is_string() ? value.get<std::string>() : value.dump()));
  page += "</table></section>" + end_page();
  files::write_file_atomic(path, page);
}

}  // namespace gradus::program
