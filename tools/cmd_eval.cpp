// gradus eval

#include <charconv>
#include <nlohmann/json.hpp>

#include "autograd/autocast.hpp"
#include "core/parallel.hpp"
#include "tools/evaluate/predictions.hpp"
#include "tools/precision.hpp"
#include "tools/program.hpp"
#include "tools/train/data_sets.hpp"
#include "tools/train/interrupt.hpp"
#include "tools/train/load_model.hpp"
#include "tools/train/preprocess.hpp"
#include "tools/train/progress.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

constexpr const char* kDataSets = "builtin, cifar10, cifar100 or imagefolder";

struct Options {
  std::string model, weights, data, data_dir, classes, preprocess, device = "cpu", predictions, confusion;
  std::vector<std::string> ensemble, scales;
  int crops = 1;
  std::int64_t batch = 128, limit = 0;
  int workers = 1, threads = 0;
  bool dense = false, mirror = false, per_class = false, skip_bad = false, as_json = false, quiet = false, amp = false,
       tf32 = false;
};

/// A network to be judged, alone or in an ensemble.
struct Member {
  std::string model, weights;
};

/// The first is --model and --weights; --ensemble adds FILE or MODEL=FILE.
std::vector<Member> members_of(const Options& o) {
  std::vector<Member> members{{o.model, o.weights}};
  for (const std::string& text : o.ensemble) {
    const std::size_t sign = text.find('=');
    members.push_back(sign == std::string::npos ? Member{"", text}
                                                : Member{text.substr(0, sign), text.substr(sign + 1)});
  }
  return members;
}

/// The protocol that the options ask for; nothing where it is the plain one: a view per picture, as the pipeline makes
/// it.
std::optional<data::Protocol> protocol_of(const Options& o, const Geometry& geometry,
                                          const data::Normalization& normalization) {
  check<UsageError>(o.crops == 1 || o.crops == 10 || o.crops == 144, "--crops: takes 1, 10 or 144, got {}", o.crops);
  check<UsageError>(!o.dense || o.crops == 1, "--dense: looks at whole pictures and cannot be combined with --crops {}",
                    o.crops);
  if (o.crops == 1 && !o.dense && !o.mirror && o.scales.empty()) return std::nullopt;
  data::Protocol p;
  p.crops = o.dense          ? data::Crops::whole
            : o.crops == 10  ? data::Crops::ten
            : o.crops == 144 ? data::Crops::many
                             : data::Crops::one;
  p.size = geometry.crop;
  p.mirror = o.mirror;
  p.normalization = normalization;
  p.scales = {geometry.resize};
  if (o.crops == 144) {  // 256, 288, 320 and 352 for crops of 224
    p.scales.clear();
    for (const int sevenths : {8, 9, 10, 11}) p.scales.push_back(geometry.crop * sevenths / 7);
  }
  if (!o.scales.empty()) p.scales.clear();
  for (const std::string& text : o.scales) {
    int scale = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), scale);
    check<UsageError>(error == std::errc() && end == text.data() + text.size(),
                      "--scales: takes shorter sides such as 256,384, got \"{}\"", text);
    p.scales.push_back(scale);
  }
  for (const int scale : p.scales)
    check<UsageError>(scale > 0 && scale <= data::kMaxSide && (o.dense || scale >= p.size),
                      "--scales: {} is no shorter side for crops of {}", scale, p.size);
  return p;
}

/// What one network makes of the data.
struct Judgement {
  std::string model, data, preprocess;
  Predictions predictions;
  DataSets sets;
};

