// gradus data

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/cifar.hpp"
#include "data/download.hpp"
#include "data/image.hpp"
#include "data/shapes.hpp"
#include "tools/program.hpp"
#include "tools/train/data_sets.hpp"
#include "tools/train/interrupt.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// ---- download ----

void download(const std::string& name, const std::string& folder) {
  check<UsageError>(name == "cifar10" || name == "cifar100", "data download: knows cifar10 and cifar100, not \"{}\"",
                    name);
  const data::Cifar kind = name == "cifar10" ? data::Cifar::k10 : data::Cifar::k100;
  const InterruptGuard interrupt;
  Progress progress;
  std::int64_t expected = 0;
  data::download_cifar(kind, folder, [&](std::int64_t done, std::int64_t total) {
    if (total != expected) progress.begin("downloading " + name, expected = total, done);
    const auto megabytes = [](std::int64_t bytes) { return static_cast<double>(bytes) * 1e-6; };
    progress.update(done, fmt::format("{:.0f} of {:.0f} MB  {} left", megabytes(done), megabytes(total),
                                      duration(progress.seconds_left(done))));
    return !interrupt.asked();
  });
  progress.end();
  fmt::print("{}\n", (fs::path(folder) / data::published(kind).folder).string());
}

// ---- make ----

struct MakeOptions {
  std::string out;
  std::int64_t train = 20'000, test = 2'000;
  std::uint64_t seed = 0;
};

void make(const MakeOptions& o) {
  reading_options([&] {
    const data::Shapes train({.size = o.train, .seed = o.seed}), test({.size = o.test, .train = false, .seed = o.seed});
    data::write_cifar10(o.out, train, test);
  });
  fmt::print("{}: {} training and {} test images; use them with --data cifar10 --data-dir {}\n", o.out,
             grouped(o.train), grouped(o.test), o.out);
}

// ---- inspect ----

struct InspectOptions {
  DataRequest request;
  std::string out;
  bool as_json = false;
};

struct Colours {
  std::array<double, 3> mean{}, std{};
};

/// Mean and standard deviation of the channels over at most `most` samples, as shares of white.
Colours measure_colours(const data::Dataset& set, std::int64_t most) {
  std::array<double, 3> sum{}, squares{};
  double pixels = 0;
  const std::int64_t n = std::min(most, set.size());
  data::Image image;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!set.get(i * set.size() / n, image)) continue;
    for (std::size_t k = 0; k < image.pixels.size(); ++k) {
      const double v = image.pixels[k] / 255.0;
      sum[k % 3] += v;
      squares[k % 3] += v * v;
    }
    pixels += static_cast<double>(image.pixels.size()) / 3;
  }
  Colours c;
  for (std::size_t k = 0; k < 3; ++k) {
    c.mean[k] = sum[k] / pixels;
    c.std[k] = std::sqrt(std::max(0.0, squares[k] / pixels - c.mean[k] * c.mean[k]));
  }
  return c;
}

/// A sheet of samples, a class to a row: as they are on the left, as training sees them on the right.
void write_sheet(const std::string& path, const DataSets& sets, const data::Dataset& set) {
  constexpr int kColumns = 8, kRows = 16, kGap = 2;
  const int side = static_cast<int>(std::min<std::int64_t>(sets.size, 128));
  const int classes = std::min(kRows, static_cast<int>(set.classes().size()));
  data::Image sheet;
  sheet.resize(classes * (side + kGap), 2 * kColumns * (side + kGap) + 8);
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), std::uint8_t{255});
  const auto paste = [&](const data::Image& image, int row, int left) {
    data::Image fitted;
    data::resize(image, {0, 0, image.height, image.width}, side, side, fitted);
    for (int y = 0; y < side; ++y) std::copy_n(fitted.row(y), side * 3, sheet.row(row * (side + kGap) + y) + left * 3);
  };
  std::vector<int> filled(set.classes().size());
  data::Picture picture;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const auto label = static_cast<std::size_t>(set.label(i));
    if (static_cast<int>(label) >= classes || filled[label] == kColumns || !set.get(i, picture.source())) continue;
    const int left = filled[label]++ * (side + kGap);
    paste(picture.source(), static_cast<int>(label), left);
    picture.reset();
    data::Random random(0, data::Purpose::kAugment, 0, static_cast<std::uint64_t>(i));
    (sets.train ? sets.train_pipeline : sets.eval_pipeline).apply(picture, random);
    paste(picture.pixels(), static_cast<int>(label), left + kColumns * (side + kGap) + 8);
  }
  data::write_png(path, sheet);
}

