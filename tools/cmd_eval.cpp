// gradus eval

#include <nlohmann/json.hpp>

#include "core/parallel.hpp"
#include "tools/program.hpp"
#include "tools/train/data_sets.hpp"
#include "tools/train/evaluate.hpp"
#include "tools/train/interrupt.hpp"
#include "tools/train/load_model.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {
namespace {

struct Options {
  std::string model, weights, data, data_dir, classes, preprocess, device = "cpu";
  std::int64_t batch = 128, limit = 0;
  int workers = 1, threads = 0;
  bool skip_bad = false, as_json = false, quiet = false;
};

void evaluate_weights(const Options& o) {
  check_device(o.device);
  check<UsageError>(o.batch > 0, "--batch: must be positive, got {}", o.batch);
  if (o.threads > 0) reading_options([&] { set_num_threads(o.threads); });
  const LoadedModel net = load_model(o.model, o.weights, o.data != "imagefolder");
  const std::string data = !o.data.empty() ? o.data : net.data.empty() ? "builtin" : net.data;
  const DataSets sets = reading_options([&] {
    return open_data({.name = data,
                      .folder = o.data_dir,
                      .classes = o.classes,
                      .augment = "none",
                      .preprocess = o.preprocess.empty() ? net.preprocess : o.preprocess,
                      .size = net.size,
                      .limit_val = o.limit,
                      .skip_bad = o.skip_bad,
                      .need_train = false});
  });
  data::Loader loader(sets.validation, sets.eval_pipeline, {.batch = o.batch, .workers = o.workers});
  Progress progress(o.quiet || o.as_json);
  const InterruptGuard interrupt;
  progress.begin("evaluating", loader.batches());
  std::int64_t done = 0;
  const Evaluation e = evaluate(*net.model, loader, [&](const Scorer& scorer) {
    ++done;
    progress.update(done, fmt::format("top-1 {:.2f} %  {} left", scorer.top1(), duration(progress.seconds_left(done))));
    return !interrupt.asked();
  });
  progress.end();
  if (o.as_json) {
    const nlohmann::json result = {{"model", net.name}, {"data", data},   {"images", e.images},
                                   {"top1", e.top1},    {"top5", e.top5}, {"loss", e.loss}};
    fmt::print("{}\n", result.dump());
  } else {
    fmt::print("{} on {}: top-1 {:.2f} %, top-5 {:.2f} %, loss {:.4f} ({} images)\n", net.name, data, e.top1, e.top5,
               e.loss, grouped(e.images));
  }
}

}  // namespace

void add_eval(Command app) {
  const Command command =
      app.add_command("eval", "Measure a network's accuracy",
                      "gradus eval --weights runs/r20/best.safetensors --data-dir cifar-10-batches-bin");
  auto o = std::make_shared<Options>();
  command.add_option("-w,--weights", o->weights, "weight file: safetensors, .pth, .pt, .th").required();
  command.add_option("-m,--model", o->model, "a name from `gradus models` (default: what the weights say)");
  command.add_option("--data", o->data, "builtin, cifar10, cifar100 or imagefolder (default: what the weights say)");
  command.add_option("--data-dir", o->data_dir, "folder with the data");
  command.add_option("--classes", o->classes, "imagefolder: file that lists the classes");
  command.add_option("--preprocess", o->preprocess,
                     "transforms, e.g. \"resize(256) | center_crop(224) | normalize(imagenet)\"");
  command.add_option("--limit", o->limit, "evaluate so many images (0: all)");
  command.add_option("-b,--batch", o->batch, "images at a time").show_default();
  command.add_option("--workers", o->workers, "threads that prepare batches").show_default();
  command.add_option("--threads", o->threads, "threads that compute (0: as the machine has)").show_default();
  command.add_option("--device", o->device, "cpu or cuda").show_default();
  command.add_flag("--skip-bad", o->skip_bad, "leave out images that cannot be decoded");
  command.add_flag("-q,--quiet", o->quiet, "show no progress");
  command.add_flag("--json", o->as_json, "print one JSON object");
  command.callback([o] { evaluate_weights(*o); });
}

}  // namespace gradus::program
