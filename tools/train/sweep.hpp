#pragma once
// Many training runs by one command: every combination of some settings, each with several seeds.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/device.hpp"
#include "tools/train/compare.hpp"
#include "tools/train/config.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {

/// A setting and the values it takes in turn.
struct SweptSetting {
  std::string key;
  std::vector<nlohmann::json> values;
};
/// "lr=0.05,0.1"; where values hold commas themselves, semicolons stand between them:
/// "schedule=multistep:2,3;cosine". ValueError for a key that is no setting (with the nearest) or is "seed", and for a
/// value of the wrong type.
SweptSetting parse_setting(const std::string& text);

/// One combination of the settings, with its runs.
struct SweptCombination {
  std::string name;                   // "lr=0.05"; "all" where nothing is swept but the seed
  nlohmann::json settings;            // {"lr": 0.05}
  std::vector<Run> runs;              // one for each seed that was trained to the end
  std::vector<std::string> diverged;  // of the others: what was wrong
};

/// Trains all combinations in folders "FOLDER/lr=0.05,seed=1". A run that is finished there is taken as it is, one that
/// was stopped goes on, so that the same call again continues a sweep. A run whose loss became no number is noted and
/// left; other errors end the sweep. Interrupted after Ctrl-C, once the run at work is saved. ValueError where a folder
/// holds another run.
std::vector<SweptCombination> sweep(const TrainConfig& base, const std::vector<SweptSetting>& settings,
                                    const std::vector<std::uint64_t>& seeds, const std::string& folder, Device device,
                                    Progress& progress);

/// The figures: per combination the number of runs and mean and deviation of best and last top-1 and of the validation
/// loss; the runs one by one.
nlohmann::json sweep_figures(const std::vector<SweptCombination>& all);
/// The same as a page. FileError.
void write_sweep_page(const std::string& path, const std::string& title, const std::vector<SweptCombination>& all);

}  // namespace gradus::program
