// gradus bench loader: how fast images are read, decoded and augmented, by so many threads, with nothing else to do.

#include <chrono>
#include <nlohmann/json.hpp>

#include "data/loader.hpp"
#include "tools/program.hpp"
#include "tools/train/data_sets.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string data = "builtin", data_dir, classes, augment = "standard";
  std::vector<std::string> workers{"1", "2"};
  std::int64_t batch = 128, size = 0;
  double seconds = 3;
  bool as_json = false;
};

/// Images per second over whole batches, for about so long; the first batches are not counted.
double speed(const DataSets& sets, const Options& o, int workers) {
  data::Loader loader(
      sets.train, sets.train_pipeline,
      {.batch = std::min(o.batch, sets.train->size()), .shuffle = true, .workers = workers, .endless = true});
  std::int64_t images = 0;
  Clock::time_point begin;
  for (int number = 0;; ++number) {
    std::optional<data::Batch> batch = loader.next();
    if (!batch) batch = loader.next();
    constexpr int kFirst = 4;  // what was made ahead
    if (number < kFirst) {
      begin = Clock::now();
      continue;
    }
    images += batch->labels.size(0);
    const double spent = std::chrono::duration<double>(Clock::now() - begin).count();
    if (spent >= o.seconds) return static_cast<double>(images) / spent;
  }
}

void bench(const Options& o) {
  DataRequest request;
  request.name = o.data;
  request.folder = o.data_dir;
  request.classes = o.classes;
  request.augment = o.augment;
  request.size = o.size;
  const DataSets sets = reading_options([&] { return open_data(request); });
  json rows = json::array();
  for (const std::string& text : o.workers) {
    const json workers = json::parse(text, nullptr, false);
    check<UsageError>(
        workers.is_number_unsigned() && workers.get<std::uint64_t>() > 0 && workers.get<std::uint64_t>() < 1024,
        "--workers: takes numbers of threads such as 1,2,4, got \"{}\"", text);
    rows.push_back({{"workers", workers}, {"images_per_second", speed(sets, o, workers.get<int>())}});
  }
  if (o.as_json) {
    fmt::print("{}\n", json{{"data", o.data}, {"pipeline", sets.train_pipeline.describe()}, {"rows", rows}}.dump());
    return;
  }
  fmt::print("{}\n", sets.train_pipeline.describe());
  const double one = rows[0].at("images_per_second");
  for (const json& row : rows)
    fmt::print("{:>3} workers  {:>10.0f} images/s  {:.2f}\n", row.at("workers").get<int>(),
               row.at("images_per_second").get<double>(), row.at("images_per_second").get<double>() / one);
}

}  // namespace

void add_bench_loader(Command parent) {
  const Command command =
      parent.add_command("loader", "Time reading, decoding and augmenting",
                         "gradus bench loader --data imagefolder --data-dir pictures --workers 1,2,4");
  auto o = std::make_shared<Options>();
  command.add_option("--data", o->data, "builtin, cifar10, cifar100 or imagefolder").show_default();
  command.add_option("--data-dir", o->data_dir, "folder with the data; imagefolder: with train/ and val/ in it");
  command.add_option("--classes", o->classes, "imagefolder: file that lists the classes");
  command.add_option("--augment", o->augment, "none, standard, or transforms").show_default();
  command.add_option("--size", o->size, "height and width of the input (0: 32, for imagefolder 224)");
  command.add_option("-b,--batch", o->batch, "images per batch").show_default();
  command.add_option("--workers", o->workers, "threads, one figure for each").comma_separated();
  command.add_option("--seconds", o->seconds, "for each").show_default();
  command.add_flag("--json", o->as_json, "print one JSON object");
  command.callback([o] { bench(*o); });
}

}  // namespace gradus::program