Judgement judge(const Options& o, const Member& member) {
  const LoadedModel net = load_model(member.model, member.weights, o.data != "imagefolder");
  net.model->to(chosen_device(o.device));
  const std::string data = o.data.empty() ? net.notes.data : o.data;
  check<UsageError>(!data.empty(), "--data: {} does not say which data its network is for; takes {}", member.weights,
                    kDataSets);
  std::string preprocess = o.preprocess.empty() ? net.notes.preprocess : o.preprocess;
  if (data == "imagefolder") preprocess = for_any_picture(preprocess, net.notes.size);
  DataSets sets = reading_options([&] {
    return open_data({.name = data,
                      .folder = o.data_dir,
                      .classes = o.classes,
                      .augment = "none",
                      .preprocess = preprocess,
                      .normalize = normalization_of(net.notes.preprocess),
                      .size = net.notes.size,
                      .limit_val = o.limit,
                      .skip_bad = o.skip_bad,
                      .need_train = false,
                      .known = net.notes.classes,
                      .outputs = net.outputs});
  });
  check<UsageError>(std::ssize(sets.validation->classes()) == net.outputs,
                    "eval: {} has {} classes, and the network tells {} apart", data, sets.validation->classes().size(),
                    net.outputs);
  const std::optional<data::Protocol> protocol =
      protocol_of(o, geometry_of(preprocess, net.notes.size), sets.eval_pipeline.normalization());
  if (!o.quiet) show_preprocessing(sets.eval_pipeline.describe(), net.notes, o.preprocess);

  Progress progress(o.quiet || o.as_json);
  const InterruptGuard interrupt;
  progress.begin("evaluating", sets.validation->size());
  const auto each = [&](std::int64_t done, std::int64_t right) {
    progress.update(
        done, fmt::format("top-1 {:.2f} %  {} left", 100.0 * static_cast<double>(right) / static_cast<double>(done),
                          duration(progress.seconds_left(done))));
    return !interrupt.asked();
  };
  Judgement judgement{
      .model = net.name, .data = data, .preprocess = sets.eval_pipeline.describe(), .predictions = {}, .sets = {}};
  if (protocol) {
    const std::int64_t together = (o.batch + data::views_of(*protocol) - 1) / data::views_of(*protocol);
    data::ViewLoader loader(sets.validation, *protocol, o.workers, std::max<std::int64_t>(4 * o.workers, 2 * together));
    judgement.predictions = predict(*net.model, loader, o.dense, o.batch, each);
  } else {
    data::Loader loader(sets.validation, sets.eval_pipeline, {.batch = o.batch, .workers = o.workers});
    judgement.predictions = predict(*net.model, loader, each);
  }
  progress.end();
  judgement.sets = std::move(sets);
  return judgement;
}

std::string figures(const Evaluation& e) {
  return fmt::format("top-1 {:.2f} %, top-5 {:.2f} %, loss {:.4f}", e.top1, e.top5, e.loss);
}

json to_json(const Evaluation& e) {
  return {{"images", e.images}, {"top1", e.top1}, {"top5", e.top5}, {"loss", e.loss}};
}

void evaluate_weights(const Options& o) {
  // Refused before anything is read.
  const Autocast precision(compute_on(chosen_device(o.device), o.amp, o.tf32));
  check<UsageError>(o.batch > 0, "--batch: must be positive, got {}", o.batch);
  if (o.threads > 0) reading_options([&] { set_num_threads(o.threads); });
  std::vector<Judgement> judgements;
  std::vector<Predictions> predictions;
  for (const Member& member : members_of(o)) {
    judgements.push_back(judge(o, member));
    predictions.push_back(judgements.back().predictions);
  }
  const Predictions all = average(predictions);
  const Evaluation e = score(all);
  const Judgement& first = judgements.front();
  const data::Dataset& dataset = *first.sets.validation;
  const std::vector<std::string>& classes = dataset.classes();
  if (!o.predictions.empty()) write_predictions(o.predictions, all, dataset);
  if (!o.confusion.empty()) write_confusion(o.confusion, e, classes);

  const std::vector<std::string> skipped = dataset.skipped();
  if (!o.quiet)
    for (const std::string& what : skipped) fmt::print(stderr, "left out: {}\n", what);
  const double speed = static_cast<double>(all.samples()) * static_cast<double>(judgements.size()) / all.seconds;
  if (o.as_json) {
    json result = to_json(e);
    result["model"] = first.model;
    result["data"] = first.data;
    result["preprocess"] = first.preprocess;
    result["calibration_error"] = e.calibration_error;
    result["images_per_second"] = speed;
    result["forward_share"] = all.forward_seconds / all.seconds;
    result["skipped"] = skipped.size();
    if (judgements.size() > 1)
      for (const Judgement& j : judgements) {
        json member = to_json(score(j.predictions));
        member["model"] = j.model;
        member["preprocess"] = j.preprocess;
        result["members"].push_back(member);
      }
    if (o.per_class)
      for (std::int64_t c = 0; c < e.classes; ++c)
        if (const double share = class_accuracy(e, c); share >= 0)
          result["per_class"].push_back({{"name", classes[static_cast<std::size_t>(c)]}, {"top1", share}});
    fmt::print("{}\n", result.dump());
    return;
  }
  if (judgements.size() > 1)
    for (const Judgement& j : judgements) fmt::print("{} alone: {}\n", j.model, figures(score(j.predictions)));
  fmt::print("{} on {}: {} ({} images{})\n",
             judgements.size() > 1 ? fmt::format("ensemble of {}", judgements.size()) : first.model, first.data,
             figures(e), grouped(e.images), skipped.empty() ? "" : fmt::format(", {} left out", skipped.size()));
  fmt::print("calibration error {:.2f} %, {:.0f} images/s, of which the network {:.0f} %\n", e.calibration_error, speed,
             100 * all.forward_seconds / all.seconds);
  if (o.per_class)
    for (std::int64_t c = 0; c < e.classes; ++c)
      if (const double share = class_accuracy(e, c); share >= 0)
        fmt::print("  {:6.2f} %  {}\n", share, classes[static_cast<std::size_t>(c)]);
}

}  // namespace

