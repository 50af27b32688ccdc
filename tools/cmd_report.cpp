// gradus report

#include <filesystem>
#include <set>

#include "tools/program.hpp"
#include "tools/train/commands.hpp"
#include "tools/train/compare.hpp"

namespace gradus::program {
namespace {

struct Options {
  std::vector<std::string> folders;
  std::string out = "compare.html";
};

void report(const Options& o) {
  check<UsageError>(o.out.ends_with(".html"), "--out: a page ends in .html, not {}", o.out);
  std::vector<Run> runs;
  std::set<std::string> names;
  bool unique = true;
  for (const std::string& folder : o.folders) {
    runs.push_back(read_run(folder));
    unique &= names.insert(runs.back().name).second;
  }
  if (!unique)  // a/run and b/run
    for (std::size_t i = 0; i < runs.size(); ++i) runs[i].name = o.folders[i];
  write_comparison(
      o.out, runs.size() == 1 ? runs[0].name : fmt::format("{} and {} more", runs[0].name, runs.size() - 1), runs);
  for (const Run& run : runs)
    fmt::print("{:<32} best top-1 {:.2f} % in epoch {} of {}\n", run.name, best_epoch(run).val_top1,
               best_epoch(run).epoch, run.history.back().epoch);
  fmt::print("{}\n", o.out);
}

}  // namespace

void add_report(Command app) {
  const Command command =
      app.add_command("report", "Compare training runs in one page", "gradus report runs/a runs/b -o compare.html");
  auto o = std::make_shared<Options>();
  command.add_option("runs", o->folders, "folders of runs").required();
  command.add_option("-o,--out", o->out, "the page").show_default();
  command.callback([o] { report(*o); });
}

}  // namespace gradus::program
