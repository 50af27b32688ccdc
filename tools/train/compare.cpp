#include "tools/train/compare.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "nn/files/atomic_file.hpp"
#include "tools/train/chart.hpp"
#include "tools/train/page.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {

using nlohmann::json;

Run read_run(const std::string& folder) {
  const RunFolder files(folder);
  Run run;
  std::string trimmed = folder;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  run.name = std::filesystem::path(trimmed).filename().string();
  run.history = files.read_log();
  run.config = files.read_config();
  check<FileError>(!run.history.empty(), "{}: the run has finished no epoch yet", folder);
  return run;
}

const EpochRecord& best_epoch(const Run& run) {
  return *std::max_element(run.history.begin(), run.history.end(),
                           [](const EpochRecord& a, const EpochRecord& b) { return a.val_top1 < b.val_top1; });
}

MeanAndDeviation mean_and_deviation(const std::vector<double>& figures) {
  const auto n = static_cast<double>(figures.size());
  if (figures.empty()) return {};
  MeanAndDeviation r;
  for (const double f : figures) r.mean += f / n;
  if (figures.size() == 1) return r;
  for (const double f : figures) r.deviation += (f - r.mean) * (f - r.mean) / (n - 1);
  r.deviation = std::sqrt(r.deviation);
  return r;
}

std::vector<std::string> differing_settings(const std::vector<Run>& runs) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : runs.front().config.items()) {
    if (key == "workers" || key == "threads" || key == "histograms") continue;
    const bool same =
        std::all_of(runs.begin(), runs.end(), [&, &k = key, &v = value](const Run& r) { return r.config.at(k) == v; });
    if (!same) keys.push_back(key);
  }
  return keys;
}

namespace {

std::string shown(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

template <class Get>
std::string curves(const char* title, const std::vector<Run>& runs, ChartOptions options, Get get) {
  std::vector<Series> all;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Series s{runs[i].name, colour_of(i), {}};
    for (const EpochRecord& r : runs[i].history) s.values.push_back(get(r));
    all.push_back(std::move(s));
  }
  return chart(title, all, options);
}

}  // namespace

void write_comparison(const std::string& path, const std::string& title, const std::vector<Run>& runs,
                      const std::string& extra) {
  check(!runs.empty(), "report: there are no runs to compare");
  const std::vector<std::string> keys = differing_settings(runs);
  std::string page = begin_page(title, fmt::format("{} runs", runs.size())) + extra;
  page += "<section><h2>Runs</h2><table class=num><tr><th style=\"text-align:left\">run</th>";
  for (const std::string& key : keys) page += "<th>" + html(key) + "</th>";
  page +=
      "<th>epochs</th><th>best top-1</th><th>in epoch</th><th>last top-1</th><th>last top-5</th><th>validation "
      "loss</th><th>training loss</th><th>images/s</th><th>time</th></tr>";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    const EpochRecord &best = best_epoch(run), &last = run.history.back();
    double seconds = 0;
    for (const EpochRecord& r : run.history) seconds += r.seconds;
    page +=
        fmt::format("<tr><td style=\"text-align:left\"><span class=key><i style=\"background:{}\"></i>{}</span></td>",
                    colour_of(i), html(run.name));
    for (const std::string& key : keys) page += "<td>" + html(shown(run.config.at(key))) + "</td>";
    page += fmt::format(
        "<td>{}</td><td><b>{:.2f} %</b></td><td>{}</td><td>{:.2f} %</td><td>{:.2f} %</td><td>{:.4f}</td><td>{:.4f}</td>"
        "<td>{:.0f}</td><td>{}</td></tr>",
        last.epoch, best.val_top1, best.epoch, last.val_top1, last.val_top5, last.val_loss, last.train_loss,
        last.images_per_second, duration(seconds));
  }
  page += "</table></section><div class=grid style=\"margin-top:16px\">";
  page += curves("Validation top-1", runs, {.unit = " %"}, [](const EpochRecord& r) { return r.val_top1; });
  page += curves("Validation loss", runs, {.from_zero = true}, [](const EpochRecord& r) { return r.val_loss; });
  page += curves("Training loss", runs, {.from_zero = true}, [](const EpochRecord& r) { return r.train_loss; });
  page += curves("Learning rate", runs, {.from_zero = true}, [](const EpochRecord& r) { return r.lr; });
  page += "</div><section><h2>Settings they share</h2><table class=\"config num\">";
  for (const auto& [key, value] : runs.front().config.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      page += fmt::format("<tr><td>{}</td><td>{}</td></tr>", html(key), html(shown(value)));
  files::write_file_atomic(path, page + "</table></section>" + end_page());
}

}  // namespace gradus::program
