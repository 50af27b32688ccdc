// gradus models

#include <nlohmann/json.hpp>

#include "tools/program.hpp"
#include "zoo/summary.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Row {
  const zoo::ModelInfo* info;
  zoo::Summary summary;
};

void models(const std::string& only, bool as_json) {
  std::vector<Row> rows;
  for (const zoo::ModelInfo& info : zoo::models()) {
    if (info.name.find(only) == std::string::npos && info.family.find(only) == std::string::npos) continue;
    rows.push_back({&info, zoo::summarize(info.name)});
  }
  check<UsageError>(!rows.empty(), "models: no name or family contains \"{}\"", only);
  if (as_json) {
    json all = json::array();
    for (const Row& r : rows) {
      json row = {{"name", r.info->name},
                  {"family", r.info->family},
                  {"title", r.info->title},
                  {"year", r.info->year},
                  {"paper", r.info->paper},
                  {"input", r.info->input},
                  {"classes", r.info->classes},
                  {"parameters", r.summary.parameters},
                  {"multiply_adds", r.summary.multiply_adds}};
      if (r.info->top1_error >= 0) row["top1_error"] = r.info->top1_error;
      if (r.info->top5_error >= 0) row["top5_error"] = r.info->top5_error;
      all.push_back(std::move(row));
    }
    fmt::print("{}\n", all.dump());
    return;
  }
  const auto error = [](double e) { return e < 0 ? std::string("-") : fmt::format("{:.2f}", e); };
  fmt::print("{:<28} {:>6} {:>12} {:>14} {:>6} {:>6}  {}\n", "model", "input", "parameters", "multiply-adds", "top-1",
             "top-5", "from");
  for (const Row& r : rows)
    fmt::print("{:<28} {:>6} {:>10.2f} M {:>12.1f} M {:>6} {:>6}  {}\n", r.info->name, r.info->input,
               static_cast<double>(r.summary.parameters) * 1e-6, static_cast<double>(r.summary.multiply_adds) * 1e-6,
               error(r.info->top1_error), error(r.info->top5_error), r.info->paper);
  fmt::print("\ntop-1 and top-5: published errors in per cent (- where there is none)\n");
}

}  // namespace

void add_models(Command app) {
  const Command command = app.add_command("models", "List the networks that can be built", "gradus models resnet");
  auto only = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  command.add_option("filter", *only, "part of a name or family");
  command.add_flag("--json", *as_json, "print one JSON array");
  command.callback([only, as_json] { models(*only, *as_json); });
}

}  // namespace gradus::program