void inspect(InspectOptions o) {
  const DataSets sets = reading_options([&] { return open_data(o.request); });
  json result = {{"data", o.request.name},
                 {"train_pipeline", sets.train_pipeline.describe()},
                 {"eval_pipeline", sets.eval_pipeline.describe()}};
  const auto part = [&](const char* name, const data::Dataset& set) {
    constexpr std::int64_t kMeasured = 10'000;
    const Colours colours = measure_colours(set, kMeasured);
    std::vector<std::int64_t> counts(set.classes().size());
    for (std::int64_t i = 0; i < set.size(); ++i) ++counts[static_cast<std::size_t>(set.label(i))];
    json per_class = json::object();
    for (std::size_t c = 0; c < counts.size(); ++c) per_class[set.classes()[c]] = counts[c];
    result[name] = {{"images", set.size()}, {"mean", colours.mean}, {"std", colours.std}, {"classes", per_class}};
    if (o.as_json) return;
    fmt::print("{}: {} images of {} classes, mean {:.4f} {:.4f} {:.4f}, standard deviation {:.4f} {:.4f} {:.4f}\n",
               name, grouped(set.size()), counts.size(), colours.mean[0], colours.mean[1], colours.mean[2],
               colours.std[0], colours.std[1], colours.std[2]);
    if (counts.size() > 32) return;
    for (std::size_t c = 0; c < counts.size(); ++c)
      fmt::print("  {:<16} {:>8}\n", set.classes()[c], grouped(counts[c]));
  };
  if (sets.train) part("train", *sets.train);
  part("validation", *sets.validation);
  if (!o.out.empty()) write_sheet(o.out, sets, sets.train ? *sets.train : *sets.validation);
  if (o.as_json) {
    fmt::print("{}\n", result.dump());
  } else {
    fmt::print("training sees    {}\nevaluation sees  {}\n", sets.train_pipeline.describe(),
               sets.eval_pipeline.describe());
    if (!o.out.empty()) fmt::print("samples          {}\n", o.out);
  }
}

}  // namespace

void add_data(Command app) {
  const Command data =
      app.add_command("data", "Fetch, make and look at data sets",
                      "gradus data inspect --data cifar10 --data-dir cifar-10-batches-bin --out samples.png");
  data.require_command();
  {
    const Command command = data.add_command("download", "Fetch CIFAR-10 or CIFAR-100, checked, and unpack it",
                                             "gradus data download cifar10 --data-dir datasets");
    auto name = std::make_shared<std::string>(), folder = std::make_shared<std::string>(".");
    command.add_option("name", *name, "cifar10 or cifar100").required();
    command.add_option("--data-dir", *folder, "where to put it").show_default();
    command.callback([name, folder] { download(*name, *folder); });
  }
  {
    const Command command = data.add_command("make", "Write the built-in data set as files in CIFAR-10's form",
                                             "gradus data make --out shapes --train 50000");
    auto o = std::make_shared<MakeOptions>();
    command.add_option("-o,--out", o->out, "folder for the files").required();
    command.add_option("--train", o->train, "training images, a multiple of 5").show_default();
    command.add_option("--test", o->test, "test images").show_default();
    command.add_option("--seed", o->seed, "another seed is another data set").show_default();
    command.callback([o] { make(*o); });
  }
  {
    const Command command = data.add_command("inspect", "Count classes, measure colours, show samples",
                                             "gradus data inspect --data builtin --out samples.png");
    auto o = std::make_shared<InspectOptions>();
    command.add_option("--data", o->request.name, "builtin, cifar10, cifar100 or imagefolder").show_default();
    command.add_option("--data-dir", o->request.folder, "folder with the data");
    command.add_option("--classes", o->request.classes, "imagefolder: file that lists the classes");
    command.add_option("--augment", o->request.augment, "none, standard, or transforms").show_default();
    command.add_option("--size", o->request.size, "imagefolder: height and width of the input (0: 224)");
    command.add_flag("--skip-bad", o->request.skip_bad, "leave out images that cannot be decoded");
    command.add_option("-o,--out", o->out, "write a sheet of samples to this PNG");
    command.add_flag("--json", o->as_json, "print one JSON object");
    command.callback([o] { inspect(*o); });
  }
}

}  // namespace gradus::program