void add_eval(Command app) {
  const Command command =
      app.add_command("eval", "Measure a network's accuracy",
                      "gradus eval --weights runs/r20/best.safetensors --data-dir cifar-10-batches-bin\n"
                      "  gradus eval --model squeezenet1_1 --weights squeezenet1_1.pth --data imagefolder "
                      "--data-dir pictures --crops 10\n"
                      "  gradus eval --model vgg16 --weights vgg16.pth --data imagefolder --data-dir "
                      "pictures --dense --mirror --scales "
                      "256,384,512\n"
                      "  gradus eval --model resnet20 --weights a.th --ensemble "
                      "resnet32=b.th,c.safetensors --data cifar10 --data-dir D");
  auto o = std::make_shared<Options>();
  const auto group = [&](Option option, const char* name) { return option.group(name).show_default(); };
  const auto what = [&](Option option) { return group(option, "What"); };
  const auto how = [&](Option option) { return group(option, "Test protocol"); };
  const auto out = [&](Option option) { return group(option, "Output"); };
  what(command.add_option("-w,--weights", o->weights, "weight file: safetensors, .pth, .pt, .th")).required();
  what(command.add_option("-m,--model", o->model, "a name from `gradus models` (default: what the weights say)"));
  what(command.add_option("--data", o->data, std::string(kDataSets) + " (default: what the weights say)"));
  what(command.add_option("--data-dir", o->data_dir, "folder with the data"));
  what(command.add_option("--classes", o->classes,
                          "imagefolder: file with lines \"folder <tab> label <tab> name\"; without it the weights' own "
                          "list, ImageNet's among them"));
  what(command.add_option("--preprocess", o->preprocess,
                          "transforms, e.g. \"resize(256) | center_crop(224) | normalize(imagenet)\" (default: what "
                          "the weights expect)"));
  what(command.add_option("--limit", o->limit, "evaluate so many images (0: all)"));
  what(command.add_flag("--skip-bad", o->skip_bad, "leave out images that cannot be decoded"));

  how(command.add_option("--crops", o->crops, "views of a picture, averaged: 1, 10 (AlexNet's) or 144 (GoogLeNet's)"));
  how(command.add_flag("--dense", o->dense, "run the network over the whole picture (VGG's)"));
  how(command.add_option("--scales", o->scales, "shorter sides to average over, e.g. 256,384,512").comma_separated());
  how(command.add_flag("--mirror", o->mirror, "average with the mirror image (1 crop and --dense)"));
  how(command
          .add_option("--ensemble", o->ensemble,
                      "average with more networks: FILE or MODEL=FILE, separated by commas; each is preprocessed "
                      "for as its own weights expect")
          .comma_separated());

  out(command.add_flag("--per-class", o->per_class, "also the accuracy of each class"));
  out(command.add_option("--predictions", o->predictions, "write five classes per image: .csv or .jsonl"));
  out(command.add_option("--confusion", o->confusion, "write the confusion matrix: .csv"));
  out(command.add_option("-b,--batch", o->batch, "views at a time"));
  out(command.add_option("--workers", o->workers, "threads that prepare images"));
  out(command.add_option("--threads", o->threads, "threads that compute (0: as the machine has)"));
  out(command.add_option("--device", o->device, "cpu or cuda"));
  out(command.add_flag("--amp", o->amp, kAmpHelp));
  out(command.add_flag("--tf32", o->tf32, kTf32Help));
  out(command.add_flag("-q,--quiet", o->quiet, "show no progress"));
  out(command.add_flag("--json", o->as_json, "print one JSON object"));
  command.callback([o] { evaluate_weights(*o); });
}

}  // namespace gradus::program
