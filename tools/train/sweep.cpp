#include "tools/train/sweep.hpp"

#include <filesystem>
#include <fstream>
#include <optional>

#include "data/arguments.hpp"
#include "nn/files/atomic_file.hpp"
#include "tools/train/page.hpp"
#include "tools/train/trainer.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

/// Settings that change nothing that is computed.
json computed(const TrainConfig& config) {
  json j = config;
  for (const char* key : {"workers", "threads", "histograms", "data_dir"}) j.erase(key);
  return j;
}

std::string text_of(const json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  for (char& c : text)
    if (c == '/') c = '_';
  return text;
}

/// The next combination in `at`, one place to each setting; false after the last.
bool advance(std::vector<std::size_t>& at, const std::vector<SweptSetting>& settings) {
  for (std::size_t i = at.size(); i-- > 0;) {
    if (++at[i] < settings[i].values.size()) return true;
    at[i] = 0;
  }
  return false;
}

/// Trains, or goes on to train, one run. What was wrong if its loss became no number.
std::optional<std::string> train_one(const TrainConfig& config, const RunFolder& folder, Device device,
                                     Progress& progress) {
  const std::string note = folder.file("diverged.txt");
  if (folder.has_config()) {
    check(computed(folder.read_config()) == computed(config),
          "sweep: {} holds a run with other settings; --out names another folder", folder.path());
    if (std::ifstream in(note); in.good()) return std::string(std::istreambuf_iterator<char>(in), {});
  }
  const bool begun = folder.has_config() && folder.has_checkpoint();
  if (begun && std::ssize(folder.read_log()) >= config.epochs) return {};
  Trainer trainer(config, device);
  folder.prepare(trainer.disk_bytes());
  if (begun) {
    trainer.resume(folder);
  } else {
    folder.discard();
    folder.write_config(config);
  }
  try {
    trainer.run(folder, progress);
  } catch (const Diverged& error) {
    files::write_file_atomic(note, std::string(error.what()));
    return error.what();
  }
  return {};
}

}  // namespace

SweptSetting parse_setting(const std::string& text) {
  const std::size_t sign = text.find('=');
  check(sign != text.npos && sign > 0 && sign + 1 < text.size(),
        "--set: takes KEY=VALUE,VALUE,… such as lr=0.05,0.1, got \"{}\"", text);
  SweptSetting setting;
  setting.key = text.substr(0, sign);
  for (char& c : setting.key)
    if (c == '-') c = '_';
  check(setting.key != "seed", "--set seed: seeds are --seeds 1,2,3");
  const json defaults = TrainConfig{};
  const std::string values = text.substr(sign + 1);
  for (const std::string_view part : data::split(values, values.find(';') == values.npos ? ',' : ';')) {
    if (part.empty()) continue;  // after a semicolon that only says that commas do not separate
    json value = std::string(part);
    if (defaults.contains(setting.key) && !defaults.at(setting.key).is_string()) {
      json number = json::parse(part, nullptr, false);
      if (!number.is_discarded()) value = std::move(number);
    }
    (void)changed_by({}, {{setting.key, value}}, "--set");
    setting.values.push_back(std::move(value));
  }
  return setting;
}

std::vector<SweptCombination> sweep(const TrainConfig& base, const std::vector<SweptSetting>& settings,
                                    const std::vector<std::uint64_t>& seeds, const std::string& folder, Device device,
                                    Progress& progress) {
  std::size_t runs = seeds.size(), number = 0;
  for (const SweptSetting& s : settings) runs *= s.values.size();
  std::vector<SweptCombination> all;
  std::vector<std::size_t> at(settings.size(), 0);
  do {
    SweptCombination c;
    c.settings = json::object();
    for (std::size_t i = 0; i < settings.size(); ++i) {
      const json& value = settings[i].values[at[i]];
      c.settings[settings[i].key] = value;
      c.name += (i > 0 ? "," : "") + settings[i].key + "=" + text_of(value);
    }
    for (const std::uint64_t seed : seeds) {
      TrainConfig config = changed_by(base, c.settings, "--set");
      config.seed = seed;
      const std::string name = fmt::format("{}{}seed={}", c.name, c.name.empty() ? "" : ",", seed);
      progress.line(fmt::format("run {} of {}: {}", ++number, runs, name));
      const RunFolder run((std::filesystem::path(folder) / name).string());
      if (const std::optional<std::string> wrong = train_one(config, run, device, progress))
        c.diverged.push_back(fmt::format("seed {}: {}", seed, *wrong));
      else
        c.runs.push_back(read_run(run.path()));
    }
    if (c.name.empty()) c.name = "all";
    all.push_back(std::move(c));
  } while (advance(at, settings));
  return all;
}

namespace {

/// Best and last top-1 and last validation loss of a combination's runs.
struct Figures {
  MeanAndDeviation best, last, loss;
};
Figures figures_of(const SweptCombination& c) {
  std::vector<double> best, last, loss;
  for (const Run& run : c.runs) {
    best.push_back(best_epoch(run).val_top1);
    last.push_back(run.history.back().val_top1);
    loss.push_back(run.history.back().val_loss);
  }
  return {mean_and_deviation(best), mean_and_deviation(last), mean_and_deviation(loss)};
}

json figure(const MeanAndDeviation& f) { return {{"mean", f.mean}, {"deviation", f.deviation}}; }

}  // namespace

json sweep_figures(const std::vector<SweptCombination>& all) {
  json rows = json::array();
  for (const SweptCombination& c : all) {
    json row{{"name", c.name}, {"settings", c.settings}, {"runs", json::array()}, {"diverged", c.diverged}};
    if (!c.runs.empty()) {
      const Figures f = figures_of(c);
      row["best_top1"] = figure(f.best);
      row["last_top1"] = figure(f.last);
      row["val_loss"] = figure(f.loss);
    }
    for (const Run& run : c.runs)
      row["runs"].push_back({{"seed", run.config.at("seed")},
                             {"folder", run.name},
                             {"best_top1", best_epoch(run).val_top1},
                             {"last_top1", run.history.back().val_top1}});
    rows.push_back(std::move(row));
  }
  return rows;
}

void write_sweep_page(const std::string& path, const std::string& title, const std::vector<SweptCombination>& all) {
  std::string table =
      "<section><h2>Mean and deviation <span class=dim>over the seeds; the best epoch was chosen on the validation "
      "data "
      "itself</span></h2><table class=num><tr><th style=\"text-align:left\">settings</th><th>runs</th><th>best "
      "top-1</th><th>last top-1</th><th>validation loss</th><th>diverged</th></tr>";
  std::vector<Run> runs;
  for (const SweptCombination& c : all) {
    table += fmt::format("<tr><td style=\"text-align:left\">{}</td><td>{}</td>", html(c.name), c.runs.size());
    if (c.runs.empty()) {
      table += "<td></td><td></td><td></td>";
    } else {
      const auto [best, last, loss] = figures_of(c);
      table += fmt::format("<td><b>{:.2f} ± {:.2f} %</b></td><td>{:.2f} ± {:.2f} %</td><td>{:.4f} ± {:.4f}</td>",
                           best.mean, best.deviation, last.mean, last.deviation, loss.mean, loss.deviation);
    }
    table += fmt::format("<td>{}</td></tr>", c.diverged.empty() ? "" : std::to_string(c.diverged.size()));
    runs.insert(runs.end(), c.runs.begin(), c.runs.end());
  }
  table += "</table></section>";
  if (runs.empty())
    files::write_file_atomic(path, begin_page(title, "every run diverged") + table + end_page());
  else
    write_comparison(path, title, runs, table);
}

}  // namespace gradus::program
